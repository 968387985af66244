"""gateway mailbox | message: what lies in an inbox, and bringing mail in and out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from gateway.model.errors import NotFound

from .output import json_option, octets, print_fields, print_json, show_list, with_sizes
from .runtime import Runtime, pass_runtime
from .tenants import print_mailboxes

FORMATS = click.Choice(["eml", "mbox", "maildir"])


def register(root: click.Group) -> None:
    root.add_command(mailbox)
    root.add_command(message)


@click.group()
def mailbox() -> None:
    """Mailboxes (folders) of an inbox."""


@mailbox.command("list")
@click.argument("inbox")
@json_option
@pass_runtime
def mailbox_list(runtime: Runtime, inbox: str, as_json: bool) -> None:
    """List the mailboxes of an inbox."""
    print_mailboxes(runtime.call("mailbox.list", inbox=inbox), as_json=as_json)


@click.group()
def message() -> None:
    """Messages: list, show, bring in, take out."""


@message.command("list")
@click.argument("inbox")
@click.option("--mailbox", default="INBOX", show_default=True)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="The latest so many.")
@json_option
@pass_runtime
def message_list(runtime: Runtime, inbox: str, mailbox: str, limit: int, as_json: bool) -> None:
    """List the latest messages of a mailbox, the newest first."""
    rows = runtime.call("message.list", inbox=inbox, mailbox=mailbox, limit=limit)
    show_list(rows if as_json else with_sizes(rows, "size"), {
        "uid": "UID", "date": "Arrived", "from": "From", "subject": "Subject", "flags": "Flags", "size": "Size",
    }, as_json=as_json, empty=f"{mailbox} is empty.")


@message.command("show", short_help="Show one message, or its octets.")
@click.argument("inbox")
@click.argument("uid", type=click.IntRange(min=1))
@click.option("--mailbox", default="INBOX", show_default=True)
@click.option("--raw", is_flag=True, help="The stored octets, as they are.")
@json_option
@pass_runtime
def message_show(runtime: Runtime, inbox: str, uid: int, mailbox: str, raw: bool, as_json: bool) -> None:
    """Show one message: its header fields and its text, or with --raw its octets.

    \b
    Example:
      gateway message show alice@mail.example 17 --raw > 17.eml
    """
    from .reading import read_message

    sink = sys.stdout.buffer if raw else None
    shown = read_message(runtime, inbox, mailbox, uid, sink)
    if shown is None:
        raise NotFound(f"{mailbox} has no message with the UID {uid}")
    if raw:
        return
    if as_json:
        print_json(shown)
        return
    print_fields(shown, {
        "from": "From", "to": "To", "cc": "Cc", "subject": "Subject", "date": "Date", "flags": "Flags",
        "size": "Octets", "attachments": "Attached",
    })
    click.echo()
    click.echo(printable(shown["text"]))


def printable(text: str) -> str:
    """Text of a message for a terminal: lines stay, what a terminal would act on does not."""
    return "\n".join(
        "".join(char if char.isprintable() or char == "\t" else "�" for char in line)
        for line in text.replace("\r\n", "\n").split("\n")
    )


@message.command("import", short_help="Import .eml files, an mbox or a Maildir.")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--inbox", required=True, help="The inbox that gets the mail.")
@click.option("--mailbox", default="INBOX", show_default=True, help="Made when it is missing.")
@click.option("--format", "form", type=FORMATS, help="Else guessed: an .eml file or directory of them, mbox, Maildir.")
@click.option("--quoting", type=click.Choice(["rd", "o", "none"]), default="rd", show_default=True,
              help="How an mbox marks lines that begin with From.")
@json_option
@pass_runtime
def message_import(
    runtime: Runtime, source: Path, inbox: str, mailbox: str, form: str | None, quoting: str, as_json: bool
) -> None:
    """Import mail from .eml files, an mbox or a Maildir (with its folders), flags and dates kept.

    \b
    Examples:
      gateway message import ~/old.mbox --inbox alice@mail.example --mailbox Archive
      gateway message import ~/Maildir --inbox alice@mail.example
    """
    from .transfer import import_messages

    report = import_messages(runtime, source, inbox, mailbox, form, quoting)
    _told(report, "imported", as_json)


@message.command("export", short_help="Export a mailbox as .eml files, mbox or Maildir.")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--inbox", required=True)
@click.option("--mailbox", default="INBOX", show_default=True)
@click.option("--format", "form", type=FORMATS, default="eml", show_default=True)
@click.option("--uid", "uids", type=click.IntRange(min=1), multiple=True, help="Only this message; may be repeated.")
@json_option
@pass_runtime
def message_export(
    runtime: Runtime, target: Path, inbox: str, mailbox: str, form: str, uids: tuple[int, ...], as_json: bool
) -> None:
    """Export a mailbox into a directory of .eml files, an mbox file or a Maildir. TARGET must not exist yet.

    \b
    Example:
      gateway message export sent.mbox --inbox alice@mail.example --mailbox Sent --format mbox
    """
    from .transfer import export_messages

    report = export_messages(runtime, target, inbox, mailbox, form, list(uids) or None)
    _told(report, "exported", as_json)


def _told(report: dict[str, Any], verb: str, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    for one in report["skipped"]:
        click.echo(f"{one['where']}: {one['reason']}", err=True)
    rest = f"; {len(report['skipped'])} with a remark above" if report["skipped"] else ""
    count = report[verb]
    click.echo(f"{count} message{'s' if count != 1 else ''} {verb} ({octets(report['octets'])}){rest}.")
