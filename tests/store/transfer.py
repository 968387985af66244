"""Import and export between a store and files in one process, for the tests of both halves.

Over the control socket the two halves run in two processes: `sources` and `targets` with the files, `Importer` and
`exported` with the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.ingest.writer import Ingest
from gateway.maintain.exporter import exported, octets_of
from gateway.maintain.importer import MAX_IMPORT_SIZE, Importer, ImportReport, Skipped
from gateway.maintain.mbox import Quoting
from gateway.maintain.sources import Format, SourceMessage, guess_format, read_source, total_octets
from gateway.maintain.targets import open_target
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import InboxId
from gateway.model.ports import Clock
from gateway.store import mailboxes
from gateway.store.db import Database


@dataclass(frozen=True, slots=True)
class Progress:
    """Octets of the source (import) or messages of the mailbox (export) done, of so many."""

    done: int
    total: int


@dataclass(slots=True)
class ExportReport:
    exported: int = 0
    octets: int = 0
    skipped: list[Skipped] = field(default_factory=list)


async def import_path(
    db: Database,
    ingest: Ingest,
    inbox_id: InboxId,
    mailbox: str,
    path: Path,
    *,
    now: Clock,
    form: Format | None = None,
    quoting: Quoting = Quoting.RD,
    max_size: int = MAX_IMPORT_SIZE,
    progress: Callable[[Progress], None] | None = None,
) -> ImportReport:
    """Import a file or directory into `mailbox`, which is made when it is missing; Maildir++ children go below it.

    Raises InvalidRequest when there is nothing to read, Unavailable when the store fails meanwhile.
    """
    try:
        chosen = form if form is not None else await asyncio.to_thread(guess_format, path)
        total = await asyncio.to_thread(total_octets, path, chosen)
        source = await asyncio.to_thread(read_source, path, chosen, quoting=quoting)
        importer = Importer(db, ingest, inbox_id, mailbox, now=now, max_size=max_size)
        while (message := await asyncio.to_thread(_next, source)) is not None:
            await importer.add(
                _pieces(message),
                where=message.where,
                folder=message.folder,
                date=message.date,
                flags=message.flags,
                keywords=message.keywords,
            )
            if progress is not None:
                progress(Progress(message.done, total))
        report = await importer.finish()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    if progress is not None:
        progress(Progress(total, total))
    return report


async def export_mailbox(
    db: Database,
    inbox_id: InboxId,
    mailbox: str,
    path: Path,
    form: Format,
    *,
    uids: Sequence[int] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> ExportReport:
    """Export a mailbox (or some UIDs) to `path`, which must not exist. NotFound, AlreadyExists, InvalidRequest."""
    found = await db.read(lambda rx: mailboxes.by_name(rx, inbox_id, mailbox))
    if found is None or found.noselect:
        raise NotFound(f"There is no mailbox {mailbox}")
    report = ExportReport()
    total = found.messages if uids is None else len(uids)
    try:
        target = await asyncio.to_thread(open_target, path, form)
        try:
            async for message in exported(db, inbox_id, found, uids):
                await asyncio.to_thread(target.begin, message)
                try:
                    async for chunk in octets_of(db, message.content_id):
                        await asyncio.to_thread(target.write, chunk)
                except NotFound as error:
                    await asyncio.to_thread(target.drop)
                    report.skipped.append(Skipped(f"UID {message.uid}", str(error)))
                    continue
                await asyncio.to_thread(target.end)
                report.exported += 1
                report.octets += message.size
                if progress is not None:
                    progress(Progress(report.exported, total))
        finally:
            await asyncio.to_thread(target.close)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}") from error
    return report


def _next(source: Iterator[SourceMessage]) -> SourceMessage | None:
    return next(source, None)


async def _pieces(message: SourceMessage) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(message.read):
        yield chunk
