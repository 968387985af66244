"""Sends scheduled drafts at their time: each by one unit that releases its recipients and files it as sent.

Several processes may do so over one store: the second finds that no draft decides about the submission any more.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from gateway.model.errors import GatewayError, Unavailable
from gateway.model.ids import InboxId, SubmissionId
from gateway.model.ports import Clock
from gateway.store import drafts
from gateway.store.db import Database, Wake, WakeKind

log = structlog.get_logger(__name__)

POLL_S: Final = 30.0  # what a lost wake-up, or a clock that is set, costs at most
GATHER_S: Final = 1.0  # between looks: acceptance wakes us with each message
PAGE: Final = 100


class Scheduler:
    """One a process; `run` is its task, which ends when it is cancelled."""

    def __init__(self, db: Database, clock: Clock, *, poll_s: float = POLL_S, gather_s: float = GATHER_S) -> None:
        self._db = db
        self._clock = clock
        self._poll_s = poll_s
        self._gather_s = gather_s
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Failures of the store are logged and tried again."""
        unsubscribe = self._db.subscribe(self._woken)
        try:
            while True:
                self._news.clear()
                wait = self._poll_s
                try:
                    await self.send_due()
                    due = await self._db.read(drafts.next_due)
                    if due is not None:
                        wait = min(max(due - self._clock(), 0.0) + 0.01, wait)
                except GatewayError as error:
                    log.warning("drafts.store_unavailable", reason=str(error))
                await self._pause(wait)
        finally:
            unsubscribe()

    async def send_due(self) -> int:
        """Send what is due; how many drafts. Unavailable."""
        count = 0
        while True:
            now = int(self._clock())
            page = await self._db.read(lambda rx: drafts.due(rx, now, PAGE))  # noqa: B023
            for submission, inbox in page:
                sent = await self._send(submission, inbox, now)
                log.info("drafts.sent" if sent else "drafts.failed", submission=submission, inbox=inbox)
            count += len(page)
            if len(page) < PAGE:
                return count

    async def _send(self, submission: SubmissionId, inbox: InboxId, now: int) -> bool:
        """False: it cannot be sent, which its owner sees. Unavailable."""
        try:
            return await self._db.write(lambda tx: drafts.send_due(tx, submission, now), inboxes=(inbox,))
        except Unavailable:
            raise
        except GatewayError as error:  # its copy has no place: it must not keep others waiting
            why = str(error)
            await self._db.write(lambda tx: drafts.fail(tx, submission, now, why), inboxes=(inbox,))
            return False

    async def _pause(self, seconds: float) -> None:
        """So long, or until there is news; never shorter than `gather_s` for that."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
        await asyncio.sleep(min(self._gather_s, seconds))

    def _woken(self, wake: Wake) -> None:
        if wake.kind is WakeKind.QUEUE:
            self._news.set()
