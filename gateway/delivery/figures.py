"""What waits in the queue, as gauges: an alarm on them tells of a relay that takes no mail."""

from __future__ import annotations

import asyncio

import structlog

from gateway.model.errors import Unavailable
from gateway.model.ports import Clock, Metrics
from gateway.store import queue_admin
from gateway.store.db import Database
from gateway.store.queue import QueueState

log = structlog.get_logger(__name__)

OPEN = (QueueState.QUEUED, QueueState.SENDING, QueueState.DEFERRED, QueueState.HELD)


async def publish(db: Database, clock: Clock, metrics: Metrics) -> None:
    """Recipients in each open state, and the age of the oldest message that is not done. Unavailable."""
    now = clock()
    found = await db.read(lambda rx: queue_admin.stats(rx, int(now)))
    for state in OPEN:
        metrics.gauge("queue_recipients", found.states.get(state, 0), state=state.value)
    metrics.gauge("queue_oldest_seconds", max(0.0, now - found.oldest) if found.oldest is not None else 0.0)


async def watch(db: Database, clock: Clock, metrics: Metrics, every_s: float) -> None:
    """`publish` every so many seconds, until it is cancelled. An outage leaves the last figures."""
    while True:
        try:
            await publish(db, clock, metrics)
        except Unavailable as error:
            log.warning("queue.figures_deferred", reason=str(error))
        await asyncio.sleep(every_s)
