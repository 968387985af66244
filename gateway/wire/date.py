"""Dates of the IMAP grammar (RFC 3501 9 `date`, `date-time`): three-letter English months, numeric zones."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final

MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTH: Final = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_EPOCH: Final = date(1970, 1, 1).toordinal()
_DAY_SECONDS: Final = 86_400
_DATE: Final = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\Z")
# One-digit days come bare, too (clients.md): the RFC asks for a space before them.
_DATE_TIME: Final = re.compile(
    rb" ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})\Z"
)


def _day(day: bytes, month: bytes, year: bytes) -> int:
    number = _MONTH.get(month.lower())
    if number is None:
        raise ValueError("no such month")
    return date(int(year), number, int(day)).toordinal() - _EPOCH


def parse_date(text: bytes) -> int:
    """`1-Feb-1994` (without quotes) -> days since 1970-01-01. ValueError for what is no day of the calendar."""
    found = _DATE.match(text)
    if found is None:
        raise ValueError("not a date like 1-Feb-1994")
    return _day(found[1], found[2], found[3])


def parse_date_time(text: bytes) -> int:
    """`17-Jul-1996 02:44:25 -0700` (without quotes) -> Unix seconds; before 1970 they are negative.

    A leap second counts as the second after it. ValueError for what is no moment.
    """
    found = _DATE_TIME.match(text)
    if found is None:
        raise ValueError('not a date and time like "17-Jul-1996 02:44:25 -0700"')
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    zone_hours, zone_minutes = int(found[8]), int(found[9])
    if hour > 23 or minute > 59 or second > 60 or zone_hours > 23 or zone_minutes > 59:
        raise ValueError("no such time of day")
    offset = zone_hours * 3600 + zone_minutes * 60
    local = _day(found[1], found[2], found[3]) * _DAY_SECONDS + hour * 3600 + minute * 60 + second
    return local + offset if found[7] == b"-" else local - offset


@lru_cache(maxsize=4096)
def _rendered_day(day: int) -> bytes:
    # Beyond years 1 to 9999 there is no date to show; the nearest one is.
    value = date.fromordinal(min(max(day + _EPOCH, 1), date.max.toordinal()))
    return b'"%2d-%s-%04d ' % (value.day, MONTHS[value.month - 1], value.year)


def date_time(seconds: int) -> bytes:
    """Unix seconds -> `"17-Jul-1996 02:44:25 +0000"` with its quotes (RFC 3501 9 `date-time`), always in UTC."""
    day, second = divmod(seconds, _DAY_SECONDS)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return b'%s%02d:%02d:%02d +0000"' % (_rendered_day(day), hour, minute, second)


def date_text(day: int) -> bytes:
    """Days since 1970-01-01 -> `1-Feb-1994`. ValueError beyond years 1 to 9999."""
    value = date.fromordinal(day + _EPOCH)
    return b"%d-%s-%04d" % (value.day, MONTHS[value.month - 1], value.year)
