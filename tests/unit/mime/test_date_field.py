"""Date fields."""

from __future__ import annotations

import pytest

from gateway.mime import parse_date, parse_sent_date


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"Thu, 01 Jan 1970 00:00:00 +0000", 0),
        (b"Fri, 21 Nov 1997 09:55:06 -0600", 880127706),  # RFC 5322 A.1.1
        (b"Thu,\r\n  13\r\n    Feb\r\n      1969\r\n  23:32\r\n   -0330 (Newfoundland Time)", -27723480),  # A.5
        (b"21 Nov 97 09:55:06 GMT", 880106106),  # A.6.2
        (b"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706),  # A.6.3
        (b"31 Dec 2000 16:01:33 -0800", 978307293),  # RFC 5256 2.2
        (b"1 Jan 49 00:00:00 +0000", 2493072000),
        (b"1 Jan 50 00:00:00 +0000", -631152000),
        (b"1 Jan 100 00:00:00 +0000", 946684800),
        (b"1 Jan 2000 00:00:00 EST", 946702800),
        (b"1 Jan 2000 00:00:00 PDT", 946710000),
        (b"1 Jan 2000 00:00:00 Z", 946684800),
        (b"1 Jan 2000 00:00:00 A", 946684800),
        (b"1 Jan 2000 00:00:00 Nowhere", 946684800),
        (b"1 Jan 2000 00:00:00 GMT+0100", 946681200),
        (b"1 Jan 2000 00:00 +0100 (CET)", 946681200),
        (b"1-Jan-2000 00:00:00 +0000", 946684800),
        (b"Saturday, 1 January 2000 00:00:00", 946684800),
        (b"Sat 1 Jan 2000 00:00:00 +0000", 946684800),
        (b"31 Dec 1998 23:59:60 +0000", 915148800),
        (b"1 Jan 2000", 946684800),
        (b"1 Jan 2000 25:00:00 +0100", 946684800),  # RFC 5256 2.2: an invalid time is 00:00:00
        (b"1 Jan 1601 00:00:00 +0000", -11644473600),
    ],
)
def test_dates(value: bytes, seconds: int) -> None:
    assert parse_date(value) == seconds


@pytest.mark.parametrize(
    "value", [b"", b"yesterday", b"32 Jan 2000 00:00:00 +0000", b"30 Feb 2000 00:00:00", b"1 Foo 2000 00:00:00",
              b"1 Junk 2000", b"0 Jan 2000", b"1 Jan 0000", b"1 Jan 20000", b"\xff\x00", b"(1 Jan 2000)"]
)  # fmt: skip
def test_no_dates(value: bytes) -> None:
    assert parse_date(value) is None


def test_the_day_is_the_one_the_sender_wrote() -> None:
    parsed = parse_sent_date(b"2 Jan 1970 01:00:00 +0200")
    assert parsed is not None
    assert parsed.utc == 86400 - 3600
    assert parsed.day == 1
