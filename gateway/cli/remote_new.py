"""gateway remote new: new mail of an account, handed on message by message; where it stopped is in the store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from gateway.control.frames import Frame
from gateway.model.errors import GatewayError, LimitReached, Unavailable

from . import interruptible
from .output import cell, json_option, show_list
from .remote import pod_option
from .runtime import Runtime, pass_runtime

if TYPE_CHECKING:
    from gateway.connectors.remote.polling import Target

Json = Any
_SPOOL: Final = 64 * 1024  # octets of a message that stay in memory


@click.command("new", short_help="Hand on new mail: to a command, a directory, as JSON.")
@click.argument("name")
@click.argument("mailbox")
@pod_option
@json_option
@click.option("--poller", required=True, metavar="ID", help="Whose new mail: each poller remembers where it stopped.")
@click.option("--exec", "command", metavar="COMMAND",
              help="Run a command of the shell for each message, which is its standard input.")
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Write each message into a file there.")
@click.option("--fetch/--no-fetch", default=None,
              help="With the messages themselves, or only what is known of them.  [default: not with --json]")
@click.option("--mark-read", is_flag=True, help="Mark as read what was handed on.")
@click.option("--from-start", is_flag=True, help="Begin with the first message there is, not with the next new one.")
@click.option("--after", type=click.IntRange(0, 2**32 - 1), metavar="UID", help="Go on behind this message.")
@click.option("--every", type=click.IntRange(1, 86_400), metavar="SECONDS",
              help="Look again and again, each time by a login.")
@pass_runtime
def remote_new(
    runtime: Runtime, /, command: str | None, directory: Path | None, fetch: bool | None, as_json: bool,
    every: int | None, mark_read: bool, **wanted: Any,
) -> None:  # fmt: skip
    """Hand on each new message once: to a command (--exec), into a directory (--dir), or as lines of JSON (--json).

    The first run only remembers where new mail begins. Later runs hand on what came since, the oldest first. A message
    counts as handed on when the command ended with status 0 or the file is written; else the next run begins with it.
    A crash in between can repeat one message, and loses none.

    The command finds MAIL_UID, MAIL_UIDVALIDITY, MAIL_MAILBOX, MAIL_FROM, MAIL_TO, MAIL_SUBJECT, MAIL_DATE,
    MAIL_MESSAGE_ID, MAIL_FLAGS, MAIL_SIZE, MAIL_CONNECTOR and MAIL_POLLER in its environment. Strangers wrote them:
    quote them.

    \b
    Examples:
      gateway remote new work INBOX --poller tickets --exec './ticket.sh' --mark-read --every 60
      gateway remote new work INBOX --poller archive --dir ~/archive --from-start
      gateway remote new work INBOX --poller log --json
    """
    chosen = sum((command is not None, directory is not None, as_json))
    if chosen != 1:
        raise click.UsageError("Say where mail goes: one of --exec, --dir and --json.")
    if directory is not None and fetch is False:
        raise click.UsageError("Into a directory go messages: --no-fetch has none.")
    content = fetch if fetch is not None else not as_json
    asking = Asking(runtime, wanted.pop("name"), wanted.pop("pod"), wanted.pop("poller"), wanted | {
        "fetch": content,
    })  # fmt: skip
    # Loaded before the loop runs: what a loop loads, no signal cuts off.
    from .remote_targets import CommandTarget, DirectoryTarget, JsonTarget

    target: Target = JsonTarget()
    if command is not None:
        target = CommandTarget(command)
    elif directory is not None:
        target = DirectoryTarget(directory)
    interruptible.run(_poll(asking, target, mark_read=mark_read, every=every))


async def _poll(asking: Asking, target: Target, *, mark_read: bool, every: int | None) -> None:
    from gateway.app.datadir import Busy
    from gateway.connectors.remote.polling import poll

    while True:
        notices: list[str] = []
        try:
            await poll(asking, target, mark_read=mark_read, notices=notices)
        except (Unavailable, LimitReached, Busy) as error:
            if every is None:
                raise
            notices.append(f"{error} (looking again in {every} seconds)")
        finally:
            for notice in notices:
                click.echo(f"gateway: {notice}", err=True)
        if every is None:
            return
        await asyncio.sleep(every)


@dataclass
class Asking:
    """`polling.Source` by way of the server that has the store, or the store itself."""

    runtime: Runtime
    name: str
    pod: str | None
    poller: str
    wanted: dict[str, Json]

    async def page(self) -> Any:
        incoming = _Incoming(self.poller)
        try:
            done = await self.runtime.acall(
                "remote.new", name=self.name, pod=self.pod, poller=self.poller, on_frame=incoming.take, **self.wanted
            )
        except GatewayError as error:
            page = incoming.whole()
            if page is None or not page.messages:
                raise
            page.error = error
        else:
            page = incoming.whole()
            assert page is not None  # it begins before it ends well
            page.more = done["more"]
        finally:
            incoming.close()
        self.wanted["after"] = None  # once is enough
        return page

    async def delivered(self, position: Any, uid: int) -> Any:
        from gateway.connectors.remote.polling import Position

        told = await self.runtime.acall(
            "remote.delivered", name=self.name, pod=self.pod, poller=self.poller, position=_told(position), uid=uid
        )
        return Position(told["raw"].encode("latin-1"), told["uidvalidity"], told["uid"], told["version"])

    async def mark_read(self, position: Any, uids: Sequence[int]) -> None:
        await self.runtime.acall(
            "remote.flag", name=self.name, pod=self.pod, how="add", mailbox=self.wanted["mailbox"], by_uid=True,
            messages=",".join(map(str, uids)), flags=["\\Seen"], uidvalidity=position.uidvalidity,
        )  # fmt: skip


def _told(position: Any) -> Json:
    return {
        "raw": position.raw.decode("latin-1"), "uidvalidity": position.uidvalidity, "uid": position.uid,
        "version": position.version,
    }  # fmt: skip


class _Incoming:
    """Frames of `remote.new` as a page; octets go to files."""

    def __init__(self, poller: str) -> None:
        self._poller = poller
        self._begun: dict[str, Json] | None = None
        self._page: Any = None
        self._facts: dict[str, Json] | None = None
        self._content: BinaryIO | None = None

    async def take(self, frame: Frame) -> None:
        if isinstance(frame, bytes):
            if self._content is None:
                self._content = tempfile.SpooledTemporaryFile(_SPOOL)  # type: ignore[assignment] # noqa: SIM115
            assert self._content is not None
            await asyncio.to_thread(self._content.write, frame)
        elif "begin" in frame:
            self._begin(frame["begin"])
        elif "message" in frame:
            self._facts = frame["message"]
        elif "end" in frame:
            self._end(there=frame["end"])

    def _begin(self, told: dict[str, Json]) -> None:
        from gateway.connectors.remote.polling import Page, Position

        at = told["position"]
        self._begun = told
        self._page = Page(Position(at["raw"].encode("latin-1"), at["uidvalidity"], at["uid"], at["version"]))
        if told["reset"] is not None:
            self._page.notices.append(
                f"{cell(told['mailbox'])} has another UIDVALIDITY ({told['reset']} before, {at['uidvalidity']} now): "
                f"its messages have new UIDs; poller {self._poller} goes on behind UID {at['uid']}"
            )

    def _end(self, *, there: bool) -> None:
        from gateway.connectors.remote.polling import NewMessage

        content, self._content = self._content, None
        assert self._begun is not None
        assert self._facts is not None
        if not there:
            if content is not None:
                content.close()
            return
        if content is not None:
            content.seek(0)
        self._page.messages.append((
            NewMessage(
                self._begun["connector"], self._poller, self._begun["mailbox"], self._page.position.uidvalidity,
                _facts(self._facts),
            ),
            content,
        ))  # fmt: skip

    def whole(self) -> Any:
        """None: it did not begin."""
        return self._page

    def close(self) -> None:
        """What did not come to its end."""
        if self._content is not None:
            self._content.close()
            self._content = None


def _facts(told: dict[str, Json]) -> Any:
    from datetime import datetime

    from gateway.connectors.remote.values import MessageFacts

    date = int(datetime.fromisoformat(told["date"]).timestamp()) if told["date"] else None
    return MessageFacts(
        told["uid"], date, told["size"], tuple(told["flags"]), told["from"], told["to"], told["subject"],
        told["message_id"],
    )  # fmt: skip


@click.command("pollers")
@click.argument("name")
@pod_option
@click.option("--forget", metavar="ID", help="Forget how far this one has come.")
@json_option
@pass_runtime
def remote_pollers(runtime: Runtime, name: str, pod: str | None, forget: str | None, as_json: bool) -> None:
    """List the pollers of a connector, and how far they have come."""
    if forget is not None:
        runtime.call("remote.forget", name=name, pod=pod, poller=forget)
        click.echo(f"Poller {forget} begins anew.")
        return
    show_list(runtime.call("remote.pollers", name=name, pod=pod), {
        "poller": "Poller", "mailbox": "Mailbox", "uidvalidity": "UIDVALIDITY", "uid": "Up to UID", "updated_at": "At",
    }, as_json=as_json)  # fmt: skip
