"""Messages of anywhere into one inbox, through the same writer as all mail, many small ones a unit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.ingest.writer import Ingest
from gateway.model.errors import GatewayError, InvalidName, LimitReached, NotFound, TooBig, Unavailable
from gateway.model.flags import MAX_KEYWORD_LENGTH
from gateway.model.ids import InboxId, MailboxId
from gateway.model.mailbox import DELIMITER
from gateway.model.ports import Clock
from gateway.store import content, mailboxes, messages
from gateway.store.content import StagedContent
from gateway.store.db import Database, Tx

UNIT_MESSAGES: Final = 50  # one unit holds the writer a few milliseconds
UNIT_OCTETS: Final = 512 * 1024
MAX_IMPORT_SIZE: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Skipped:
    """A message that was not imported (or lost its keywords), and why."""

    where: str
    reason: str


@dataclass(slots=True)
class ImportReport:
    """What became of an import so far."""

    imported: int = 0
    octets: int = 0
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Ready:
    where: str
    mailbox_id: MailboxId
    staged: StagedContent
    date: int
    flags: int
    keywords: tuple[str, ...]


class Importer:
    """Imports into a mailbox of one inbox and mailboxes below it. `add` each message, then `finish`.

    What `report` counts as imported is durable. A message that cannot be taken is skipped and reported; an outage
    (Unavailable) ends the import by its error. `progress` is called after each unit.
    """

    def __init__(
        self,
        db: Database,
        ingest: Ingest,
        inbox_id: InboxId,
        mailbox: str,
        *,
        now: Clock,
        max_size: int = MAX_IMPORT_SIZE,
        progress: Callable[[ImportReport], None] | None = None,
    ) -> None:
        self.report = ImportReport()
        self._db = db
        self._ingest = ingest
        self._inbox_id = inbox_id
        self._base = mailbox
        self._now = now
        self._max_size = max_size
        self._progress = progress
        self._mailboxes: dict[str, MailboxId] = {}
        self._ready: list[_Ready] = []
        self._ready_octets = 0

    async def add(
        self,
        chunks: AsyncIterator[bytes],
        *,
        where: str,
        folder: str = "",
        date: int | None = None,
        flags: int = 0,
        keywords: Sequence[str] = (),
    ) -> None:
        """One message. `chunks` is read to its end in any case. Without `date` the message's Date counts, or now."""
        try:
            staged = await self._stage(chunks)
            mailbox_id = await self._mailbox(folder)
        except Unavailable:
            raise
        except GatewayError as error:
            self.report.skipped.append(Skipped(where, str(error)))
            return
        words = tuple(word for word in keywords if len(word) <= MAX_KEYWORD_LENGTH)
        ready = _Ready(where, mailbox_id, staged, self._arrival(date, staged), flags, words)
        self._ready.append(ready)
        self._ready_octets += len(staged.header) + sum(len(piece) for piece in staged.tail)
        if len(self._ready) >= UNIT_MESSAGES or self._ready_octets >= UNIT_OCTETS:
            await self._flush()

    async def finish(self) -> ImportReport:
        """Store what still waits; the whole report."""
        await self._flush()
        return self.report

    async def _stage(self, chunks: AsyncIterator[bytes]) -> StagedContent:
        writer = self._ingest.writer(max_size=self._max_size)
        refused: GatewayError | None = None
        async for chunk in chunks:
            if refused is not None:
                continue
            try:
                await writer.write(chunk)
            except TooBig as error:
                refused = error
            except Unavailable:
                await writer.abort()
                raise
        if refused is None and writer.size == 0:
            refused = NotFound("There is nothing in it")
        if refused is not None:
            await writer.abort()
            raise refused
        return await writer.finish()

    async def _mailbox(self, folder: str) -> MailboxId:
        """The mailbox of `folder`, made when it is missing. InvalidName, LimitReached."""
        known = self._mailboxes.get(folder)
        if known is not None:
            return known
        name = self._base + DELIMITER + folder if folder else self._base

        def unit(tx: Tx) -> MailboxId:
            found = mailboxes.by_name(tx, self._inbox_id, name)
            if found is None or found.noselect:
                found = mailboxes.create(tx, self._inbox_id, name, now=int(self._now()))
            return found.id

        made = await self._db.write(unit, inboxes=(self._inbox_id,))
        self._mailboxes[folder] = made
        return made

    def _arrival(self, date: int | None, staged: StagedContent) -> int:
        now = int(self._now())
        if date is not None:
            return date
        sent = staged.meta.sent_date
        return sent if sent is not None and 0 <= sent <= now else now

    async def _flush(self) -> None:
        ready, self._ready, self._ready_octets = self._ready, [], 0
        if not ready:
            return
        try:
            await self._store(ready)
        except Unavailable:
            raise
        except GatewayError:  # one of them cannot be taken: the others can
            for one in ready:
                await self._store_alone(one)
        if self._progress is not None:
            self._progress(self.report)

    async def _store_alone(self, one: _Ready) -> None:
        try:
            await self._store([one])
        except LimitReached as error:
            if not one.keywords:
                self.report.skipped.append(Skipped(one.where, str(error)))
                return
            await self._store_alone(_Ready(one.where, one.mailbox_id, one.staged, one.date, one.flags, ()))
            self.report.skipped.append(Skipped(one.where, f"imported without its keywords: {error}"))
        except (NotFound, InvalidName) as error:
            self._mailboxes.clear()  # somebody deleted the mailbox meanwhile
            self.report.skipped.append(Skipped(one.where, str(error)))

    async def _store(self, ready: Sequence[_Ready]) -> None:
        now = int(self._now())

        def unit(tx: Tx) -> None:
            for one in ready:
                content.complete(tx, one.staged, now)
                messages.append(
                    tx,
                    one.mailbox_id,
                    self._inbox_id,
                    one.staged,
                    internal_date=one.date,
                    flags=one.flags,
                    keywords=one.keywords,
                    now=now,
                )

        octets = sum(len(one.staged.header) + sum(len(piece) for piece in one.staged.tail) for one in ready)
        await self._db.write(unit, inboxes=(self._inbox_id,), octets=octets)
        self.report.imported += len(ready)
        self.report.octets += sum(one.staged.size for one in ready)
