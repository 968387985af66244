"""The command line's half of import and export: files on this side, the store on the other, frames between them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import click

from gateway.control.frames import Frame
from gateway.maintain.mbox import Quoting
from gateway.maintain.sources import Format, SourceMessage, guess_format, read_source, total_octets
from gateway.maintain.targets import ExportedMessage, Target, open_target, refuse_existing
from gateway.model.ids import ContentId

from .runtime import Runtime

_NO_CONTENT: Final = ContentId(0)  # the store's own number of a content never leaves it


def import_messages(
    runtime: Runtime, source: Path, inbox: str, mailbox: str, form: str | None, quoting: str
) -> dict[str, Any]:
    """Read `source` here and send it; the report of the operation. OSError names a file that cannot be read."""
    kind = Format(form) if form is not None else guess_format(source)
    with _bar(total_octets(source, kind), "Importing") as bar:
        messages = read_source(source, kind, quoting=Quoting(quoting))
        report: dict[str, Any] = runtime.call("message.import", inbox=inbox, mailbox=mailbox, feed=_feed(messages, bar))
    return report


async def _feed(messages: Iterator[SourceMessage], bar: Any) -> AsyncIterator[Frame]:
    """Each message as its head and its octets; files are read in a thread, for they may lie on a slow disk."""
    done = 0
    while (message := await asyncio.to_thread(next, messages, None)) is not None:
        yield {"message": {
            "where": message.where, "folder": message.folder, "date": message.date, "flags": message.flags,
            "keywords": list(message.keywords),
        }}
        while chunk := await asyncio.to_thread(message.read):
            yield chunk
        bar.update(message.done - done)
        done = message.done


def export_messages(
    runtime: Runtime, target: Path, inbox: str, mailbox: str, form: str, uids: list[int] | None
) -> dict[str, Any]:
    """Receive a mailbox and write it here; the report of the operation. AlreadyExists when `target` is there.

    A mailbox that is not there makes no files.
    """
    refuse_existing(target, Format(form))
    writer = _Writer(target, Format(form))
    try:
        report: dict[str, Any] = runtime.call(
            "message.export", inbox=inbox, mailbox=mailbox, uids=uids, on_frame=writer.take
        )
    finally:
        writer.close()
    if lost := writer.keywords_lost:
        report["skipped"].append({"where": str(target), "reason": f"{lost} keywords are missing: a Maildir has 26"})
    return report


class _Writer:
    """Frames of an export into a target."""

    def __init__(self, path: Path, form: Format) -> None:
        self._path = path
        self._form = form
        self._opened: Target | None = None
        self._bar: Any = None

    @property
    def keywords_lost(self) -> int:
        """Keywords of messages that were written without them."""
        return self._opened.keywords_lost if self._opened is not None else 0

    async def take(self, frame: Frame) -> None:
        await asyncio.to_thread(self._take, frame)

    def _take(self, frame: Frame) -> None:
        if not isinstance(frame, bytes) and "total" in frame:
            self._opened = open_target(self._path, self._form)
            self._bar = _bar(frame["total"], "Exporting")
            self._bar.__enter__()
            return
        target = self._opened
        assert target is not None  # the total comes first
        if isinstance(frame, bytes):
            target.write(frame)
        elif "message" in frame:
            told = frame["message"]
            target.begin(ExportedMessage(
                mailbox=told["mailbox"], uidvalidity=told["uidvalidity"], uid=told["uid"], date=told["date"],
                size=told["size"], flags=told["flags"], keywords=tuple(told["keywords"]), content_id=_NO_CONTENT,
            ))
        elif frame.get("end") is None:
            target.end()
            self._bar.update(1)
        else:
            target.drop()
            self._bar.update(1)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


def _bar(total: int, label: str) -> Any:
    """A progress bar on standard error, silent where nobody looks."""
    return click.progressbar(length=total, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())
