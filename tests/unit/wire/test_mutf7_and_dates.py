"""Modified UTF-7 and dates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.wire import date, mutf7


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("", b""),
        ("INBOX", b"INBOX"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 5.1.3
        ("R&D", b"R&-D"),
        ("&&", b"&-&-"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("😀", b"&2D3eAA-"),
        ("a\tb", b"a&AAk-b"),
        ("\x7f", b"&AH8-"),
        ("ä&ö", b"&AOQ-&-&APY-"),
    ],
)
def test_both_ways(name: str, wire: bytes):
    assert mutf7.encode(name) == wire
    assert mutf7.decode(wire) == name


@pytest.mark.parametrize(
    "wire",
    [
        b"&",
        b"R&D",
        b"&AOQ",  # not closed
        b"&AOQ=-",  # padding is not written
        b"&AOR-",  # bits left over
        b"&AGE-",  # a printable character shifted
        b"&AOQAYQ-",  # one of them printable
        b"&AOQ-&APY-",  # two shifts where one does
        b"&2D0-",  # half a surrogate pair
        b"&A-",
        b"&U/BT-",  # the slash is written as a comma
        b"\x80",
        b"a\x00",
        b"a\r",
    ],
)
def test_each_name_has_one_spelling(wire: bytes):
    with pytest.raises(ValueError, match=r".+"):
        mutf7.decode(wire)


def test_an_unpaired_surrogate_has_no_encoding():
    with pytest.raises(UnicodeEncodeError):
        mutf7.encode("\ud800")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"17-Jul-1996 02:44:25 -0700", datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)),
        (b" 1-feb-2020 00:00:00 +0530", datetime(2020, 1, 31, 18, 30, tzinfo=UTC)),
        (b"1-FEB-2020 00:00:00 +0000", datetime(2020, 2, 1, tzinfo=UTC)),
        (b"29-Feb-2000 23:59:60 +0000", datetime(2000, 3, 1, tzinfo=UTC)),
        (b"01-Jan-1900 00:00:00 +0000", datetime(1900, 1, 1, tzinfo=UTC)),
    ],
)
def test_date_times(text: bytes, moment: datetime):
    assert date.parse_date_time(text) == moment.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        b"30-Feb-2020 00:00:00 +0000", b"1-Foo-2020 00:00:00 +0000", b"1-Jan-0000 00:00:00 +0000",
        b"1-Jan-2020 24:00:00 +0000", b"1-Jan-2020 00:60:00 +0000", b"1-Jan-2020 00:00:61 +0000",
        b"1-Jan-2020 00:00:00 +2400", b"1-Jan-2020 00:00:00", b"1-Jan-2020 00:00:00 0000", b"1-Jan-20 00:00:00 +0000",
        b"  1-Jan-2020 00:00:00 +0000", b"1-Jan-2020 00:00:00 +0000 ", b"",
    ],
)  # fmt: skip
def test_what_is_no_moment(text: bytes):
    with pytest.raises(ValueError, match=r".+"):
        date.parse_date_time(text)


def test_internal_dates_are_shown_in_utc():
    assert date.date_time(837596665) == b'"17-Jul-1996 09:44:25 +0000"'
    assert date.date_time(0) == b'" 1-Jan-1970 00:00:00 +0000"'
    assert date.date_time(-1) == b'"31-Dec-1969 23:59:59 +0000"'
    assert date.date_time(10**15).startswith(b'"31-Dec-9999 ')


def test_days():
    assert date.parse_date(b"1-Jan-1970") == 0
    assert date.parse_date(b"31-dec-1969") == -1
    assert date.parse_date(b"01-Feb-1994") == 8797
    assert date.date_text(8797) == b"1-Feb-1994"
    for text in (b"1-Jan-70", b"32-Jan-1970", b"29-Feb-1900", b"1-Jan-1970 "):
        with pytest.raises(ValueError, match=r".+"):
            date.parse_date(text)
