"""All connectors of a process: which are ours, one task for each, and the end of those that are ours no more."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from gateway.ingest.writer import Ingest
from gateway.model.errors import Unavailable
from gateway.model.ids import InboxId, MailboxId
from gateway.model.ports import Clock
from gateway.outbound.dial import Resolver, system_resolver
from gateway.store.connectors import lease
from gateway.store.connectors.owned import owned
from gateway.store.connectors.rows import Claim, ConnectorId, LeaseLost
from gateway.store.db import Database, Rx, Tx, Wake, WakeKind

from .askers import SyncResult
from .gates import Gates
from .looks import Looks
from .on_access import OnAccess
from .plan.standing import Account
from .ports import Accounts
from .progress import SyncRun
from .recall import Recall
from .scope import EVERYTHING, Scope
from .settings import ConnectorSettings
from .sharing import Sharing
from .tools import Tools
from .worker import ENDED, Worker

log = structlog.get_logger(__name__)

_SETTLE_S: Final = 0.05  # so that a burst of wake-ups is one look
_OUTAGE_S: Final = 2.0
_ORPHAN_S: Final = 30.0
_SYNC_TRIES: Final = 3
_BACKFILLS: Final = 4  # windows of older mail that are under way at once


class Supervisor:
    """`run` until cancelled; then all connections end and all leases are given back."""

    def __init__(
        self,
        db: Database,
        ingest: Ingest,
        accounts_: Accounts,
        settings: ConnectorSettings,
        *,
        clock: Clock,
        chance: Callable[[], float],
        gates: Gates | None = None,
        resolver: Resolver = system_resolver,
    ) -> None:
        """`gates`: those that others of this process pass too (`remote.door`); None: of its own."""
        self._db = db
        self._settings = settings
        self._clock = clock
        self._tools = Tools(
            db, ingest, clock, chance, settings, accounts_, gates or Gates(settings.destination, chance),
            asyncio.Semaphore(_BACKFILLS), asyncio.Semaphore(settings.starting), resolver,
        )  # fmt: skip
        self._workers: dict[ConnectorId, Worker] = {}
        self._tasks: dict[ConnectorId, asyncio.Task[None]] = {}
        self._replaced: set[asyncio.Task[None]] = set()
        self._of_inbox: dict[InboxId, set[Worker]] = {}
        self._recalls: dict[ConnectorId, Recall] = {}
        self._ended: dict[ConnectorId, float] = {}
        self._sharing = Sharing(settings.share_every)
        self._wake = asyncio.Event()
        self._joined = asyncio.Event()
        self._claiming = asyncio.Lock()
        """What is claimed has a worker when this is free."""
        self._access = OnAccess(db, clock, self._recall, self._workers.get, self._worker)
        self._incarnation = ""

    @property
    def running(self) -> int:
        """Connectors that this process works on."""
        return len(self._workers)

    async def run(self) -> None:
        """Claims what is due, for ever."""
        unsubscribe = self._db.subscribe(self._woken)
        beat: asyncio.Task[None] | None = None
        try:
            await self._join()
            self._access.open = True
            beat = asyncio.get_running_loop().create_task(self._beat(), name="connectors-heartbeat")
            while True:
                if beat.done():
                    beat.result()  # a defect: without a sign of life nothing here is ours for long
                pause = await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                        await asyncio.sleep(_SETTLE_S)
                self._wake.clear()
        finally:
            unsubscribe()
            self._joined.set()  # nobody waits for that any more
            await self._access.close()
            if beat is not None:
                beat.cancel()
                await asyncio.gather(beat, return_exceptions=True)
            await self._end(list(self._workers))
            await asyncio.gather(*self._replaced, return_exceptions=True)
            with suppress(Unavailable):  # the leases end with the heartbeat
                await self._db.write(lambda tx: lease.leave(tx, self._settings.node, self._incarnation))

    async def sync(
        self, connector_id: ConnectorId, told: Callable[[SyncRun], None] | None = None, scope: Scope = EVERYTHING
    ) -> SyncResult | None:
        """Sync a connector now, also one that is not due; None: another node has it, or it is switched off.

        Of an account that was not synced yet, or is due, the rest follows when `scope` was answered.
        """
        await self._joined.wait()
        for _ in range(_SYNC_TRIES):
            worker = await self._worker(connector_id)
            if worker is None:
                return None
            result = await worker.sync(told, scope)
            if result.failure != ENDED:
                return result
        return result

    async def look(self, connector_id: ConnectorId, mailbox_id: MailboxId | None = None) -> bool:
        """Have what is new in an account taken in now, first of all where it stands for a mailbox here; never raises.

        Lighter than `sync`, and shared by all who ask meanwhile (`Looks`); at once what was seen within two seconds.
        Who cannot wait for ever gives up. False: it is switched off, its login is refused, it waits after a failure, or
        it is another node's, which is then asked for a sync.
        """
        return await self._access.look(connector_id, mailbox_id)

    async def _worker(self, connector_id: ConnectorId) -> Worker | None:
        """Who works on it, or would from now on: never one whose session is over. None: nobody of this process."""
        while True:
            worker = self._workers.get(connector_id)
            if worker is not None and not worker.ending:
                return worker
            if worker is not None:
                await asyncio.wait([self._tasks[connector_id]])
                continue
            worker = await self._claim_one(connector_id)
            if worker is not None or connector_id not in self._workers:  # else the loop was faster
                return worker

    async def _claim_one(self, number: ConnectorId) -> Worker | None:
        async with self._claiming:
            if not self._access.open:  # this process ends: who is started now nobody would end
                return None
            claim = await self._db.write(
                lambda tx: lease.claim_one(tx, number, self._settings.node, self._incarnation, int(self._clock()))
            )
            return self._start(claim) if claim is not None and self._access.open else None

    def confirm(self, connector_id: ConnectorId) -> None:
        """What seems to be gone upstream is gone: the next pass may believe it."""
        self._recall(connector_id).confirmed = True

    def _woken(self, wake: Wake) -> None:
        if wake.kind in (WakeKind.CONNECTOR, WakeKind.INBOX):
            self._wake.set()
        if wake.kind in (WakeKind.MAIL, WakeKind.CONNECTOR):
            some = self._workers.values() if wake.inbox_id is None else self._of_inbox.get(wake.inbox_id, ())
            for worker in some:
                worker.woken()

    async def _join(self) -> None:
        while True:
            self._incarnation = secrets.token_hex(8)
            try:
                await self._db.write(self._joining)
            except Unavailable:
                await asyncio.sleep(_OUTAGE_S)
            else:
                self._joined.set()
                return

    def _joining(self, tx: Tx) -> None:
        now = int(self._clock())
        lease.join(tx, self._settings.node, self._incarnation, now)
        lease.forget_nodes(tx, now)  # of names that nobody bears any more

    async def _beat(self) -> None:
        """A sign of life; whoever took our name, or let it lapse, has our connectors."""
        while True:
            await asyncio.sleep(lease.BEAT_S)
            try:
                await self._db.write(
                    lambda tx: lease.heartbeat(tx, self._settings.node, self._incarnation, int(self._clock()))
                )
            except LeaseLost:
                log.warning("connectors.node_replaced", node=self._settings.node)
                await self._end(list(self._workers))
                await self._join()
            except Unavailable:
                log.warning("connectors.no_heartbeat")

    async def _look(self) -> float:
        """End what is not ours, tell of requests, claim what is due; seconds until the next look without a wake-up."""
        now = int(self._clock())
        try:
            async with self._claiming:  # else what is being claimed would seem lost
                held, due = await self._db.read(lambda rx: self._state(rx, now))
                known = {worker.claim for worker in self._workers.values()}
                lost = [claim.connector_id for claim in known - held.keys()]
                for claim in held.keys() - known:
                    if claim.connector_id not in self._workers and self._may_restart(claim.connector_id):
                        self._start(claim)
            await self._end(lost)
            for claim, at in held.items():
                worker, recall = self._workers.get(claim.connector_id), self._recall(claim.connector_id)
                if worker is not None and recall.is_asked(at):
                    recall.asked_at = at
                    worker.requests.ask(sync=True)
            await self._share(now)
            room, claims = await self._claim(now)
        except LeaseLost:
            await self._end(list(self._workers))
            await self._join()
            return 0.0
        except Unavailable:
            return _OUTAGE_S
        if room <= 0 or claims == room:
            return _SETTLE_S * 4
        most = min(float(lease.BEAT_S), self._settings.share_every)
        return most if due is None else min(most, max(_SETTLE_S, due - self._clock()))

    async def _share(self, now: int) -> None:
        """Another node came, or ours has too much for another reason: some that only listen go, and end well."""
        moment = asyncio.get_running_loop().time()
        if self._db.dialect == "sqlite" or not self._sharing.due(moment):
            return
        excess = await self._db.read(lambda rx: lease.excess(rx, self._settings.node, self._incarnation, now))
        quiet = {number: at for number, one in self._workers.items() if (at := one.quiet_since) is not None}
        older = {number: at for number, one in self._workers.items() if (at := one.older_since) is not None}
        given = self._sharing.give(excess, quiet, self._workers, moment, older)
        for number in given:
            self._workers[number].requests.ask(stop=True)
        if given:
            log.info("connectors.given_to_others", connectors=len(given), excess=excess)

    def _may_restart(self, number: ConnectorId) -> bool:
        """Its worker ended and could not give it back: the store was away, or there is a defect. Not at once again."""
        ended = self._ended.get(number)
        return ended is None or asyncio.get_running_loop().time() - ended >= _ORPHAN_S

    async def _claim(self, now: int) -> tuple[int, int]:
        """Take what is due, as far as there is room; how many that could have been, and were."""
        settings = self._settings
        if not self._sharing.may_claim(asyncio.get_running_loop().time()):
            return 1, 0
        starting = sum(not (worker.started.is_set() or worker.at_gate) for worker in self._workers.values())
        room = min(settings.starting - starting, settings.claims_at_once, settings.connectors - len(self._workers))
        if room <= 0:
            return 0, 0
        async with self._claiming:
            claims = await self._db.write(
                lambda tx: lease.claim(tx, settings.node, self._incarnation, room, now)
            )
            for claim in claims:
                self._start(claim)
        return room, len(claims)

    def _state(self, rx: Rx, now: int) -> tuple[dict[Claim, int], int | None]:
        return owned(rx, self._settings.node, self._incarnation), lease.next_due(rx, now)

    def _start(self, claim: Claim) -> Worker:
        number = claim.connector_id
        worker = Worker(self._tools, claim, self._recall(number))
        if (before := self._tasks.get(number)) is not None:  # its lease was lost since the last look
            before.cancel()
            self._replaced.add(before)
            before.add_done_callback(self._replaced.discard)
        task = asyncio.get_running_loop().create_task(worker.run(), name=f"connector-{number}")
        self._workers[number], self._tasks[number] = worker, task
        self._of_inbox.setdefault(claim.inbox_id, set()).add(worker)

        def ended(task: asyncio.Task[None]) -> None:
            worker.over()
            others = self._of_inbox.get(claim.inbox_id, set())
            others.discard(worker)
            if not others:
                self._of_inbox.pop(claim.inbox_id, None)
            if self._tasks.get(number) is task:
                del self._tasks[number], self._workers[number]
                self._ended[number] = task.get_loop().time()
                self._access.ended(number)
                self._wake.set()
            if not task.cancelled() and task.exception() is not None:
                log.error("connectors.worker_lost", connector=number, exc_info=task.exception())

        task.add_done_callback(ended)
        return worker

    def _recall(self, number: ConnectorId) -> Recall:
        found = self._recalls.get(number)
        if found is None:
            found = self._recalls[number] = Recall(Account(), looks=Looks(self._settings.look_every))
        return found

    async def _end(self, numbers: list[ConnectorId]) -> None:
        tasks = [self._tasks[number] for number in numbers if number in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
