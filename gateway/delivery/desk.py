"""Looks at reports that came in, behind every acceptance, and sees to it that those that are owed are written.

What came in is noted by the unit that delivers it (`store.reports`) and settled by the unit that writes down what it
says, so a crash at any point repeats a look and never a result. Reports are read in a reader process: they are made by
anybody, and one part of the reading is somebody else's code.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ids import ContentId, InboxId
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.store import reports
from gateway.store.db import Database, Wake, WakeKind

from .debts import Debts
from .looking import Looked, look

log = structlog.get_logger(__name__)

PIECE: Final = 20  # of what is due, asked for at once
SETTLING_S: Final = 0.2  # so that a burst of mail is one look at what is due


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
        looked = await self._look(inbox_id, content_id)
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

    async def _look(self, inbox_id: InboxId, content_id: ContentId) -> Looked:
        """Unavailable, when the store is. A report that nobody can read is given up: it never holds up the others."""
        try:
            return await self._db.offload_bulk(look, inbox_id, content_id)
        except GatewayError as error:
            await self._db.read(lambda rx: reports.due(rx, 1))  # the store is there: it is this report
            return Looked((), type(error).__name__)
        except Exception as error:  # a defect of ours: said loudly, without the error's text, for that may hold mail
            log.error("reports.defect", content=content_id, kind=type(error).__name__)
            return Looked(())

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
