"""What waits in the queue, as gauges and for people: an alarm on them tells of a relay that takes no mail."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import structlog

from gateway.model import moments
from gateway.model.errors import Unavailable
from gateway.model.ports import Clock, Metrics
from gateway.outbound.breaker import BreakerState
from gateway.store import queue_admin
from gateway.store.db import Database
from gateway.store.queue import OPEN

from .agenda import Agenda, NextHop

log = structlog.get_logger(__name__)


def hop_json(hop: NextHop[Any], now: float) -> dict[str, Any]:
    """`name` "" is for what nothing carries; `until`: when the open breaker lets a probe go.

    `waiting`: due recipients that are not claimed; `ready`: claimed jobs; `active`: attempts under way.
    """
    breaker = hop.breaker
    return {
        "name": hop.name or "(none)",
        "waiting": hop.lanes.waiting,
        "ready": len(hop.ready),
        "active": hop.running,
        "places": hop.each,
        "rate": hop.rate.per_minute or None,
        "breaker": breaker.state(now).value,
        "failures": breaker.failures,
        "until": moments.rfc3339(breaker.until) if breaker.failures else None,
        "reason": breaker.reason or None,
        "last": hop.last or None,
    }


def why_not(hop: NextHop[Any], now: float) -> str | None:
    """Why nothing more may go to it now; None: it may."""
    state = hop.breaker.state(now)
    if state is BreakerState.OPEN:
        return f"{hop.name} is not asked until {moments.rfc3339(hop.breaker.until)}: {hop.breaker.reason}"
    if state is BreakerState.HALF_OPEN:
        return f"{hop.name} is being probed: {hop.breaker.reason}"
    if hop.rate.available(now) == 0:
        return f"{hop.name} takes {hop.rate.per_minute} messages a minute"
    if hop.running >= hop.each:
        return f"all {hop.each} places of {hop.name} are taken"
    return None


def publish_hops(agenda: Agenda[Any], now: float, metrics: Metrics) -> None:
    """Next hops by the state of their breaker, and attempts under way."""
    states = Counter(hop.breaker.state(now) for hop in agenda.hops())
    for state in BreakerState:
        metrics.gauge("delivery_next_hops", states[state], breaker=state.value)
    metrics.gauge("delivery_active", agenda.running)


async def publish(db: Database, clock: Clock, metrics: Metrics) -> None:
    """Recipients in each open state, and the age of the oldest message that is not done. Unavailable."""
    now = clock()
    found = await db.read(lambda rx: queue_admin.stats(rx, int(now)))
    for state in OPEN:
        metrics.gauge("queue_recipients", found.states.get(state, 0), state=state.value)
    metrics.gauge("queue_due_recipients", found.due)
    metrics.gauge("queue_oldest_seconds", max(0.0, now - found.oldest) if found.oldest is not None else 0.0)


async def watch(db: Database, clock: Clock, metrics: Metrics, every_s: float) -> None:
    """`publish` every so many seconds, until it is cancelled. An outage leaves the last figures."""
    while True:
        try:
            await publish(db, clock, metrics)
        except Unavailable as error:
            log.warning("queue.figures_deferred", reason=str(error))
        await asyncio.sleep(every_s)
