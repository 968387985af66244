"""The Date field to Unix seconds (RFC 5322 3.3 and 4.3)."""

from __future__ import annotations

import re
from datetime import date
from typing import Final, NamedTuple

from .header import strip_comments, unfold

_MONTH_NAMES: Final = (
    b"january", b"february", b"march", b"april", b"may", b"june",
    b"july", b"august", b"september", b"october", b"november", b"december",
)  # fmt: skip
_MONTHS: Final = {
    spelling: number for number, name in enumerate(_MONTH_NAMES, 1) for spelling in (name, name[:3], name[:4])
}
_EPOCH: Final = date(1970, 1, 1).toordinal()
# RFC 5322 4.3. Military letters mean -0000 there, for so many used them with the wrong sign; so does all else unknown.
_ZONES: Final = {b"EST": -5, b"EDT": -4, b"CST": -6, b"CDT": -5, b"MST": -7, b"MDT": -6, b"PST": -8, b"PDT": -7}
_DATE: Final = re.compile(
    rb"[ \t]*+(?:[A-Za-z]{2,9}\.?[ \t]*+,?|,)?[ \t]*+([0-9]{1,2})(?:[ \t]++|-)([A-Za-z]{3,9}+)\.?"
    rb"[ \t,-]++([0-9]{2,4})(?![0-9])"
)
_TIME: Final = re.compile(
    rb"[ \t,]*+([0-9]{1,2})[ \t]*+:[ \t]*+([0-9]{1,2})(?:[ \t]*+:[ \t]*+([0-9]{1,2})(?:\.[0-9]++)?)?(?![0-9:])[ \t]*+"
)
_OFFSET: Final = re.compile(rb"(?:GMT|UTC|UT)?([+-])([0-9]{2}):?([0-9]{2})(?![0-9])", re.IGNORECASE)
_LONGEST: Final = 1000  # octets looked at: a line's limit (RFC 5322 2.1.1); no date is near it


class SentDate(NamedTuple):
    """`utc`: Unix seconds. `day`: days since 1970-01-01 as written in the sender's own zone, which is what
    SENTBEFORE, SENTON and SENTSINCE compare (RFC 3501 6.4.4: disregarding time and timezone)."""

    utc: int
    day: int


def parse_date(value: bytes) -> int | None:
    """Unix seconds, negative before 1970; None without a valid calendar date.

    RFC 5256 2.2: an invalid time counts as 00:00:00, an invalid zone as UTC.
    """
    parsed = parse_sent_date(value)
    return None if parsed is None else parsed.utc


def parse_sent_date(value: bytes) -> SentDate | None:
    """As `parse_date`, with the day as the sender wrote it."""
    text = strip_comments(unfold(value[:_LONGEST]))
    match = _DATE.match(text)
    if match is None:
        return None
    day_of_month, month_name, year_text = match.groups()
    month = _MONTHS.get(month_name.lower())
    if month is None:
        return None
    year = int(year_text)
    if len(year_text) == 2:  # RFC 5322 4.3: 00-49 are 2000-2049, 50-99 and three digits count from 1900
        year += 2000 if year < 50 else 1900
    elif len(year_text) == 3:
        year += 1900
    try:
        day = date(year, month, int(day_of_month)).toordinal() - _EPOCH
    except ValueError:
        return None
    return SentDate(day * 86400 + _seconds(text, match.end()), day)


def _seconds(text: bytes, at: int) -> int:
    """Seconds to add to the day's start in UTC."""
    match = _TIME.match(text, at)
    if match is None:
        return 0
    hour, minute, second = (int(group or b"0") for group in match.groups())
    if hour > 23 or minute > 59 or second > 60:
        return 0
    return hour * 3600 + minute * 60 + second - _offset(text, match.end())


def _offset(text: bytes, at: int) -> int:
    """The zone's distance from UTC in seconds, east positive."""
    match = _OFFSET.match(text, at)
    if match is not None:
        sign, hours, minutes = match.groups()
        if int(minutes) > 59:
            return 0
        seconds = int(hours) * 3600 + int(minutes) * 60
        return -seconds if sign == b"-" else seconds
    word = text[at : at + 5].split(None, 1)
    return _ZONES.get(word[0].upper(), 0) * 3600 if word else 0
