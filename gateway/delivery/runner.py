"""Works the queue off: claims what is due under a lease, hands it to its route, writes down what came of it.

A row is claimed in one unit and its outcome written in another; in between lies the attempt. When the process dies
there, the lease lapses and the row comes back as `interrupted`: the relay may have taken the mail, and the policy for
unknown outcomes decides. Nothing is lost, and nothing is repeated but there (invariant 6).
"""

from __future__ import annotations

import asyncio
import random
import secrets
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from gateway.ingest.writer import Ingest
from gateway.model.errors import GatewayError
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.outbound.smtp_transport import SmtpConnection
from gateway.outbound.verdict import Outcome, Stage, Verdict
from gateway.store import queue
from gateway.store.db import Database, Wake, WakeKind
from gateway.store.queue import QueueItem

from .bounces import Outcomes
from .carrier import Carrier, CutBeforeTheDot, OpenConnection
from .policy import NO_ROUTE, decide, unasked
from .routes import Found, RouteKind, Routes
from .settings import DeliverySettings
from .source import stored

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Recipients of one submission that go one way in one transaction. `found` None: nothing carries them."""

    found: Found | None
    items: tuple[QueueItem, ...]


class QueueRunner:
    """One a process. `run` is its task; `stop` ends it. A change of `routes` or settings counts from the next claim."""

    def __init__(
        self,
        db: Database,
        ingest: Ingest,
        routes: Routes,
        settings: DeliverySettings,
        *,
        clock: Clock,
        owner: str | None = None,
        connect: OpenConnection = SmtpConnection.open,
        chance: Callable[[], float] = random.random,
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self._db = db
        self._routes = routes
        self._settings = settings
        self._clock = clock
        self._owner = owner or f"runner-{secrets.token_hex(8)}"
        self._chance = chance
        self._metrics = metrics
        self._outcomes = Outcomes(db, ingest, owner=self._owner, hostname=settings.hostname)
        self._carrier = Carrier(db, settings, clock=clock, connect=connect, metrics=metrics)
        self._ready: deque[_Batch] = deque()
        self._running: dict[asyncio.Task[None], _Batch] = {}
        self._not_begun: list[QueueItem] = []
        self._wakeup = asyncio.Event()
        self._stopping = False

    @property
    def routes(self) -> Routes:
        return self._routes

    @routes.setter
    def routes(self, routes: Routes) -> None:
        """A reload: pauses are lifted, for somebody has just mended something."""
        self._routes = routes
        self._carrier.forget_pauses()
        self._wakeup.set()

    @property
    def settings(self) -> DeliverySettings:
        return self._settings

    @settings.setter
    def settings(self, settings: DeliverySettings) -> None:
        self._settings = self._carrier.settings = settings
        self._wakeup.set()

    def stop(self) -> None:
        """Claim no more, finish what runs (`stop_s` seconds), give back the rest; `run` returns then."""
        self._stopping = True
        self._wakeup.set()

    async def run(self) -> None:
        """Until `stop`. Failures of the store are logged and tried again: this task never ends by itself."""
        unsubscribe = self._db.subscribe(self._woken)
        renewal = asyncio.create_task(self._renew())
        try:
            if self._db.dialect == "sqlite":  # one process owns the store: whoever held a lease is gone
                await self._patiently(lambda: self._db.write(queue.lapse_leases))
            while not self._stopping:
                self._wakeup.clear()
                try:
                    wait = await self._turn()
                except Exception as error:  # a defect must not end deliveries for all: said loudly, tried again
                    self._defect(error)
                    wait = 5.0
                if wait > 0 and not self._stopping:
                    await self._sleep(wait)
        finally:
            unsubscribe()
            renewal.cancel()
            await self._wind_up()

    def _woken(self, wake: Wake) -> None:
        if wake.kind is WakeKind.QUEUE:
            self._wakeup.set()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wakeup.wait()
        except TimeoutError:
            return

    async def _patiently(self, unit: Callable[[], Awaitable[object]]) -> None:
        while not self._stopping:
            try:
                await unit()
                return
            except GatewayError as error:
                log.warning("delivery.store_unavailable", reason=str(error))
                await self._sleep(1.0)

    # -- claiming

    async def _turn(self) -> float:
        """Starts what can be started; returns for how many seconds there is nothing to do but to be woken."""
        await self._start_ready()
        free = self._settings.connections - len(self._running)
        if free <= 0 or self._ready:
            return self._settings.poll_s  # the end of an attempt wakes us
        now = self._clock()
        rest = self._rest()
        if rest > 0:
            return min(rest, self._settings.poll_s)
        try:
            due = await self._db.tiny(queue.next_due)
            if due is None or due > now:
                return self._settings.poll_s if due is None else min(due - now + 0.01, self._settings.poll_s)
            items = await self._db.write(
                lambda tx: queue.claim_due(
                    tx, int(now), free * self._settings.recipients, self._settings.lease_s, self._owner
                )
            )
        except GatewayError as error:
            log.warning("delivery.store_unavailable", reason=str(error))
            return 1.0
        # A clock that jumped, or an outage, may have ended the lease of what we are still sending: it is only renewed.
        running = {item.recipient_id for batch in self._running.values() for item in batch.items}
        items = [item for item in items if item.recipient_id not in running]
        if not items:  # or another node was faster
            return 1.0
        try:
            batches = self._batches(items, await self._released(items))
        except GatewayError as error:
            log.warning("delivery.store_unavailable", reason=str(error))
            await self._give_back(items)
            return 1.0
        self._ready.extend(batches)
        await self._start_ready()
        return 0.0

    def _rest(self) -> float:
        """Seconds until the route may be tried again; 0 when one is open. With one route claiming waits for it."""
        default = self._routes.default
        if default is None or self._routes.rules:
            return 0.0
        return self._carrier.rest(default)

    async def _released(self, items: Sequence[QueueItem]) -> frozenset[int]:
        """Recipients that a rule would hold and somebody has let go: they are not held twice."""
        routes = self._routes
        if not any(rule.route.kind is RouteKind.HOLD for rule in routes.rules):
            return frozenset()
        rows = [
            item.recipient_id
            for item in items
            if (found := routes.find(item.mail_from, item.address)) and found.route.kind is RouteKind.HOLD
        ]
        return await self._db.read(lambda rx: queue.held_before(rx, rows)) if rows else frozenset()

    def _batches(self, items: Sequence[QueueItem], released: frozenset[int]) -> list[_Batch]:
        grouped: dict[tuple[int, str], tuple[Found | None, list[QueueItem]]] = {}
        for item in items:
            found = self._routes.find(item.mail_from, item.address, released=item.recipient_id in released)
            key = (item.submission_id, found.route.name if found else "")
            grouped.setdefault(key, (found, []))[1].append(item)
        size = self._settings.recipients
        return [
            _Batch(found, tuple(members[start : start + size]))
            for found, members in grouped.values()
            for start in range(0, len(members), size)
        ]

    async def _start_ready(self) -> None:
        """What waits for a route that has just failed goes back in one unit, without counting as tried."""
        resting: list[QueueItem] = []
        while self._ready and len(self._running) < self._settings.connections and not self._stopping:
            batch = self._ready.popleft()
            if batch.found is not None and self._carrier.rest(batch.found.route) > 0:
                resting += batch.items
                continue
            task = asyncio.create_task(self._deliver(batch))
            self._running[task] = batch
            task.add_done_callback(self._ended)
        if resting:
            await self._give_back(resting)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wakeup.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The rows keep their lease and come back as interrupted when it lapses: slower than any failure we know.
            self._defect(error)

    def _defect(self, error: BaseException) -> None:
        """Without the exception's text: it may hold mail or a secret."""
        stack = traceback.extract_tb(error.__traceback__)[-8:]
        frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in stack]
        log.error("delivery.defect", kind=type(error).__name__, frames=frames)
        self._metrics.count("delivery_defects_total")

    # -- one attempt

    async def _deliver(self, batch: _Batch) -> None:
        items = batch.items
        if self._settings.unknown_outcome == "hold" and any(item.interrupted for item in items):
            held = tuple(item for item in items if item.interrupted)
            unknown = Outcome(Verdict.UNKNOWN, Stage.FINAL_DOT, None, None, "The attempt was interrupted")
            await self._record(held, [unknown] * len(held), None, b"")
            items = tuple(item for item in items if not item.interrupted)
            if not items:
                return
        self._metrics.count("delivery_interrupted_total", sum(item.interrupted for item in items))
        try:
            message = await stored(self._db, items[0].content_id)
        except GatewayError as error:
            log.warning("delivery.unreadable", submission=items[0].submission_uuid, reason=str(error))
            broken = Outcome(Verdict.TEMPORARY, Stage.CONNECT, None, "4.3.0", "The stored message cannot be read now")
            await self._record(items, [broken] * len(items), None, b"")
            return
        settled = NO_ROUTE if batch.found is None else unasked(batch.found)
        if batch.found is None or settled is not None:
            await self._record(items, [settled or NO_ROUTE] * len(items), None, message.header)
            return
        try:
            carried = await self._carrier.carry(batch.found.route, items, message)
        except CutBeforeTheDot:
            self._not_begun.extend(items)
            raise
        await self._record(items, carried.outcomes, carried.remote, message.header)

    async def _record(
        self, items: Sequence[QueueItem], outcomes: Sequence[Outcome], remote: str | None, header: bytes
    ) -> None:
        now = int(self._clock())
        progress = any(outcome.verdict is Verdict.SENT for outcome in outcomes)
        decisions = [
            decide(
                outcome,
                attempts=item.attempts,
                created_at=item.created_at,
                now=now,
                schedule=self._settings.schedule,
                unknown_outcome=self._settings.unknown_outcome,
                progress=progress,
                chance=self._chance(),
            )
            for item, outcome in zip(items, outcomes, strict=True)
        ]
        for outcome in outcomes:
            self._metrics.count("delivery_attempts_total", verdict=outcome.verdict.value)
        unit = self._outcomes.write(items, decisions, remote=remote, header=header, now=now)
        try:
            await unit
        except GatewayError as error:
            # What was sent and cannot be written down is an unknown outcome: once more while the lease is ours.
            log.warning("delivery.store_unavailable", reason=str(error))
            await self._patiently(
                lambda: self._outcomes.write(items, decisions, remote=remote, header=header, now=now)
            )

    # -- leases and the end

    async def _renew(self) -> None:
        """Keeps the leases of what runs or waits its turn: a large message to a slow relay takes long."""
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            batches = [*self._running.values(), *self._ready]
            rows = [item.recipient_id for batch in batches for item in batch.items]
            if not rows:
                continue
            until = int(self._clock()) + self._settings.lease_s
            try:
                await self._db.write(lambda tx: queue.renew_lease(tx, rows, self._owner, until))  # noqa: B023
            except GatewayError as error:
                log.warning("delivery.store_unavailable", reason=str(error))

    async def _wind_up(self) -> None:
        """What waits is given back; what runs may finish; what does not is cut and, if it was not ended, given back."""
        self._not_begun += [item for batch in self._ready for item in batch.items]
        self._ready.clear()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._settings.stop_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
                log.warning("delivery.cut", count=len(late))
        await self._carrier.close()
        if self._not_begun:
            await self._give_back(self._not_begun)

    async def _give_back(self, items: Sequence[QueueItem]) -> None:
        rows, now = [item.recipient_id for item in items], int(self._clock())
        try:
            await self._db.write(lambda tx: queue.unclaim(tx, rows, self._owner, now))
        except GatewayError as error:
            log.warning("delivery.store_unavailable", reason=str(error))  # their leases lapse instead
