"""What the charts of the last day are drawn from: a look once a minute at the queue, connections and accounts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ports import Clock

from .services import Operate

log = structlog.get_logger(__name__)

EVERY_S: Final = 60.0
KEPT: Final = 1440  # a day


@dataclass(frozen=True, slots=True)
class Sample:
    """`at`: Unix seconds. `waiting`: recipients in the queue. `lag`: seconds since the account that was synced the
    longest ago was; None without accounts."""

    at: int
    waiting: int
    connections: int
    lag: int | None


class Samples:
    """In memory: a start begins anew, and Prometheus keeps what shall be kept."""

    def __init__(self, operate: Operate, clock: Clock) -> None:
        self._operate = operate
        self._clock = clock
        self._kept: deque[Sample] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None

    def __call__(self) -> Sequence[Sample]:
        """The oldest first."""
        return tuple(self._kept)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="web-samples")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                self._kept.append(await self._look())
            except GatewayError as error:  # the store is away: a gap
                log.debug("web.no_sample", reason=str(error))
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> Sample:
        now = int(self._clock())
        queue = await self._operate("queue.stats", {"limit": 1})
        status = await self._operate("server.status", {})
        rows = await self._operate("connector.list", {})
        ages = [
            now - int(datetime.fromisoformat(row["last_success_at"]).timestamp())
            for row in rows if row["enabled"] and row["last_success_at"]
        ]  # fmt: skip
        return Sample(now, queue["recipients"], (status or {}).get("connections", 0), max(ages, default=None))
