"""gateway remote download | append | copy | move | delete | flags: messages of an account."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from .output import cell, octets, print_json
from .remote import in_folder, seconds_of
from .runtime import Runtime

Json = Any

uid_option = click.option("--uid", "by_uid", is_flag=True, help="MESSAGES are UIDs, not positions.")


@click.command("download", short_help="A message, or one part of it, to a file or standard output.")
@in_folder
@click.argument("message")
@uid_option
@click.option("--part", default="", metavar="NUMBER", help="Only this part of it: 1, 2.1 …")
@click.option("--decoded", is_flag=True, help="The part without its base64 or quoted-printable.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write it there, which must not exist yet.  [default: standard output]")
def download(runtime: Runtime, /, as_json: bool, output: Path | None, **wanted: Any) -> None:
    """Download a message, or one part of it. It is not marked as read.

    \b
    Examples:
      gateway remote download work INBOX '*' > newest.eml
      gateway remote download work INBOX 4711 --uid --part 2 --decoded -o report.pdf
    """
    from .remote_files import downloaded

    if as_json and output is None:
        raise click.UsageError("With --json the message goes to a file: give --output.")
    done = downloaded(runtime, output, wanted)
    if as_json:
        print_json(done)
    elif output is not None:
        click.echo(f"{output}: {octets(done['octets'])}, UID {done['uid']}, UIDVALIDITY {done['uidvalidity']}.")


@click.command("append", short_help="Put a message into a folder.")
@in_folder
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--flag", "flags", multiple=True, metavar="FLAG", help="seen, flagged, a keyword …; repeat it.")
@click.option("--date", "moment", metavar="TIME", help="When it arrived (ISO 8601).  [default: now]")
def append(runtime: Runtime, /, file: Path, flags: tuple[str, ...], moment: str | None, as_json: bool,
           **wanted: Any) -> None:  # fmt: skip
    """Put a message into a folder as it is: FILE is raw mail (RFC 5322), - standard input.

    A file whose lines end as on Unix is sent with the line ends of mail.

    \b
    Example:
      gateway remote append work Archive old.eml --flag seen --date 2019-05-04T10:00Z
    """
    from .remote_files import appended

    date = seconds_of(moment) if moment is not None else None
    filed = appended(runtime, file, wanted | {"flags": list(flags), "date": date})
    if as_json:
        print_json(filed)
        return
    where = f"UID {filed['uid']}" if filed["uid"] is not None else "its UID the server does not tell"
    click.echo(f"{octets(filed['size'])} in {cell(filed['mailbox'])}: {where}, UIDVALIDITY {filed['uidvalidity']}.")


@click.command("copy")
@in_folder
@click.argument("messages")
@click.argument("to")
@uid_option
def copy(runtime: Runtime, /, as_json: bool, **wanted: Any) -> None:
    """Copy messages into another folder."""
    _tell(runtime.call("remote.copy", **wanted), "copied", as_json)


@click.command("move")
@in_folder
@click.argument("messages")
@click.argument("to")
@uid_option
def move(runtime: Runtime, /, as_json: bool, **wanted: Any) -> None:
    """Move messages into another folder. Where the server cannot, they are copied and the originals deleted."""
    _tell(runtime.call("remote.move", **wanted), "moved", as_json)


@click.command("delete")
@in_folder
@click.argument("uids")
@click.option("--permanent", is_flag=True, help="For good, instead of into the account's Trash.")
def delete(runtime: Runtime, /, uids: str, as_json: bool, **wanted: Any) -> None:
    """Delete messages by their UIDs: into the account's Trash.

    \b
    Example:
      gateway remote delete work INBOX 4711,4715:4720 --uidvalidity 1620000000
    """
    _tell(runtime.call("remote.delete", messages=uids, **wanted), "deleted", as_json)


@click.group("flags")
def flags() -> None:
    """Flags of messages. FLAG is seen, answered, flagged, deleted, draft, or a keyword such as $Done."""


def _flag_command(op: str, what: str, *, needed: bool) -> None:
    @flags.command(op, help=what)
    @in_folder
    @click.argument("messages")
    @click.argument("names", nargs=-1, required=needed, metavar="FLAG...")
    @uid_option
    def command(runtime: Runtime, /, names: tuple[str, ...], as_json: bool, **wanted: Any) -> None:
        done = runtime.call("remote.flag", how=op, flags=list(names), **wanted)
        if as_json:
            print_json(done)
            return
        for message in done["messages"]:
            click.echo(f"{message['uid']}: {cell(message['flags'])}")


_flag_command("add", "Set flags that messages have not.", needed=True)
_flag_command("remove", "Take flags away.", needed=True)
_flag_command("set", "Exactly these flags; without any, none.", needed=False)


def _tell(done: dict[str, Json], verb: str, as_json: bool) -> None:
    """Also where the server left the originals."""
    if as_json:
        print_json(done)
    else:
        number = len(done["uids"])
        where = f" to {cell(done['to'])}" if done.get("to") else ""
        new = f"; UIDs there: {_short(done['to_uids'])}" if done.get("to_uids") else ""
        click.echo(f"{number} message{'s' if number != 1 else ''} {verb}{where}{new}.")
    if done.get("left_deleted"):
        click.echo(
            "The server cannot take single messages away (no UIDPLUS): the originals are there, marked \\Deleted.",
            err=True,
        )


def _short(uids: list[int]) -> str:
    from gateway.model.sequence import from_rising, render

    return render(from_rising(uids))


COMMANDS: Final = (download, append, copy, move, delete, flags)
