"""FUTURERELEASE (RFC 4865): what a client may ask for, and the time it comes to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.model import moments

_INTERVAL: Final = re.compile(r"[1-9][0-9]{0,8}\Z")  # RFC 4865 3: 1-999999999 seconds
# RFC 3339 5.6, and in UTC (RFC 4865 3); a leap second is the next one's first.
_MOMENT: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:[Zz]|[+-]00:00)\Z"
)


@dataclass(frozen=True, slots=True)
class Hold:
    """HOLDFOR, seconds from now, or HOLDUNTIL, Unix seconds."""

    seconds: int | None = None
    until: int | None = None

    @property
    def text(self) -> str:
        """`orig-hold-param-value` (RFC 4865 5.1.2)."""
        return f"for;{self.seconds}" if self.until is None else f"until;{moments.rfc3339(self.until)}"


def parse_hold_for(value: str | None) -> Hold | None:
    """None: no number of seconds."""
    return Hold(seconds=int(value)) if value is not None and _INTERVAL.match(value) else None


def parse_hold_until(value: str | None) -> Hold | None:
    """None: no moment in UTC."""
    match = _MOMENT.match(value or "")
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return Hold(until=int(moment.timestamp()) + (second == 60)) if second <= 60 else None


def release_at(hold: Hold, now: float, longest: int) -> int | None:
    """Unix seconds; None: it is past, or further than `longest` seconds ahead (RFC 4865 4.2, 7 and 8)."""
    at = hold.until if hold.until is not None else -(-int(now * 1000) // 1000) + (hold.seconds or 0)
    return at if now < at <= now + longest + 1 else None


def advertised(now: float, longest: int) -> str:
    """The EHLO line (RFC 4865 3, item 3)."""
    return f"FUTURERELEASE {longest} {moments.rfc3339(int(now) + longest)}"
