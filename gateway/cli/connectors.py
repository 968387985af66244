"""gateway connector: accounts elsewhere that inboxes here are kept in sync with, and send through."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from .connector_events import connector_events
from .connector_login import connector_login, logs_in
from .connector_options import Json, gathered
from .connector_sync import connector_sync
from .output import json_option, print_fields, print_json, show_list
from .probes import print_probe
from .runtime import Runtime, pass_runtime

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_FAILED: Final = 1

_FIELDS: Final = {
    "name": "Name", "address": "Account", "inbox": "Inbox", "pod": "Pod", "provider": "Provider", "mode": "Mode",
    "state": "State", "reason": "Why", "advice": "Remedy", "state_since": "Since",
    "next_try": "Next try", "last_sync_at": "Last sync", "last_success_at": "Last success",
    "grant": "OAuth grant", "id": "Id",
}  # fmt: skip


def register(root: click.Group) -> None:
    root.add_command(connector)
    connector.add_command(connector_events)
    connector.add_command(connector_login)
    connector.add_command(connector_sync)


@click.group(short_help="Accounts elsewhere: sync with them, send through them.")
def connector() -> None:
    """Accounts elsewhere: an inbox here is kept in sync with each, and sends through it.

    \b
    Example:
      gateway connector add work --email me@gmail.com --secret -
      gateway connector test work
    """


def option_options(command: Command) -> Command:
    """What `add`, `set` and `test` are told of an account."""
    for option in (
        click.option("--file", "file", type=click.Path(dir_okay=False), metavar="TOML",
                     help="Options in a file, with sections [imap], [smtp] and [sync]."),
        click.option("--set", "pairs", multiple=True, metavar="SECTION.KEY=VALUE",
                     help="One option; repeat it. gateway connector options lists them all."),
        click.option("--interval", type=int, metavar="MINUTES", help="Time between two looks at what is not pushed."),
        click.option("--mode", type=click.Choice(["pull", "two-way", "import"]),
                     help="pull changes nothing in the account, two-way does, import is done once.  [default: pull]"),
        click.option("--no-smtp", is_flag=True, help="Do not send through the account."),
        click.option("--no-imap", is_flag=True, help="Do not read the account."),
        click.option("--smtp-host", metavar="HOST", help="Where mail is sent."),
        click.option("--imap-host", metavar="HOST", help="Where mail is read."),
        click.option("--secret", metavar="TEXT",
                     help="Password or app password: -, to be asked for it; file:PATH; env:NAME; or the text itself."),
        click.option("--user", metavar="NAME", help="User name, where it is not the e-mail address."),
        click.option("--provider", metavar="NAME",
                     help="Whose account it is; gateway connector providers lists them.  [default: by the address]"),
    ):
        command = option(command)
    return command


pod_option = click.option("--pod", help="The pod of the connector, where several have one of this name.")


@connector.command("add")
@click.argument("name")
@click.option("--email", required=True, metavar="ADDRESS", help="The account's e-mail address.")
@click.option("--inbox", metavar="ADDRESS", help="The inbox here; one like the account's address is made without it.")
@click.option("--pod", help="Pod it belongs to, where no inbox says it.")
@option_options
@click.option("--disabled", is_flag=True, help="Do not begin to sync.")
@json_option
@pass_runtime
def connector_add(
    runtime: Runtime, /, name: str, email: str, inbox: str | None, pod: str | None, provider: str | None,
    disabled: bool, as_json: bool, **said: Any,
) -> None:
    """Connect an account.

    \b
    Examples:
      gateway connector add work --email me@gmail.com --secret file:app-password
      gateway connector add office --email me@corp.example --imap-host imap.corp.example \\
          --smtp-host smtp.corp.example --set smtp.security=starttls --secret - --inbox me@mail.example
      gateway connector add old --email me@old.example --file old.toml --mode import

    \b
    Where old.toml is, with any of the options that gateway connector options lists:
      [imap]
      host = "imap.old.example"
      secret = "file:old-password"
      since = "365d"
      [smtp]
      enabled = false
    """
    made = runtime.call(
        "connector.add", name=name, address=email, inbox=inbox, pod=pod, provider=provider, enabled=not disabled,
        options=gathered(**said),
    )
    if as_json:
        print_json(made)
        return
    click.echo(f"Connector {name} is there: {made['address']} with inbox {made['inbox']}.")
    click.echo(f"Next: gateway connector {_next(made)}")


def _next(made: Mapping[str, Json]) -> str:
    """What its owner does with a new connector. One without a password needs one, where mail is read."""
    name, imap = shlex.quote(made["name"]), made["options"]["imap"]
    if logs_in(made):
        return f"login {name}"
    if imap["enabled"] and not imap["secret"]:
        return f"set {name} --secret -    (or login {name}, where the server wants OAuth)"
    return f"test {name}"


@connector.command("list")
@click.option("--pod", help="Only those of this pod.")
@click.option("--inbox", help="Only those of this inbox.")
@json_option
@pass_runtime
def connector_list(runtime: Runtime, pod: str | None, inbox: str | None, as_json: bool) -> None:
    """List the connectors and how they stand."""
    rows = runtime.call("connector.list", pod=pod, inbox=inbox)
    show_list(rows, {
        "name": "Name", "address": "Account", "inbox": "Inbox", "mode": "Mode", "state": "State",
        "last_success_at": "Last success", "reason": "Why",
    }, as_json=as_json, empty="There are none. Connect an account: gateway connector add --help")


@connector.command("show")
@click.argument("name")
@pod_option
@json_option
@pass_runtime
def connector_show(runtime: Runtime, name: str, pod: str | None, as_json: bool) -> None:
    """Show a connector by its name, address or id: how it stands, and its options.

    Options that somebody set are marked with *; the others are the provider's or the usual ones.
    """
    shown = runtime.call("connector.show", name=name, pod=pod)
    if as_json:
        print_json(shown)
        return
    print_fields(shown, _FIELDS)
    click.echo("")
    rows = [
        {"option": f"{section}.{key}", "set": "*" if _said(shown, section, key) else "", "value": _text(value)}
        for section, table in shown["options"].items() for key, value in table.items()
    ]  # fmt: skip
    show_list(rows, {"option": "Option", "set": "", "value": "Value"}, as_json=False)


def _said(shown: Mapping[str, Json], section: str, key: str) -> bool:
    """Secrets are in no `given`; one that is set was set by somebody."""
    if key.endswith("secret"):
        return bool(shown["options"][section][key])
    return key in shown["given"].get(section, {})


def _text(value: Json) -> Json:
    """Certificates fill screens."""
    return "certificates" if isinstance(value, str) and value.startswith("-----BEGIN") else value


@connector.command("set")
@click.argument("name")
@pod_option
@option_options
@click.option("--unset", multiple=True, metavar="SECTION.KEY", help="Let an option be the provider's again; repeat it.")
@click.option("--rename", metavar="NAME", help="Call it otherwise.")
@pass_runtime
def connector_set(
    runtime: Runtime, /, name: str, pod: str | None, provider: str | None, unset: Sequence[str], rename: str | None,
    **said: Any,
) -> None:
    """Change a connector. What is not named stays as it is; a sync that runs begins anew.

    \b
    Examples:
      gateway connector set work --secret -
      gateway connector set work --mode two-way --set sync.deletes=no
    """
    options = gathered(**said)
    if not (options or provider or rename or unset):
        raise click.UsageError("Say what to change, such as --secret - or --set SECTION.KEY=VALUE.")
    runtime.call(
        "connector.set", name=name, pod=pod, provider=provider, rename=rename, unset=list(unset) or None,
        options=options,
    )
    click.echo(f"Connector {rename or name} is changed.")


@connector.command("remove")
@click.argument("name")
@pod_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_runtime
def connector_remove(runtime: Runtime, name: str, pod: str | None, yes: bool) -> None:
    """Forget a connector. The mail that is here stays, and the account is not touched.

    Mail in the queue that was to be sent through it is returned to the inbox.
    """
    if not yes:
        click.confirm(f"Forget connector {name}, its events and what it has yet to do?", abort=True)
    gone = runtime.call("connector.remove", name=name, pod=pod)
    click.echo(f"Connector {gone['name']} is gone; the mail of {gone['address']} stays.")
    if gone["waiting"]:
        end = "goes by the relay, if there is one" if gone["fallback"] else "is returned to the inbox"
        click.echo(f"What it had yet to send ({gone['waiting']} in the queue) {end}.")


@connector.command("reset", short_help="Compare everything anew with the account.")
@click.argument("name")
@pod_option
@pass_runtime
def connector_reset(runtime: Runtime, name: str, pod: str | None) -> None:
    """Begin anew without forgetting: every folder is compared whole with the account at the next sync.

    Nothing is fetched twice. Credentials that were refused are tried again at once.
    """
    done = runtime.call("connector.reset", name=name, pod=pod)
    click.echo(f"Connector {name}: {done['folders']} folders will be compared anew.")


@connector.command("enable")
@click.argument("name")
@pod_option
@pass_runtime
def connector_enable(runtime: Runtime, name: str, pod: str | None) -> None:
    """Sync again, and send through the account."""
    runtime.call("connector.enable", name=name, pod=pod)
    click.echo(f"Connector {name} is enabled.")


@connector.command("disable")
@click.argument("name")
@pod_option
@pass_runtime
def connector_disable(runtime: Runtime, name: str, pod: str | None) -> None:
    """Stop at once: nothing is synced or sent through it until it is enabled."""
    runtime.call("connector.disable", name=name, pod=pod)
    click.echo(f"Connector {name} is disabled.")


@connector.command("test")
@click.argument("name", required=False)
@pod_option
@click.option("--email", metavar="ADDRESS", help="Test an account that is not stored, instead of a connector.")
@option_options
@click.option("--side", type=click.Choice(["imap", "smtp"]), help="Only this side.")
@click.option("--logs", is_flag=True, help="Show what was said, without secrets.")
@json_option
@pass_runtime
def connector_test(
    runtime: Runtime, /, name: str | None, pod: str | None, email: str | None,
    provider: str | None, side: str | None, logs: bool, as_json: bool, **said: Any,
) -> None:
    """Test an account step by step. Nothing in it is changed and no mail is sent.

    With options they are tested instead of what the connector has; they are not stored. The exit status is 1 when a
    step fails.

    \b
    Examples:
      gateway connector test work --logs
      gateway connector test --email me@gmail.com --secret -
    """
    if (name is None) == (email is None):
        raise click.UsageError("Name a connector, or give --email and options of an account.")
    probes = runtime.call(
        "connector.test", name=name, pod=pod, address=email, provider=provider, side=side, options=gathered(**said)
    )
    if as_json:
        print_json(probes)
    else:
        for probe in probes:
            print_probe(probe, logs=logs)
    if not all(probe["success"] for probe in probes):
        sys.exit(EXIT_FAILED)


@connector.command("options")
@json_option
def connector_options(as_json: bool) -> None:
    """List all options of connectors, for --set and files."""
    from .connector_options import described

    rows = described()
    show_list(rows, {"option": "Option", "kind": "Kind", "default": "Default", "text": "Meaning"}, as_json=as_json)


@connector.command("providers")
@json_option
def connector_providers(as_json: bool) -> None:
    """List the providers whose servers are known, and what they ask of passwords."""
    from .connector_options import providers

    rows = providers()
    show_list(rows, {"name": "Name", "title": "Provider", "imap": "IMAP", "smtp": "SMTP", "help": "Password"},
              as_json=as_json)
