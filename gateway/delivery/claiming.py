"""Claims what the agenda picked, and gives back what cannot go after all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ports import Clock, Metrics
from gateway.outbound.verdict import Outcome, Stage, Verdict
from gateway.store import queue_claim
from gateway.store.db import Database
from gateway.store.queue import QueueItem

from .agenda import Agenda
from .attempt import Job
from .lanes import Pick
from .live_ways import hop_name
from .routes import Found, RouteKind
from .scout import Scout
from .settings import DeliverySettings
from .source import small_ones, stored
from .ways import Ways

log = structlog.get_logger(__name__)

AT_HAND: Final = 33_554_432  # octets of messages read ahead; beyond it each is read when its turn comes
EXPIRED_ROWS: Final = 200  # given up by one look


def _without(job: Job, rows: set[int]) -> Job:
    return replace(job, items=tuple(item for item in job.items if item.recipient_id not in rows))


class Claims:
    """One a process; `owner` is its name on leases."""

    def __init__(
        self,
        db: Database,
        agenda: Agenda[Job],
        scout: Scout,
        settings: DeliverySettings,
        *,
        owner: str,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self._db = db
        self._agenda = agenda
        self._scout = scout
        self._owner = owner
        self._clock = clock
        self._metrics = metrics
        self._renewed_at = 0.0

    @property
    def doubtful(self) -> bool:
        """Leases of what was claimed may be over: the clock was set, or the store was away when they were due.

        Somebody else may have claimed the rows then, so nothing may begin before `reassure`.
        """
        return not 0 <= self._clock() - self._renewed_at < self.settings.lease_s * 2 / 3

    async def reassure(self, under_way: set[int]) -> None:
        """Renews the leases of what is under way and of what waits to begin; that which is ours no more never will.

        Unavailable.
        """
        now = self._clock()
        ready = {item.recipient_id for hop in self._agenda.hops() for job in hop.ready for item in job.items}
        if every := sorted(ready | under_way):
            until, owner = int(now) + self.settings.lease_s, self._owner
            lost = ready - await self._db.write(lambda tx: queue_claim.keep_leases(tx, every, owner, until))
            for hop in self._agenda.hops() if lost else ():
                left = [_without(job, lost) for job in hop.ready]
                hop.ready = deque(job for job in left if job.items)
        self._renewed_at = now

    async def take(self, ways: Ways, under_way: set[int]) -> int:
        """Claims what the agenda wants now; how many rows were asked for. Unavailable: it wants them again."""
        picks = self._agenda.to_claim(self._clock())
        if not picks:
            return 0
        rows = [number for pick in picks for number in pick.recipients]
        if ours := under_way.intersection(rows):  # their lease is over, the attempt is not
            await self.renew(list(ours))
            rows = [number for number in rows if number not in ours]
        jobs: list[Job] = []
        claimed: list[QueueItem] = []
        try:
            claimed = await self._claim(rows)
            jobs = await self._jobs(ways, claimed)
        except GatewayError:
            if claimed:
                await self.unclaim(claimed)
            self._wait_again(picks)
            raise
        finally:
            for pick in picks:
                self._agenda.claimed(pick)
        turn = {number: place for place, number in enumerate(rows)}
        for job in sorted(jobs, key=lambda job: turn[job.items[0].recipient_id]):
            self._agenda.hop(hop_name(self._agenda, job.found)).ready.append(job)
        return len(rows)

    async def _claim(self, rows: Sequence[int]) -> list[QueueItem]:
        started = time.perf_counter()
        now, lease_s, owner = int(self._clock()), self.settings.lease_s, self._owner
        items = await self._db.write(lambda tx: queue_claim.claim(tx, rows, now, lease_s, owner))
        self._metrics.observe("queue_claim_seconds", time.perf_counter() - started)
        self._scout.claimed(rows)
        return items

    def _wait_again(self, picks: Sequence[Pick]) -> None:
        for pick in picks:
            lanes = self._agenda.hop(pick.hop).lanes
            for number in pick.recipients:
                lanes.add(pick.inbox_id, pick.submission_id, number)

    async def _jobs(self, ways: Ways, items: Sequence[QueueItem]) -> list[Job]:
        """Grouped by submission and route: one transaction each."""
        released = await self._released(ways, items)
        grouped: dict[tuple[int, str], tuple[Found | None, list[QueueItem]]] = {}
        for item in items:
            found = ways.of(item, released=item.recipient_id in released)
            key = (item.submission_id, found.route.name if found else "")
            grouped.setdefault(key, (found, []))[1].append(item)
        wanted = (item.content_id for item in items)
        messages = await small_ones(self._db, wanted) if self._at_hand() < AT_HAND else {}
        size = self.settings.recipients
        return [
            Job(found, tuple(members[start : start + size]), messages.get(members[0].content_id))
            for found, members in grouped.values()
            for start in range(0, len(members), size)
        ]

    def _at_hand(self) -> int:
        """Octets of messages that were read and wait their turn, those of next hops that hang too."""
        ready = (job.message for hop in self._agenda.hops() for job in hop.ready)
        return sum(message.size for message in ready if message is not None)

    async def _released(self, ways: Ways, items: Sequence[QueueItem]) -> frozenset[int]:
        """Recipients that a rule would hold and somebody has let go: they are not held twice."""
        if not any(rule.route.kind is RouteKind.HOLD for rule in ways.routes.rules):
            return frozenset()
        rows = [
            item.recipient_id
            for item in items
            if (found := ways.of(item)) and found.route.kind is RouteKind.HOLD
        ]
        return await self._db.read(lambda rx: queue_claim.held_before(rx, rows)) if rows else frozenset()

    def left_out(self) -> bool:
        """A lane that was too long is empty now: what did not fit into it waits to be found."""
        return any(hop.lanes.full and not hop.lanes.waiting for hop in self._agenda.hops())

    async def expired(self, ways: Ways) -> list[tuple[Job, Outcome]]:
        """Claims what is due, has lived its time, and may not go now; with why it could not. Unavailable."""
        now = int(self._clock())
        before = now - self.settings.schedule.lifetime
        found = await self._db.read(lambda rx: queue_claim.expired(rx, before, now, EXPIRED_ROWS))
        rows = []
        for due in found:
            to = ways.of(due)
            if to is not None and self._agenda.hop(to.route.name).breaker.failures:
                rows.append(due.recipient_id)
        if not rows:
            return []
        jobs = await self._jobs(ways, await self._claim(rows))
        return [
            (job, Outcome(Verdict.TEMPORARY, Stage.ROUTE, None, "4.4.1", self._agenda.hop(job.hop).breaker.reason))
            for job in jobs
        ]

    async def header(self, job: Job) -> bytes:
        """Of the job's message; empty when it cannot be read."""
        try:
            message = job.message or await stored(self._db, job.items[0].content_id)
        except GatewayError as error:
            log.warning("delivery.unreadable", submission=job.items[0].submission_uuid, reason=str(error))
            return b""
        return message.header

    async def renew(self, rows: Sequence[int]) -> None:
        if not rows:
            return
        until = int(self._clock()) + self.settings.lease_s
        try:
            await self._db.write(lambda tx: queue_claim.renew_lease(tx, rows, self._owner, until))
        except GatewayError as error:
            log.warning("delivery.store_unavailable", reason=str(error))

    async def give_back(self, jobs: Sequence[Job]) -> None:
        """What was claimed and cannot go now: it waits again, without counting as tried."""
        if not jobs:
            return
        items = [item for job in jobs for item in job.items]
        self._scout.given_back((item.recipient_id for item in items), int(self._clock()))
        await self.unclaim(items)
        for job in jobs:
            lanes = self._agenda.hop(job.hop).lanes
            for item in job.items:
                lanes.add(item.inbox_id, item.submission_id, item.recipient_id)

    async def unclaim(self, items: Sequence[QueueItem]) -> None:
        rows, now = [item.recipient_id for item in items], int(self._clock())
        try:
            await self._db.write(lambda tx: queue_claim.unclaim(tx, rows, self._owner, now))
        except GatewayError as error:
            log.warning("delivery.store_unavailable", reason=str(error))  # their leases lapse instead
