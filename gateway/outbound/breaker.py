"""A circuit breaker a next hop, and a rate a next hop: pure functions of time and chance.

A server that cannot be reached is not asked again for each of ten thousand messages. Closed: all goes. Open: nothing
is tried until a moment, later after each further failure. Half-open: that moment has come, and one attempt, the probe,
decides. What waits is not touched meanwhile: it goes as soon as the probe succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LOSSES: Final = 3
"""Transactions in a row that ended without an answer (time-outs, drops) and count as one failed connection."""
_JITTER: Final = 0.2  # a share of the pause, either way: several nodes do not probe together


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds: the first pause, by how much each further one is longer, and where that ends."""

    first: float
    factor: float
    longest: float

    def after(self, failures: int) -> float:
        """Of the `failures`-th failure in a row (1 and more)."""
        return float(min(self.first * self.factor ** min(failures - 1, 20), self.longest))


UNREACHABLE: Final = Pauses(5.0, 3.0, 600.0)
LOGIN_REFUSED: Final = Pauses(60.0, 3.0, 3600.0)  # servers lock accounts whose login fails too often


class Breaker:
    """Times are the caller's clock. `reason` is why it opened last, safe to show."""

    __slots__ = ("_losses", "_pauses", "_since", "failures", "probing", "reason", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0
        self.reason = ""
        self.probing = False
        self._losses = 0
        self._pauses = UNREACHABLE
        self._since = 0.0

    def state(self, now: float) -> BreakerState:
        """A clock that was set back behind the failure ends the pause: it would last as long as the clock was ahead."""
        if not self.failures:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._since <= now < self.until else BreakerState.HALF_OPEN

    def refused(self, now: float) -> bool:
        """Open, and because a login was refused."""
        return self.state(now) is BreakerState.OPEN and self._pauses is LOGIN_REFUSED

    def admits(self, now: float) -> bool:
        """Whether an attempt may begin: any while closed, one while half-open."""
        state = self.state(now)
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not self.probing)

    def begin(self, now: float) -> None:
        """An attempt begins that `admits` allowed."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self.probing = True

    def failed(self, now: float, reason: str, chance: float, pauses: Pauses = UNREACHABLE) -> bool:
        """No connection came about; `chance` (0-1) jitters the pause. True when this opened it.

        Attempts that began before it opened fail too, one after the other: they are one failure.
        """
        self.probing = False
        self._losses = 0
        if self.state(now) is BreakerState.OPEN:
            return False
        self._since = now
        self._pauses = pauses
        self.failures += 1
        self.reason = reason
        self.until = now + pauses.after(self.failures) * (1 + _JITTER * (2 * chance - 1))
        return True

    def lost(self, now: float, reason: str, chance: float) -> bool:
        """A transaction ended without an answer; a failed probe, or too many in a row, open it. True when it opened."""
        self._losses += 1
        if self.probing or self._losses >= LOSSES:
            return self.failed(now, reason, chance)
        return False

    def answered(self) -> bool:
        """The server spoke to us, whatever it said: it can be reached. True when this closed it."""
        was_open = self.failures > 0
        self.reset()
        return was_open

    def abandoned(self) -> None:
        """The probe ended without having asked the server anything."""
        self.probing = False

    def reset(self) -> None:
        """As if nothing had happened: somebody has just mended something."""
        self.failures = self._losses = 0
        self.until = 0.0
        self.reason = ""
        self.probing = False


class Rate:
    """At most so many messages, or logins, a minute, evenly spread after a burst of a sixth of it. 0: no limit."""

    __slots__ = ("_at", "_tokens", "burst", "per_minute")

    def __init__(self, per_minute: int, burst: int | None = None) -> None:
        self.per_minute = per_minute
        self.burst = max(1, per_minute // 6) if burst is None else burst
        self._tokens = float(self.burst)
        self._at: float | None = None

    def _refill(self, now: float) -> None:
        if self._at is not None:
            passed = max(0.0, now - self._at)  # a clock set back only stops the refill
            self._tokens = min(float(self.burst), self._tokens + passed * self.per_minute / 60)
        self._at = now

    def available(self, now: float) -> int | None:
        """Messages that may go now; None: any number."""
        if not self.per_minute:
            return None
        self._refill(now)
        return int(self._tokens + 1e-9)  # a wait as long as `wait` said must be long enough

    def take(self, now: float) -> None:
        """One message goes."""
        if self.per_minute:
            self._refill(now)
            self._tokens -= 1

    def wait(self, now: float) -> float:
        """Seconds until a message may go."""
        if not self.per_minute:
            return 0.0
        self._refill(now)
        return max(0.0, (1 - self._tokens) * 60 / self.per_minute)
