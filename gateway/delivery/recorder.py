"""Writes down how attempts ended. Those that end while a unit is being written go into the next one together.

An attempt is not over before its outcome is durable, so that each connection has one message at most whose outcome a
crash would leave unknown.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.model.errors import Unavailable
from gateway.model.ports import Clock
from gateway.outbound.verdict import Verdict
from gateway.store import queue_doubt, queue_outcome
from gateway.store.db import Database, Tx, settle
from gateway.store.queue import QueueItem, QueueState
from gateway.store.queue_outcome import Result

from .bounces import Mailing, Notices
from .notify import Ended
from .policy import Decision
from .ports import NO_ACCOUNTS, Accounts
from .telling import Attempted, send_report

log = structlog.get_logger(__name__)

TOGETHER: Final = 100  # attempts a unit
_QUICK: Final = 60  # recipients whose rows are written on the loop itself: half a millisecond


@dataclass(frozen=True, slots=True)
class _Waiting:
    ended: Ended
    results: list[Result]
    back: Mailing | None
    now: int
    written: asyncio.Future[bool]


class Recorder:
    """One a process: the one place where queue rows change after an attempt."""

    def __init__(
        self, db: Database, notices: Notices, *, owner: str, clock: Clock, accounts: Accounts = NO_ACCOUNTS
    ) -> None:
        self._accounts = accounts
        self._db = db
        self._notices = notices
        self._owner = owner
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, ended: Ended) -> None:
        """Durable when this returns. Rows whose lease was lost meanwhile stay as they are. Unavailable."""
        now = int(self._clock())
        pairs = list(zip(ended.items, ended.decisions, strict=True))
        results = [_result(item, decision, ended.remote) for item, decision in pairs]
        back = await self._notices.after(ended, now)
        entry = _Waiting(ended, results, back, now, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._writing is None:
            self._writing = asyncio.create_task(self._drain())
        told = await entry.written
        _tell(ended)
        if not told and any(decision.state is QueueState.BOUNCED for decision in ended.decisions):
            sender = ended.items[0].mail_from
            log.warning("delivery.no_bounce", submission=ended.items[0].submission_uuid, null_sender=not sender)

    async def drained(self, seconds: float) -> None:
        """Waits until nothing is left to write, or so long: an attempt that was cut may have ended before."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=seconds)

    async def _drain(self) -> None:
        """Until nothing waits. Never fails: failures belong to those who wait."""
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
                if await self._unit(group):
                    continue
                for entry in group:  # one of them is to blame: each shows its own outcome
                    if not await self._unit([entry], alone=True):
                        raise AssertionError("a unit of one is always answered")
        finally:
            self._writing = None

    async def _unit(self, group: list[_Waiting], *, alone: bool = False) -> bool:
        """Whether all of the group were answered."""
        # All that an outcome is noted in, not only those that are told: who locks several locks them at once, in order.
        inboxes = {item.inbox_id for entry in group for item in entry.ended.items}
        told = {entry.back.inbox_id for entry in group if entry.back is not None}
        octets = sum(entry.back.size for entry in group if entry.back is not None)
        rows = sum(len(entry.results) for entry in group)
        try:
            returned = await self._db.write(
                lambda tx: self._write(tx, group),
                inboxes=tuple(sorted(inboxes | told)),
                octets=octets,
                quick=rows <= _QUICK and not told,
            )
        except Unavailable as error:
            for entry in group:
                settle(entry.written, None, error)
        except Exception as error:
            if len(group) > 1 and not alone:
                return False
            for entry in group:
                settle(entry.written, None, error)
        else:
            for entry, value in zip(group, returned, strict=True):
                settle(entry.written, value, None)
        return True

    def _write(self, tx: Tx, group: list[_Waiting]) -> list[bool]:
        """For each entry: whether its sender was told."""
        applied = queue_outcome.settle(
            tx, [result for entry in group for result in entry.results], group[0].now, owner=self._owner
        )
        for entry in group:
            if entry.ended.attempted is not None:
                self._report(tx, entry.ended, entry.ended.attempted, applied, entry.now)
        return [entry.back is not None and entry.back.deliver(tx, entry.now, applied) for entry in group]

    def _report(self, tx: Tx, ended: Ended, attempted: Attempted, applied: set[int], now: int) -> None:
        """To the account's keeper; rows whose lease was lost are somebody else's to tell of."""
        rows = [item.recipient_id for item in ended.items if item.recipient_id in applied]
        if not rows:
            return
        unknown = [
            item.recipient_id
            for item, outcome in zip(ended.items, attempted.outcomes, strict=True)
            if outcome.verdict is Verdict.UNKNOWN and item.recipient_id in applied
        ]
        if unknown and ended.remote is not None and not attempted.fallback:  # what the account will be asked about
            queue_doubt.note_unknown(tx, unknown, now, "no answer after the end of the message")
        self._accounts.report(tx, send_report(tx, attempted, ended.items, ended.decisions, ended.remote, now))


def _result(item: QueueItem, decision: Decision, remote: str | None) -> Result:
    return Result(
        recipient_id=item.recipient_id,
        submission_id=item.submission_id,
        state=decision.state,
        code=decision.code,
        enhanced=decision.enhanced,
        text=decision.text.encode("utf-8", "replace"),
        next_attempt=decision.next_attempt,
        remote=remote,
        hold_reason=decision.hold_reason,
    )


def _tell(ended: Ended) -> None:
    for item, decision in zip(ended.items, ended.decisions, strict=True):
        log.info(
            f"delivery.{decision.state}",
            submission=item.submission_uuid,
            recipient=item.address,
            remote=ended.remote,
            code=decision.code,
            enhanced=decision.enhanced,
            text=decision.text,
            next_attempt=decision.next_attempt,
        )
