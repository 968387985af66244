"""Looks at reports that came in, behind every acceptance, and sees to it that those that are owed are written.

What came in is noted by the unit that delivers it (`store.reports`) and settled by the unit that writes down what it
says, so a crash at any point repeats a look and never a result. Reports are read in a reader process: they are made by
anybody, and one part of the reading is somebody else's code.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.model import xtext
from gateway.model.errors import GatewayError, NotFound, TookTooLong
from gateway.model.ids import ContentId, InboxId
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.store import content, reports
from gateway.store.db import Database, Rx, Wake, WakeKind
from gateway.store.reports import HandedOn, Told

from .debts import Debts
from .foreign import Unreadable, read_foreign
from .reports import MAX_OCTETS, IncomingReport, Said, address_key, read_report

log = structlog.get_logger(__name__)

PIECE: Final = 20  # of what is due, asked for at once
SETTLING_S: Final = 0.2  # so that a burst of mail is one look at what is due


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look. `defect`: the detectors could not cope with it, by the name of what they raised."""

    told: tuple[Told, ...]
    defect: str | None = None


def look(rx: Rx, inbox_id: InboxId, content_id: ContentId) -> Looked:
    """Read a report, and find the recipients that it means; runs in a reader process."""
    try:
        header = content.read_header(rx, content_id)
        octets = header + content.read_body(rx, content_id, 0, max(MAX_OCTETS - len(header), 0))
    except NotFound:  # expunged and collected meanwhile
        return Looked(())
    octets = octets[:MAX_OCTETS]
    try:
        report = read_report(octets) or read_foreign(octets)
    except Unreadable as error:
        return Looked((), str(error))
    if report is None:
        return Looked(())
    return Looked(tuple(_meant(report, reports.handed_on(rx, inbox_id, report.envelope_id, report.message_ids))))


def _meant(report: IncomingReport, rows: list[HandedOn]) -> list[Told]:
    """The row of each recipient that the report names, of the latest submission that has it; each row once."""
    by_address: dict[str, HandedOn] = {}
    for row in rows:
        original = xtext.original(row.orcpt) if row.orcpt else None
        for address in (row.address, *(original[1:] if original else ())):
            by_address.setdefault(address_key(address), row)
    found: dict[int, Told] = {}
    for said in report.said:
        for key in map(address_key, said.addresses):
            if key in by_address:
                row = by_address[key]
                found.setdefault(row.recipient_id, _told(row, said))
                break
    return list(found.values())


def _told(row: HandedOn, said: Said) -> Told:
    text = said.text.encode("utf-8", "replace")
    return Told(row, said.event, said.code, said.enhanced, text, said.remote)


class ReportDesk:
    """One a process. `run` works until it is cancelled."""

    def __init__(self, db: Database, debts: Debts, *, clock: Clock, metrics: Metrics = NULL_METRICS) -> None:
        self.debts = debts
        self._db = db
        self._clock = clock
        self._metrics = metrics
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Work off what is due, then wait for more."""
        unsubscribe = self._db.subscribe(self._wake)
        try:
            while True:
                self._woken.clear()
                try:
                    await self.work()
                except GatewayError as error:  # the disk is full, or the database away: later
                    log.warning("reports.deferred", reason=str(error))
                await self._wait()
        finally:
            unsubscribe()

    async def work(self) -> None:
        """All that is due now. Unavailable."""
        while due := await self._db.tiny(lambda rx: reports.due(rx, PIECE)):
            for content_id, inbox_id in due:
                await self._read(inbox_id, content_id)
        await self.debts.pay()

    async def _read(self, inbox_id: InboxId, content_id: ContentId) -> None:
        try:
            looked = await self._db.offload_bulk(look, inbox_id, content_id)
        except TookTooLong:
            looked = Looked((), "time limit")
        now = int(self._clock())
        count = await self._db.write(lambda tx: reports.settle_report(tx, inbox_id, content_id, looked.told, now))
        if looked.defect is not None:
            log.warning("reports.unreadable", inbox=inbox_id, content=content_id, reason=looked.defect)
        for told in looked.told if count else ():
            log.info(
                f"delivery.reported_{told.event}",
                submission=told.about.submission_id,
                recipient=told.about.address,
                remote=told.remote,
                code=told.code,
                enhanced=told.enhanced,
            )
        self._metrics.count("delivery_reports_total", result="matched" if count else "other")

    def _wake(self, wake: Wake) -> None:
        if wake.kind is WakeKind.QUEUE:
            self._woken.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self.debts.next_look):
                await self._woken.wait()
        except TimeoutError:
            return
        await asyncio.sleep(SETTLING_S)
