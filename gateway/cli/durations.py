"""Points in time on the command line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any, Final

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


class Until(click.ParamType):
    """A future point in time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        now = time.time()
        try:
            moment = parse_until(str(value), now)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 30d, 12h, 2027-01-31 or 2027-01-31T12:00:00Z", param, ctx)
        if moment <= now:
            self.fail(f"{value!r} is in the past", param, ctx)
        return moment


UNTIL: Final = Until()
