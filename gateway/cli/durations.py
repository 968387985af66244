"""Points in time on the command line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

import click

_SPAN: Final = re.compile(r"(\d{1,6})([smhdwy])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


def parse_until(text: str, now: float) -> int:
    """`30d` from `now`, a date (its first second, UTC) or an ISO 8601 moment -> Unix seconds; ValueError else."""
    span = _SPAN.fullmatch(text)
    if span is not None:
        return int(now) + int(span[1]) * _SECONDS[span[2]]
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())


def future(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """The callback of an option that takes a point in time that has not passed."""
    if text is None:
        return None
    now = time.time()
    try:
        moment = parse_until(text, now)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no time; write 30d, 12h, 2027-01-31 or 2027-01-31T12:00:00Z") from None
    if moment <= now:
        raise click.BadParameter(f"{text!r} is in the past")
    return moment
