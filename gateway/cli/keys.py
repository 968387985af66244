"""gateway key: the secrets with which mail clients and scripts log in."""

from __future__ import annotations

import click

from .durations import future
from .output import json_option, print_json, show_list
from .rates import rate_options, rates_text
from .runtime import Runtime, pass_runtime


def register(root: click.Group) -> None:
    root.add_command(key)


@click.group()
def key() -> None:
    """API keys: the password of mail clients and scripts."""


@key.command("create")
@click.option("--inbox", help="The key opens this inbox only.")
@click.option("--pod", help="The key opens every inbox of this pod.")
@click.option("--all", "everything", is_flag=True, help="The key opens every inbox of the store.")
@click.option("--name", default="", help="What the key is for; shown in lists.")
@click.option(
    "--expires", metavar="TIME", callback=future, help="When it ends: 30d, 12h, 2027-01-31 or 2027-01-31T12:00:00Z."
)
@click.option(
    "--permissions", default="read,write,draft,send", show_default=True,
    help="What it may do, separated by commas: read, write, draft, send, admin, or single permissions.",
)
@click.option(
    "--sent-copy", type=click.Choice(["auto", "always", "never"]),
    help="Copy in Sent of what this key sends, whatever the inbox's own setting is.",
)
@rate_options
@json_option
@pass_runtime
def key_create(
    runtime: Runtime, inbox: str | None, pod: str | None, everything: bool, name: str, expires: int | None,
    permissions: str, sent_copy: str | None, per_hour: int | None, per_day: int | None, as_json: bool,
) -> None:
    """Make a key and show it, this once.

    \b
    Examples:
      gateway key create --inbox alice@mail.example --name laptop
      gateway key create --inbox alice@mail.example --permissions read --expires 30d
      gateway key create --pod acme --name "nightly report"
      gateway key create --inbox bot@mail.example --permissions read,draft --per-day 50
    """
    if sum((inbox is not None, pod is not None, everything)) != 1:
        raise click.UsageError("Say what the key opens: one of --inbox ADDRESS, --pod NAME and --all.")
    names = [part.strip() for part in permissions.split(",") if part.strip()]
    made = runtime.call(
        "key.create", inbox=inbox, pod=pod, everything=everything, name=name, expires=expires, permissions=names,
        sent_copy=sent_copy, per_hour=per_hour, per_day=per_day,
    )
    if as_json:
        print_json(made)
        return
    click.echo(made["key"])
    click.echo(
        f"Shown this once; the store keeps only a hash of it. Id {made['id']}, opens {made['opens']}, "
        f"{'ends ' + made['expires_at'] if made['expires_at'] else 'never ends'}.\n"
        "User name: the inbox's address, whatever way of logging in the program takes (password, SCRAM, OAuth token).",
        err=True,
    )


@key.command("list")
@click.option("--inbox", help="Keys that open this inbox only.")
@click.option("--pod", help="Keys of this pod and its inboxes.")
@click.option("--all", "revoked", is_flag=True, help="Revoked keys too, until they are forgotten.")
@json_option
@pass_runtime
def key_list(runtime: Runtime, inbox: str | None, pod: str | None, revoked: bool, as_json: bool) -> None:
    """List the keys; never their secrets."""
    rows = runtime.call("key.list", inbox=inbox, pod=pod, revoked=revoked)
    show_list(rows if as_json else [{**row, "sends": rates_text(row)} for row in rows], {
        "id": "Id", "name": "Name", "opens": "Opens", "permissions": "May", "sends": "Sends", "state": "State",
        "expires_at": "Ends", "last_used_at": "Last used",
    }, as_json=as_json)


@key.command("revoke")
@click.argument("key_id", metavar="ID")
@pass_runtime
def key_revoke(runtime: Runtime, key_id: str) -> None:
    """End a key, and the sessions that logged in with it. ID: as listed, or the whole key."""
    runtime.call("key.revoke", key_id=key_id)
    click.echo("The key is revoked; its sessions end now.")
