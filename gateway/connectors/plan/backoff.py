"""How long to stay away after a failure: decorrelated jitter. Pure: chance (0-1) and times are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_GROWTH: Final = 3.0


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds: the shortest and the longest."""

    least: float
    most: float


NETWORK: Final = Waits(2.0, 300.0)
REFUSED: Final = Waits(30.0, 1800.0)
"""The server is there and does not want us now: BYE, UNAVAILABLE, LIMIT."""
HOLD_OFF: Final = Waits(300.0, 7200.0)
"""Something that somebody has to mend: a certificate, a name, a server that speaks no IMAP."""
HINT_MOST: Final = 900.0
"""A server's own wish is followed up to this; a longer one is asked about again."""
PROVEN_S: Final = 300.0
"""A session that lived so long and had synced proves that all is well: logging in alone proves nothing."""


class Backoff:
    """One connector's. Each failure waits a random time between the least and three times the last one."""

    __slots__ = ("_last", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self._last = 0.0

    def failed(self, waits: Waits, chance: float, hint: float | None = None) -> float:
        """Seconds to wait. `hint`: what the server asked for, kept as the least (up to HINT_MOST)."""
        self.failures += 1
        upper = max(waits.least, min(self._last, waits.most) * _GROWTH)
        wait = min(waits.most, waits.least + chance * (upper - waits.least))
        self._last = max(wait, waits.least)
        if hint is not None and hint > 0:
            wait = max(wait, min(hint, HINT_MOST) * (1 + 0.1 * chance))
        return wait

    def ended(self, *, synced: bool, lived: float) -> bool:
        """A session is over; True when it was good enough to forget earlier failures."""
        if synced and lived >= PROVEN_S:
            self.reset()
            return True
        return False

    def reset(self) -> None:
        self.failures = 0
        self._last = 0.0
