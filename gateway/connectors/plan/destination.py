"""One host that many accounts are at: how fast they may log in, and when all of them stop asking. Pure.

Five thousand accounts of one provider must not all try again while it is away, nor all at once when it is back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from gateway.outbound.breaker import Breaker, BreakerState, Pauses, Rate

WINDOW_S: Final = 60.0
LEAST_ACCOUNTS: Final = 5
SHARE: Final = 0.5
PAUSES: Final = Pauses(60.0, 2.0, 900.0)
_MOST_KEPT: Final = 4_096


@dataclass(frozen=True, slots=True)
class DestinationLimits:
    """`logins_per_minute` after a burst of `burst`; `connections` open at once. 0: no limit."""

    logins_per_minute: int = 300
    burst: int = 10
    connections: int = 0


class Destination:
    """What is known of one host, by the caller's clock."""

    __slots__ = ("_limits", "_rate", "_seen", "breaker", "open")

    def __init__(self, limits: DestinationLimits) -> None:
        self.breaker = Breaker()
        self.open = 0
        """Connections that `begin` let through and that have not `ended`."""
        self._limits = limits
        self._rate = Rate(limits.logins_per_minute, limits.burst)
        self._seen: deque[tuple[float, int, bool]] = deque(maxlen=_MOST_KEPT)

    def wait(self, now: float) -> float | None:
        """Seconds until a connection may be tried; 0: now. None: not before another one ends, or the probe does."""
        if self.full:
            return None
        if not self.breaker.admits(now):
            return None if self.breaker.probing else max(0.001, self.breaker.until - now)
        return self._rate.wait(now)

    def begin(self, now: float) -> None:
        """A connection is tried that `wait` allowed."""
        self.breaker.begin(now)
        self._rate.take(now)
        self.open += 1

    def ended(self) -> None:
        """A connection that began is closed, or never came about."""
        self.open = max(0, self.open - 1)

    def succeeded(self, account: int, now: float) -> bool:
        """An account logged in. True when that ends an outage."""
        self._note(account, now, failed=False)
        return self.breaker.answered()

    def failed(self, account: int, now: float, reason: str, chance: float) -> bool:
        """A connection failed by something that says more of the server than of the account. True: an outage begins."""
        self._note(account, now, failed=True)
        if self.breaker.probing or self.breaker.failures:
            return self.breaker.failed(now, reason, chance, PAUSES)
        latest: dict[int, bool] = {}
        for _, who, has_failed in self._seen:
            latest[who] = has_failed
        bad = sum(latest.values())
        if bad >= LEAST_ACCOUNTS and bad >= SHARE * len(latest):
            return self.breaker.failed(now, reason, chance, PAUSES)
        return False

    def abandoned(self) -> None:
        """A try ended without having asked the server: the account was disabled meanwhile."""
        self.breaker.abandoned()

    @property
    def full(self) -> bool:
        """It has all connections that it may have."""
        return 0 < self._limits.connections <= self.open

    @property
    def idle(self) -> bool:
        """Nothing is remembered that matters."""
        return not self.open and not self.breaker.failures

    def state(self, now: float) -> BreakerState:
        return self.breaker.state(now)

    def _note(self, account: int, now: float, *, failed: bool) -> None:
        seen = self._seen
        while seen and not 0 <= now - seen[0][0] < WINDOW_S:
            seen.popleft()
        seen.append((now, account, failed))
