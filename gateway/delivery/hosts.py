"""Which of a relay's hosts is asked: in their order, but one that failed lately comes last until it has rested."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.model.ports import Clock
from gateway.outbound.endpoint import Endpoint

from .routes import Route

PAUSES: Final = (5.0, 15.0, 60.0)  # seconds that a host rests after 1, 2, more failures in a row

_Key = tuple[str, int, str]


def _key(endpoint: Endpoint) -> _Key:
    """Without the secret: access tokens change by the hour."""
    return endpoint.host, endpoint.port, endpoint.login.user if endpoint.login is not None else ""


class Hosts:
    """All hosts of a process: what one relay learned of a host holds for another one with the same user there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[_Key, int] = {}
        self._until: dict[_Key, float] = {}

    def in_order(self, route: Route) -> list[Endpoint]:
        """Every host of the route: those that work, as they are configured, then those that rest, the soonest first."""
        now = self._clock()
        return sorted(route.endpoints, key=lambda endpoint: max(self._until.get(_key(endpoint), 0.0), now))

    def failed(self, endpoints: Iterable[Endpoint]) -> None:
        for endpoint in endpoints:
            key = _key(endpoint)
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self._until[key] = self._clock() + PAUSES[min(failures, len(PAUSES)) - 1]

    def worked(self, endpoint: Endpoint) -> None:
        self._failures.pop(_key(endpoint), None)
        self._until.pop(_key(endpoint), None)

    def forget(self) -> None:
        """Somebody has mended something: all may be asked at once."""
        self._failures.clear()
        self._until.clear()
