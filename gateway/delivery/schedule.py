"""When a recipient is tried again: pure functions of attempts, time and chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400
JITTER: Final = 0.2  # a share of the delay, either way: what failed together does not come back together


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds. RFC 5321 4.5.4.1: give up after 4-5 days, at least 30 minutes between tries in the long run."""

    first: float = 60.0
    longest: float = 4 * 3600.0
    lifetime: int = 5 * DAY


def delay(schedule: Schedule, attempts: int, chance: float) -> float:
    """Seconds to wait after `attempts` (1 and more) failed ones: doubles up to `longest`; `chance` (0-1) jitters it."""
    doublings = min(max(attempts, 1) - 1, 40)
    plain = min(schedule.first * 2.0**doublings, schedule.longest)
    return float(plain * (1 + JITTER * (2 * chance - 1)))


def next_attempt(schedule: Schedule, *, attempts: int, created_at: int, now: int, chance: float) -> int | None:
    """Unix seconds of the next try after `attempts` failed ones; the last is at the end of its life, then None."""
    end = created_at + schedule.lifetime
    if now >= end:
        return None
    return min(now + max(1, round(delay(schedule, attempts, chance))), end)
