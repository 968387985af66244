"""gateway remote: working by hand in the account of a connector."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final

import click

from .output import cell, json_option, octets, print_fields, print_json, show_list
from .runtime import Runtime, pass_runtime

_FOLDER: Final = {
    "mailbox": "Mailbox", "role": "Role", "messages": "Messages", "unseen": "Unread", "uidvalidity": "UIDVALIDITY",
    "uidnext": "UIDNEXT", "size": "Octets",
}  # fmt: skip

pod_option = click.option("--pod", help="The pod of the connector, where several have one of this name.")
uidvalidity_option = click.option(
    "--uidvalidity", type=click.IntRange(1, 2**32 - 1), metavar="N",
    help="Do it only while the folder has this UIDVALIDITY, that is while UIDs of before are good.",
)


def register(root: click.Group) -> None:
    from .remote_messages import COMMANDS
    from .remote_new import remote_new, remote_pollers

    for command in (*COMMANDS, remote_new, remote_pollers):
        remote.add_command(command)
    root.add_command(remote)


@click.group(short_help="Work by hand in the account of a connector.")
def remote() -> None:
    """Work by hand in the account of a connector: what is done here is done there, whatever the connector syncs.

    Each command makes a connection of its own. MAILBOX is a name as `list` shows it, with / between levels, or a role
    such as \\Trash. MESSAGES are positions in the folder (1 is the oldest, * the newest), or with --uid UIDs:
    5, 3:9, *, 1,4,7:*

    \b
    Examples:
      gateway remote list work
      gateway remote search work INBOX --from boss@corp.example --unread
      gateway remote download work INBOX '*' > newest.eml
    """


def in_folder(command: Callable[..., Any]) -> Any:
    """NAME, MAILBOX and what all commands in a folder take."""
    made: Any = json_option(uidvalidity_option(pod_option(pass_runtime(command))))
    return click.argument("name")(click.argument("mailbox")(made))


@remote.command("list")
@click.argument("name")
@pod_option
@click.option("--no-counts", is_flag=True, help="Names and roles only, which is quicker in large accounts.")
@json_option
@pass_runtime
def remote_list(runtime: Runtime, name: str, pod: str | None, no_counts: bool, as_json: bool) -> None:
    """List the folders with their roles and how many messages they have."""
    rows = runtime.call("remote.list", name=name, pod=pod, counts=not no_counts)
    columns = {key: head for key, head in _FOLDER.items() if not no_counts or key in ("mailbox", "role")}
    columns.pop("size", None)
    show_list(rows, columns, as_json=as_json)


@remote.command("status")
@in_folder
def remote_status(
    runtime: Runtime, name: str, mailbox: str, pod: str | None, uidvalidity: int | None, as_json: bool
) -> None:
    """Show how a folder stands."""
    shown = runtime.call("remote.status", name=name, mailbox=mailbox, pod=pod, uidvalidity=uidvalidity)
    print_json(shown) if as_json else print_fields(shown, _FOLDER)


@remote.command("search")
@click.argument("name")
@click.argument("mailbox", default="INBOX")
@pod_option
@uidvalidity_option
@click.option("--from", "sender", metavar="TEXT", help="In From.")
@click.option("--to", "recipient", metavar="TEXT", help="In To.")
@click.option("--subject", metavar="TEXT", help="In Subject.")
@click.option("--text", metavar="TEXT", help="Anywhere in the message.")
@click.option("--unread/--read", "unread", default=None, help="Only unread, or only read messages.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Arrived on this day or later.")
@click.option("--before", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Arrived before this day.")
@click.option("--terms", default="", metavar="TERMS",
              help='Further criteria of IMAP: "OR FLAGGED LARGER 100000", "NOT KEYWORD $Done".')
@click.option("--limit", type=click.IntRange(0, 1000), default=50, show_default=True, help="How many are shown.")
@click.option("--below", type=click.IntRange(1), metavar="UID", help="Only messages of smaller UIDs: the next page.")
@json_option
@pass_runtime
def remote_search(
    runtime: Runtime, /, name: str, unread: bool | None, since: datetime | None, before: datetime | None,
    as_json: bool, **wanted: Any,
) -> None:  # fmt: skip
    """Search a folder, the newest messages first; without criteria these are all.

    \b
    Examples:
      gateway remote search work INBOX --from boss@corp.example --unread
      gateway remote search work Archive --since 2026-01-01 --terms "LARGER 1000000" --json
    """
    found = runtime.call(
        "remote.search", name=name, seen=None if unread is None else not unread, since=_day(since),
        before=_day(before), **wanted,
    )  # fmt: skip
    if as_json:
        print_json(found)
        return
    rows = [row | {"size": octets(row["size"]) if row["size"] is not None else None} for row in found["messages"]]
    show_list(rows, {
        "uid": "UID", "date": "Arrived", "from": "From", "subject": "Subject", "flags": "Flags", "size": "Size",
    }, as_json=False, empty=f"{found['total']} found." if found["total"] else "Nothing was found.")  # fmt: skip
    if found["more"] and rows:
        click.echo(f"{found['total']} in all; older ones: --below {rows[-1]['uid']}", err=True)


@remote.command("create")
@click.argument("name")
@click.argument("mailbox")
@pod_option
@json_option
@pass_runtime
def remote_create(runtime: Runtime, name: str, mailbox: str, pod: str | None, as_json: bool) -> None:
    """Make a folder, and subscribe to it. Levels are separated by /, whatever the server uses."""
    made = runtime.call("remote.create", name=name, mailbox=mailbox, pod=pod)
    if as_json:
        print_json(made)
        return
    rest = "" if made["subscribed"] else "; the server does not let it be subscribed to"
    click.echo(f"{cell(made['mailbox'])} is there (UIDVALIDITY {made['uidvalidity']}){rest}.")


@remote.command("rename")
@click.argument("name")
@click.argument("mailbox")
@click.argument("to")
@pod_option
@uidvalidity_option
@json_option
@pass_runtime
def remote_rename(
    runtime: Runtime, name: str, mailbox: str, to: str, pod: str | None, uidvalidity: int | None, as_json: bool
) -> None:
    """Rename a folder, and those below it."""
    made = runtime.call("remote.rename", name=name, mailbox=mailbox, to=to, pod=pod, uidvalidity=uidvalidity)
    if as_json:
        print_json(made)
        return
    click.echo(f"{mailbox} is {cell(made['mailbox'])} now (UIDVALIDITY {made['uidvalidity']}).")


@remote.command("delete-mailbox")
@in_folder
@click.option("--yes", is_flag=True, help="Do not ask.")
def remote_delete_mailbox(
    runtime: Runtime, name: str, mailbox: str, pod: str | None, uidvalidity: int | None, as_json: bool, yes: bool
) -> None:
    """Delete a folder with all that is in it, for good."""
    if not yes:
        status = runtime.call("remote.status", name=name, mailbox=mailbox, pod=pod, uidvalidity=uidvalidity)
        click.confirm(f"Delete {cell(status['mailbox'])} with {status['messages']} messages, for good?", abort=True)
        uidvalidity = uidvalidity or status["uidvalidity"]
    gone = runtime.call("remote.delete_mailbox", name=name, mailbox=mailbox, pod=pod, uidvalidity=uidvalidity)
    print_json(gone) if as_json else click.echo(f"{cell(gone['mailbox'])} is gone.")


def _day(value: datetime | None) -> int | None:
    """Days since 1970-01-01."""
    return None if value is None else (value.date() - date(1970, 1, 1)).days


def seconds_of(value: str) -> int:
    """A moment as somebody writes it (ISO 8601; without a zone: UTC), as Unix seconds. BadParameter."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no date such as 2026-02-01T09:30+01:00") from None
    return int((found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp())
