"""gateway oauth: what providers know this gateway as, and what accounts have granted it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click

from .connector_options import ASK, asked
from .logging_in import WAYS, LoginOptions, log_in
from .output import json_option, print_fields, print_json, show_list
from .runtime import Runtime, pass_runtime

_TEXT_HELP: Final = "Client secret: -, to be asked for it; file:PATH; env:NAME; or the text itself."
_CA_HELP: Final = "Certificates (PEM) of the CAs to trust there instead of the system's; read once, now."
_GRANT: Final = {
    "id": "Id", "app": "Application", "account": "Account", "subject": "Logged in", "status": "Status",
    "scopes": "Scopes", "last_error": "Why",
}  # fmt: skip


def register(root: click.Group) -> None:
    root.add_command(oauth)


@click.group(short_help="OAuth at providers: applications, and what accounts granted.")
def oauth() -> None:
    """OAuth at providers of mail accounts.

    An application is what the provider knows this gateway as: register one there (docs/connectors.md says where), and
    enter it here. A grant is what an account has allowed it; connectors use grants instead of passwords.
    """


@oauth.command("add")
@click.argument("name")
@click.option("--provider", metavar="NAME", help="google, microsoft, fastmail, yahoo, aol or custom.")
@click.option("--client-id", metavar="ID", help="What the provider calls it.")
@click.option("--secret", metavar="TEXT", help=_TEXT_HELP)
@click.option("--tenant", metavar="ID", help="Microsoft: the tenant; without it common, for accounts of any.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Private key, PEM.")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The key's certificate, PEM, which is registered instead of a secret.")
@click.option("--service-account", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Google: the key file (JSON) of a service account with domain-wide delegation.")
@click.option("--redirect", metavar="URL", help="Where browsers come back to; without it a port of this machine.")
@click.option("--token-url", metavar="URL", help="Endpoints and scopes of a custom provider.")
@click.option("--authorize-url", metavar="URL")
@click.option("--device-url", metavar="URL")
@click.option("--imap-scope", metavar="SCOPE")
@click.option("--smtp-scope", metavar="SCOPE")
@click.option("--scopes", metavar="SCOPES", help="Others that are asked for: openid, offline_access …")
@click.option("--issuer", metavar="URL", help="Of its id_tokens, by which who has logged in is compared.")
@click.option("--allow-private", is_flag=True, help="Its endpoints may be in a private network or on this machine.")
@click.option("--ca", metavar="FILE", help=_CA_HELP)
@json_option
@pass_runtime
def oauth_add(
    runtime: Runtime, /, name: str, provider: str | None, secret: str | None, key: Path | None,
    certificate: Path | None, service_account: Path | None, ca: str | None, as_json: bool, **said: Any,
) -> None:
    """Enter an application that is registered at a provider.

    \b
    Examples:
      gateway oauth add google --provider google --client-id 123.apps.googleusercontent.com --secret -
      gateway oauth add office --provider microsoft --client-id 0a1b… --tenant contoso.example
      gateway oauth add robots --service-account key.json
    """
    if (provider is None) == (service_account is None):
        raise click.UsageError("Say whose application it is: --provider NAME, or --service-account FILE.")
    if provider is not None and not said["client_id"]:
        raise click.UsageError("Say what the provider calls the application: --client-id ID.")
    made = runtime.call(
        "oauth.app.create", name=name, provider=provider, secret=_secret(secret), key=_text(key),
        certificate=_text(certificate), service_account=_text(service_account), ca=_certificates(ca), **said,
    )
    if as_json:
        print_json(made)
        return
    click.echo(f"Application {name} of {made['provider']} is there.")


@oauth.command("list")
@json_option
@pass_runtime
def oauth_list(runtime: Runtime, as_json: bool) -> None:
    """List the applications, without secrets."""
    show_list(runtime.call("oauth.app.list"), {
        "name": "Name", "provider": "Provider", "tenant": "Tenant", "client_id": "Client", "status": "Status",
        "last_error": "Why",
    }, as_json=as_json, empty="There are none. Enter one: gateway oauth add --help")


@oauth.command("set")
@click.argument("name")
@click.option("--client-id", metavar="ID", help="What the provider calls it.")
@click.option("--secret", metavar="TEXT", help=_TEXT_HELP)
@click.option("--tenant", metavar="ID", help="Microsoft: the tenant.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Private key, PEM.")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate, PEM.")
@click.option("--redirect", metavar="URL", help='Where browsers come back to; "": a port of this machine.')
@click.option("--allow-private/--no-allow-private", default=None,
              help="Whether its endpoints may be in a private network or on this machine.")
@click.option("--ca", metavar="FILE", help=f'{_CA_HELP} "": the system\'s.')
@pass_runtime
def oauth_set(
    runtime: Runtime, /, name: str, secret: str | None, key: Path | None, certificate: Path | None, ca: str | None,
    **said: Any,
) -> None:
    """Change an application. What is not named stays; all its grants are tried again at once.

    \b
    Example:
      gateway oauth set office --secret -
    """
    if all(value is None for value in (secret, key, certificate, ca, *said.values())):
        raise click.UsageError("Say what to change, such as --secret -.")
    runtime.call(
        "oauth.app.set", name=name, secret=_secret(secret), key=_text(key), certificate=_text(certificate),
        ca=_certificates(ca), **said,
    )
    click.echo(f"Application {name} is changed.")


@oauth.command("remove")
@click.argument("name")
@pass_runtime
def oauth_remove(runtime: Runtime, name: str) -> None:
    """Forget an application that no grant needs any more."""
    runtime.call("oauth.app.remove", name=name)
    click.echo(f"Application {name} is gone.")


@oauth.command("login")
@click.argument("app")
@click.argument("account", metavar="ADDRESS")
@click.option("--way", type=click.Choice(sorted(WAYS)), default="browser", show_default=True,
              help="browser; device: a code to type elsewhere; client, service: for a whole company.")
@click.option("--paste", is_flag=True, help="Do not wait for a browser on this machine.")
@click.option("--shared-with", "shared", multiple=True, metavar="ADDRESS",
              help="Who may log in for the account, where it is a shared mailbox; repeat it.")
@click.option("--grant", type=int, metavar="ID", help="Give this grant anew; its connectors go on with it.")
@click.option("--side", "legs", type=click.Choice(["imap", "smtp"]), multiple=True, help="Only for this protocol.")
@json_option
@pass_runtime
def oauth_login(
    runtime: Runtime, app: str, account: str, way: str, paste: bool, shared: tuple[str, ...], grant: int | None,
    legs: tuple[str, ...], as_json: bool,
) -> None:
    """Log in at the provider, so that APP may open the mailbox ADDRESS.

    \b
    Examples:
      gateway oauth login google me@gmail.com
      gateway oauth login office me@contoso.example --way device
      gateway oauth login office team@contoso.example --shared-with me@contoso.example
    """
    if "@" not in account:
        raise click.BadParameter(f"{account} is no e-mail address", param_hint="ADDRESS")
    options = LoginOptions(
        app, account, WAYS[way], legs or ("imap", "smtp"), shared, grant, listen=not paste
    )
    made = log_in(runtime, options)
    if as_json:
        print_json(made)
        return
    print_fields(made, _GRANT)


@oauth.command("grants")
@click.option("--app", metavar="NAME", help="Only those of this application.")
@json_option
@pass_runtime
def oauth_grants(runtime: Runtime, app: str | None, as_json: bool) -> None:
    """List what accounts have granted, and why what does not work does not."""
    show_list(runtime.call("oauth.grant.list", app=app), {key: _GRANT[key] for key in _GRANT if key != "scopes"},
              as_json=as_json, empty="Nothing is granted. Log in: gateway oauth login --help")


@oauth.command("retry")
@click.argument("grant", metavar="ID", type=int)
@pass_runtime
def oauth_retry(runtime: Runtime, grant: int) -> None:
    """Ask the provider for a token now, whatever it has said before."""
    print_fields(runtime.call("oauth.grant.retry", grant=grant), _GRANT)


@oauth.command("forget")
@click.argument("grant", metavar="ID", type=int)
@pass_runtime
def oauth_forget(runtime: Runtime, grant: int) -> None:
    """Forget a grant that no connector uses. At the provider, its owner withdraws it."""
    runtime.call("oauth.grant.remove", grant=grant)
    click.echo(f"Grant {grant} is forgotten here.")


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text()
    except UnicodeDecodeError:
        raise click.BadParameter(f"{path} is no text") from None


def _certificates(name: str | None) -> str | None:
    """"" is no file: the system's."""
    if not name:
        return name
    path = Path(name).expanduser()
    if not path.is_file():
        raise click.BadParameter(f"there is no file {name}", param_hint="--ca")
    return _text(path)


def _secret(text: str | None) -> str | None:
    """Read here: the person who names a file or a variable sees other ones than the server does."""
    if text is None:
        return None
    if text == ASK:
        return asked("Client secret")
    kind, colon, name = text.partition(":")
    if colon and kind == "file":
        return (_text(Path(name).expanduser()) or "").strip()
    if colon and kind == "env":
        if name not in os.environ:
            raise click.BadParameter(f"the environment has no {name}", param_hint="--secret")
        return os.environ[name]
    return text
