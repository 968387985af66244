"""Works the queue off: plans what goes next, claims it under a lease, hands it to its route, writes down the outcome.

A row is claimed in one unit and its outcome written in another; in between lies the attempt. When the process dies
there, the lease lapses and the row comes back as `interrupted`: the relay may have taken the mail, and the policy for
unknown outcomes decides. Nothing is lost, and nothing is repeated but there (invariant 6).

One task (`run`) looks for what is due, claims and starts; each running attempt is a task that goes on with the next
job of its next hop as long as the agenda says so.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from gateway.ingest.writer import Ingest
from gateway.model.errors import GatewayError
from gateway.model.ids import InboxId
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.outbound.smtp_transport import SmtpConnection
from gateway.store import queue_claim
from gateway.store.db import Database, Wake, WakeKind
from gateway.store.queue import QueueItem

from . import defects, local
from .agenda import Agenda, NextHop
from .attempt import Attempts, Job
from .bounces import Notices
from .carrier import Carrier, CutBeforeTheDot, OpenConnection
from .claiming import Claims
from .figures import hop_json, publish_hops, why_not
from .lanes import Lanes
from .live_ways import LiveWays
from .ports import NO_ACCOUNTS, Accounts
from .recorder import Recorder
from .routes import Routes
from .scout import Scout
from .settings import DeliverySettings
from .ways import Ways

log = structlog.get_logger(__name__)

GATHER_S: Final = 0.02  # between turns that only acceptance asks for: it does so with each message
NEWS_S: Final = 1.0  # between looks for what became due by time, while more arrives
SWEEP_S: Final = 60.0  # between looks for what grew too old while nothing may go to its next hop


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
        accounts: Accounts = NO_ACCOUNTS,
    ) -> None:
        self._db = db
        self._settings = settings
        self._clock = clock
        self._owner = owner or f"runner-{secrets.token_hex(8)}"
        self._metrics = metrics
        self._agenda: Agenda[Job] = Agenda(settings.places)
        self._carrier = Carrier(db, settings, clock=clock, connect=connect, metrics=metrics)
        self._live = LiveWays(routes, accounts, self._agenda, self._carrier, clock=clock)
        self._scout = Scout(db, self._live.hop_of)
        self._claims = Claims(db, self._agenda, self._scout, settings, owner=self._owner, clock=clock, metrics=metrics)
        notices = Notices(db, ingest, hostname=settings.hostname)
        self._recorder = Recorder(db, notices, owner=self._owner, clock=clock, accounts=accounts)
        here = local.LocalDelivery(db, ingest, owner=self._owner, clock=clock)
        self._attempts = Attempts(
            db, self._carrier, self._recorder, settings, here=here, clock=clock, chance=chance, metrics=metrics,
            patiently=self._patiently, ways=self._live, accounts=accounts, due_again=self._due_again,
        )  # fmt: skip
        self._running: dict[asyncio.Task[None], Job] = {}
        self._not_begun: list[QueueItem] = []
        self._wakeup = asyncio.Event()
        self._news = True
        self._tried_is_due = False
        self._gather_until = self._next_poll = self._next_survey = self._next_sweep = 0.0
        self._gathering: asyncio.TimerHandle | None = None
        self._stopping = False

    # -- from outside

    @property
    def routes(self) -> Routes:
        return self._live.routes

    @routes.setter
    def routes(self, routes: Routes) -> None:
        """A reload: pauses are lifted, for somebody has just mended something, and all that waits is sorted anew."""
        self._live.routes = routes
        self._carrier.forget_pauses()
        for hop in self._agenda.hops():
            hop.breaker.reset()
        self._scout.forget()
        self._wakeup.set()

    @property
    def ways(self) -> Ways:
        """Rules and accounts as of now: what acceptance asks."""
        return self._live.now

    @property
    def settings(self) -> DeliverySettings:
        return self._settings

    @settings.setter
    def settings(self, settings: DeliverySettings) -> None:
        self._settings = self._carrier.settings = self._attempts.settings = self._claims.settings = settings
        self._agenda.places = settings.places
        self._wakeup.set()

    def stop(self) -> None:
        """Claim no more, finish what runs (`stop_s` seconds), give back the rest; `run` returns then."""
        self._stopping = True
        self._wakeup.set()

    def next_hops(self) -> list[Any]:
        """How each next hop stands that has, or lately had, something to do; as JSON."""
        now = self._clock()
        return [hop_json(hop, now) for hop in self._agenda.hops()]

    def why(self, inbox_id: InboxId, sender: str, recipient: str) -> str | None:
        """Why due mail between these addresses is not under way; None: it is only not its turn."""
        found = self.ways.find(inbox_id, sender, recipient)
        return why_not(self._agenda.hop(found.route.name), self._clock()) if found is not None else None

    async def run(self) -> None:
        """Until `stop`. Failures of the store are logged and tried again: this task never ends by itself."""
        endings = [self._db.subscribe(self._woken), self._live.subscribe(self._wakeup.set)]
        renewal = asyncio.create_task(self._renew())
        try:
            if self._db.dialect == "sqlite":  # one process owns the store: whoever held a lease is gone
                await self._patiently(lambda: self._db.write(queue_claim.lapse_leases))
            while not self._stopping:
                self._wakeup.clear()
                try:
                    wait = await self._turn()
                except GatewayError as error:
                    log.warning("delivery.store_unavailable", reason=str(error))
                    wait = 1.0
                except Exception as error:  # a defect must not end deliveries for all: said loudly, tried again
                    defects.tell(error, self._metrics)
                    wait = 5.0
                if wait > 0 and not self._stopping:
                    await self._sleep(wait)
        finally:
            for unsubscribe in endings:
                unsubscribe()
            if self._gathering is not None:
                self._gathering.cancel()
            renewal.cancel()
            await self._wind_up()

    def _woken(self, wake: Wake) -> None:
        if wake.kind is not WakeKind.QUEUE:
            return
        self._news = True
        loop = asyncio.get_running_loop()
        if loop.time() >= self._gather_until:
            self._wakeup.set()
        elif self._gathering is None:
            self._gathering = loop.call_at(self._gather_until, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._wakeup.set()

    def _due_again(self) -> None:
        self._tried_is_due = True
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

    # -- one turn

    async def _turn(self) -> float:
        """Looks, claims, starts; returns for how many seconds there is nothing to do but to be woken. Unavailable."""
        if self._claims.doubtful:
            await self._claims.reassure(self._under_way())
        look = await self._look()
        now = self._clock()
        if surrendered := self._agenda.surrender(now):
            await self._claims.give_back(surrendered)
        self._live.divert()
        claimed = await self._claims.take(self.ways, self._under_way())
        self._start()
        await self._sweep()
        publish_hops(self._agenda, self._clock(), self._metrics)
        if claimed:
            return 0.0  # there may be more to claim
        return await self._pause(look)

    async def _look(self) -> float:
        """Looks for what is due when it is time to; seconds until the next look is allowed."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        now = int(self._clock())
        if not self._scout.looked or started >= self._next_survey or self._claims.left_out():
            if not self._scout.looked:
                await self._claims.give_back(self._agenda.surrender_all())
            self._news = self._tried_is_due = False
            self._agenda.adopt(await self._scout.everything(now))
            took = loop.time() - started
            self._next_survey = loop.time() + max(self._settings.survey_s, 100 * took)
            self._gather_until = loop.time() + GATHER_S
            self._next_poll = loop.time() + min(self._settings.poll_s, NEWS_S)
        elif self._news or self._tried_is_due or started >= self._next_poll:
            if started < self._gather_until:
                return self._gather_until - started
            self._news = False
            arrived = await self._scout.arrivals(now, self._lanes)
            if not arrived or self._tried_is_due or started >= self._next_poll:  # older ones were let go, or it is time
                self._tried_is_due = False
                await self._scout.news(now, self._lanes)
                self._next_poll = loop.time() + min(self._settings.poll_s, NEWS_S)
            self._gather_until = loop.time() + GATHER_S
        return 0.0

    async def _pause(self, look: float) -> float:
        """Seconds until something changes by itself: a row becomes due, a breaker or a rate lets something go."""
        now = self._clock()
        waits = [self._settings.poll_s, *([look] if look else [])]
        if (opens := self._agenda.wait(now)) is not None:
            waits.append(opens)
        due = await self._db.tiny(lambda rx: queue_claim.next_due(rx, self._scout.arrived))  # what came before is known
        if due is not None:
            waits.append(due - now)
        owed = self._scout.arrived > self._scout.until  # what became due by time in between
        if owed:
            waits.append(NEWS_S)
        wait = max(min(waits), 0.001) + 0.01
        poll = asyncio.get_running_loop().time() + wait
        self._next_poll = min(self._next_poll, poll) if owed else poll
        return wait

    def _lanes(self, name: str) -> Lanes:
        return self._agenda.hop(name).lanes

    def _under_way(self) -> set[int]:
        """A clock that jumped, or an outage, may have ended the lease of what we still send: it is only renewed."""
        return {item.recipient_id for job in self._running.values() for item in job.items}

    async def _sweep(self) -> None:
        """What waits for a next hop that nothing may go to is returned at the end of its life all the same."""
        loop_now = asyncio.get_running_loop().time()
        if loop_now < self._next_sweep:
            return
        self._next_sweep = loop_now + min(SWEEP_S, self._settings.survey_s)
        if any(hop.breaker.failures and hop.lanes.waiting for hop in self._agenda.hops()):
            for job, outcome in await self._claims.expired(self.ways):
                await self._attempts.record(job.items, [outcome] * len(job.items), None, await self._claims.header(job))

    # -- attempts

    @property
    def _held_up(self) -> bool:
        """Nothing more begins now. What was claimed before a reload is given back by the next turn."""
        return self._stopping or self._claims.doubtful or not self._scout.looked

    def _start(self) -> None:
        while not self._held_up and (begun := self._agenda.start(self._clock())) is not None:
            hop, job = begun
            task = asyncio.create_task(self._work(hop, job))
            self._running[task] = job
            task.add_done_callback(self._ended)

    async def _work(self, hop: NextHop[Job], job: Job) -> None:
        """One job after the other."""
        task = asyncio.current_task()
        assert task is not None
        todo: Job | None = job
        try:
            while todo is not None:
                self._running[task] = todo
                await self._attempts.make(hop, todo)
                todo = None if self._held_up else self._agenda.next_job(hop, self._clock())
                if hop.lanes.waiting and len(hop.ready) <= hop.each * 2:
                    self._wakeup.set()
        except CutBeforeTheDot:
            if todo is not None:
                self._not_begun += todo.items
            raise
        finally:
            self._agenda.ended(hop)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wakeup.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The rows keep their lease and come back as interrupted when it lapses: slower than any failure we know.
            defects.tell(error, self._metrics)

    # -- leases and the end

    async def _renew(self) -> None:
        """Keeps the leases of what runs or waits its turn: a large message to a slow relay takes long."""
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            try:
                await self._claims.reassure(self._under_way())
            except GatewayError as error:
                log.warning("delivery.store_unavailable", reason=str(error))
            except Exception as error:  # without renewals another process would send what we are sending
                defects.tell(error, self._metrics)

    async def _wind_up(self) -> None:
        """What waits is given back; what runs may finish; what does not is cut and, if it was not ended, given back."""
        self._not_begun += [item for job in self._agenda.surrender_all() for item in job.items]
        if self._running:
            _, late = await asyncio.wait(list(self._running), timeout=self._settings.stop_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
                log.warning("delivery.cut", count=len(late))
                await self._recorder.drained(self._settings.stop_s)
        await self._carrier.close()
        if self._not_begun:
            await self._claims.unclaim(self._not_begun)
