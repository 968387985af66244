"""One attempt: a job is carried to its next hop, what became of it is decided and written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ports import Clock, Metrics
from gateway.outbound.breaker import LOGIN_REFUSED
from gateway.outbound.sent_copy import AccountCopy
from gateway.outbound.verdict import Outcome, Stage, Verdict
from gateway.store.db import Database
from gateway.store.queue import QueueItem

from .agenda import NextHop
from .by_account import ByAccount
from .carrier import Carried, Carrier
from .doubts import Doubts
from .live_ways import LiveWays
from .local import LocalDelivery
from .notify import Ended
from .policy import NO_ROUTE, Heard, decide, heard, unasked
from .ports import Accounts
from .recorder import Recorder
from .routes import Found, RouteKind
from .settings import DeliverySettings
from .source import StoredMessage, stored
from .telling import Attempted

log = structlog.get_logger(__name__)

Patiently = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]
"""Runs a write until it succeeds or the process stops."""


@dataclass(frozen=True, slots=True)
class Job:
    """Recipients of one submission that go one way in one transaction. `found` None: nothing carries them.

    `message`: its octets, where they were read together with others'.
    """

    found: Found | None
    items: tuple[QueueItem, ...]
    message: StoredMessage | None = None

    @property
    def hop(self) -> str:
        return self.found.route.name if self.found is not None else ""


class Attempts:
    """What every attempt of a process needs."""

    def __init__(
        self,
        db: Database,
        carrier: Carrier,
        recorder: Recorder,
        settings: DeliverySettings,
        *,
        here: LocalDelivery,
        clock: Clock,
        chance: Callable[[], float],
        metrics: Metrics,
        patiently: Patiently,
        ways: LiveWays,
        accounts: Accounts,
        due_again: Callable[[], None],
    ) -> None:
        """`due_again` is called when what was tried may go at once another way, or in another transaction."""
        self.settings = settings
        self._due_again = due_again
        self._db = db
        self._carrier = carrier
        self._recorder = recorder
        self._here = here
        self._clock = clock
        self._chance = chance
        self._metrics = metrics
        self._patiently = patiently
        self._doubts = Doubts(db, accounts, metrics)
        self._by_account = ByAccount(accounts, carrier)
        self._ways = ways

    async def make(self, hop: NextHop[Job], job: Job) -> None:
        """Until its outcome is durable. CutBeforeTheDot when it was cancelled without doubt about the outcome."""
        probe = hop.breaker.probing
        try:
            await self._make(hop, job)
        finally:
            if probe:
                hop.breaker.abandoned()

    async def _make(self, hop: NextHop[Job], job: Job) -> None:
        here = job.found if job.found is not None and job.found.route.kind is RouteKind.LOCAL else None
        # A delivery here is one unit with its outcome: an interrupted one has not been made.
        items = job.items if here is not None else await self._without_doubtful(job)
        if not items:
            return
        try:
            message = job.message or await stored(self._db, items[0].content_id)
        except GatewayError as error:
            log.warning("delivery.unreadable", submission=items[0].submission_uuid, reason=str(error))
            broken = Outcome(Verdict.TEMPORARY, Stage.ROUTE, None, "4.3.0", "The stored message cannot be read now")
            await self.record(items, [broken] * len(items), None, b"")
            return
        if here is not None:
            await self._deliver_here(here, items, message)
            return
        settled = NO_ROUTE if job.found is None else unasked(job.found)
        if job.found is None or settled is not None:
            await self.record(items, [settled or NO_ROUTE] * len(items), None, message.header)
            return
        if job.found.route.kind is RouteKind.CONNECTOR:
            carried = self._with_another_way(job.found, await self._by_account.carry(job.found, items, message))
        else:
            carried = await self._carrier.carry(job.found.route, items, message)
        self._learn(hop, carried.outcomes)
        await self.record(items, carried.outcomes, carried.remote, message.header, _attempted(job, carried))

    def _with_another_way(self, found: Found, carried: Carried) -> Carried:
        """Mail whose account refuses our login goes by the relay at once, where it may."""
        if found.account is None or not self._ways.now.may_divert(found.account):
            return carried
        outcomes = [
            replace(each, at_once=True) if each.verdict is Verdict.LOGIN else each for each in carried.outcomes
        ]
        return replace(carried, outcomes=outcomes)

    async def _deliver_here(self, found: Found, items: Sequence[QueueItem], message: StoredMessage) -> None:
        try:
            left = await self._here.deliver(found, items, message)
        except GatewayError as error:
            log.warning("delivery.store_unavailable", reason=str(error))
            left = [(item, Outcome(Verdict.TEMPORARY, Stage.ROUTE, None, "4.3.0", str(error))) for item in items]
        self._metrics.count("delivery_attempts_total", len(items) - len(left), verdict=Verdict.SENT.value)
        if left:
            await self.record([item for item, _ in left], [outcome for _, outcome in left], None, message.header)

    async def _without_doubtful(self, job: Job) -> tuple[QueueItem, ...]:
        """Those that go; the rest, whose last attempt may have delivered them, is held, or known to be sent."""
        account = job.found.account if job.found is not None else None
        judged = await self._doubts.judge(job.items, account, self.settings.unknown_outcome)
        if judged.ended:
            outcomes = [judged.outcome] * len(judged.ended)
            attempted = None if account is None else Attempted(account, outcomes, copy=AccountCopy.FILED)
            await self.record(judged.ended, outcomes, None, b"", attempted)
        return judged.go

    def _learn(self, hop: NextHop[Job], outcomes: Sequence[Outcome]) -> None:
        """What the attempt says about its next hop. `last` is what people are shown."""
        last = outcomes[-1]
        hop.last = " ".join(str(word) for word in (last.code, last.enhanced, last.text) if word)
        breaker, now = hop.breaker, self._clock()
        opened = False
        match heard(outcomes):
            case Heard.ANSWER:
                if breaker.answered():
                    log.info("delivery.breaker_closed", route=hop.name)
            case Heard.NO_CONNECTION:
                opened = breaker.failed(now, hop.last, self._chance())
            case Heard.LOGIN_REFUSED:
                opened = breaker.failed(now, hop.last, self._chance(), LOGIN_REFUSED)
            case Heard.LOST:
                opened = breaker.lost(now, hop.last, self._chance())
            case Heard.NOTHING:
                pass
        if opened:
            log.warning(
                "delivery.breaker_open", route=hop.name, seconds=round(breaker.until - now), reason=breaker.reason
            )

    async def record(
        self,
        items: Sequence[QueueItem],
        outcomes: Sequence[Outcome],
        remote: str | None,
        header: bytes,
        attempted: Attempted | None = None,
    ) -> None:
        """Decides, and writes it down; an outcome that cannot be written now is kept while its lease is ours."""
        now = int(self._clock())
        # An account may be asked before anything is repeated: whatever the policy, that is what its next attempt does.
        asked_first = attempted is not None and remote is not None and not attempted.fallback
        unknown_outcome = "resend" if asked_first else self.settings.unknown_outcome
        progress = any(outcome.verdict is Verdict.SENT for outcome in outcomes)
        settings = self.settings
        decisions = [
            decide(
                outcome,
                attempts=item.attempts,
                created_at=max(item.created_at, item.release_at or 0),
                now=now,
                schedule=settings.schedule,
                unknown_outcome=unknown_outcome,
                progress=progress,
                chance=self._chance(),
            )
            for item, outcome in zip(items, outcomes, strict=True)
        ]
        for outcome in outcomes:
            self._metrics.count("delivery_attempts_total", verdict=outcome.verdict.value)
            if outcome.verdict is Verdict.UNKNOWN and unknown_outcome == "resend" and not asked_first:
                self._metrics.count("delivery_repeated_total")
        ended = Ended(items, decisions, remote, header, attempted)
        # An attempt that is cut now is over all the same: only its outcome has to be kept.
        await asyncio.shield(asyncio.ensure_future(self._write(ended)))
        if any(each.next_attempt is not None and each.next_attempt <= now for each in decisions):
            self._due_again()

    async def _write(self, ended: Ended) -> None:
        try:
            await self._recorder.write(ended)
        except GatewayError as error:
            log.warning("delivery.store_unavailable", reason=str(error))
            await self._patiently(lambda: self._recorder.write(ended))


def _attempted(job: Job, carried: Carried) -> Attempted | None:
    """What the keeper of the account is told, where the mail is an account's."""
    if job.found is None or job.found.account is None:
        return None
    fallback = job.found.route.kind is not RouteKind.CONNECTOR
    return Attempted(job.found.account, carried.outcomes, carried.greeting, fallback)
