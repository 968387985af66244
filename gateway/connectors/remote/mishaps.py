"""Which failures of actions are news: a poller that fails every minute does not fill the events of its connector."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gateway.outbound.failure import Failure
from gateway.store.connectors.rows import ConnectorId

AGAIN_S: Final = 900.0
MOST: Final = 4_096


class Mishaps:
    """Of a process; `clock` in seconds, from anywhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[ConnectorId, str, Failure], float] = {}

    def is_news(self, connector_id: ConnectorId, action: str, failure: Failure) -> bool:
        """Whether it is to be told; once in AGAIN_S where it is the same action and failure."""
        now = self._clock()
        of = (connector_id, action, failure)
        last = self._told.get(of)
        if last is not None and now - last < AGAIN_S:
            return False
        self._told.pop(of, None)
        while len(self._told) >= MOST or (self._told and now - next(iter(self._told.values())) >= AGAIN_S):
            del self._told[next(iter(self._told))]  # the oldest: they are in the order of time
        self._told[of] = now
        return True
