"""What drafts say about their being sent, and bare line ends under any chunking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.submit import holds
from gateway.submit.errors import BadMessage
from gateway.submit.holds import LineEnds

NOW = 1_800_000_000  # Fri, 15 Jan 2027 08:00:00 +0000
DAY = 86_400


def header(*fields: str) -> bytes:
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n"


def test_only_a_field_schedules() -> None:
    assert holds.is_scheduled(header("x-SEND-at: whatever"))
    assert not holds.is_scheduled(header("Subject: X-Send-At: Fri, 15 Jan 2027 09:00:00 +0000"))
    assert not holds.is_scheduled(header("To: a@b"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Fri, 15 Jan 2027 09:00:00 +0000", 3_600),
        ("15 Jan 2027 09:00:00 GMT", 3_600),
        ("Fri, 15 Jan 2027 09:00 +0000", 3_600),
        ("Fri, 15 Jan 2027 10:00:00\r\n +0100", 3_600),
        ("Sat, 16 Jan 2027 08:00:00 +0000", DAY),
    ],
)
def test_when(value: str, seconds: int) -> None:
    assert holds.send_at(header(f"X-Send-At: {value}"), NOW, DAY) == NOW + seconds


@pytest.mark.parametrize(
    "value",
    [
        "", "tomorrow", "2027-01-15T09:00:00Z", "Fri, 15 Jan 2027", "Fri, 15 Jan 2027 25:00:00 +0000",
        "Fri, 15 Jan 2027 09:00:00", "Fri, 15 Jan 2027 09:00:00 CET", "Fri, 15 Jan 27 09:00:00 +0000",
        "Tue, 31 Feb 2027 09:00:00 +0000", "Fri, 15 Jan 2027 08:00:00 +0000", "Thu, 14 Jan 2027 08:00:00 +0000",
        "Sat, 16 Jan 2027 08:00:01 +0000", "Fri, 15 Jan 2027 09:00:00 +0000 or later",
    ],
)  # fmt: skip
def test_no_guess_sends_mail(value: str) -> None:
    with pytest.raises(BadMessage):
        holds.send_at(header(f"X-Send-At: {value}"), NOW, DAY)


def test_two_dates_are_none() -> None:
    one = "X-Send-At: Fri, 15 Jan 2027 09:00:00 +0000"
    with pytest.raises(BadMessage):
        holds.send_at(header(one, one), NOW, DAY)


def test_recipients_of_all_three_fields_once() -> None:
    found = holds.recipients(
        header("To: A <a@x.test>, team: b@x.test, c@x.test;", "Cc: a@x.test", "Bcc: d@x.test", "From: e@x.test"), 4
    )
    assert [each.address for each in found] == ["a@x.test", "b@x.test", "c@x.test", "d@x.test"]


@pytest.mark.parametrize("field", ["To: undisclosed:;", "Subject: x", "To: somebody", "To: a@", "To: a@x, b@x, c@x"])
def test_without_addresses_nothing_is_sent(field: str) -> None:
    with pytest.raises(BadMessage):
        holds.recipients(header(field), 2)


def test_the_date_stays_in_the_house() -> None:
    found = holds.outward(header("To: a@b", "X-Send-At: Fri,\r\n 15 Jan 2027", "Cc: c@d"))
    assert found == header("To: a@b", "Cc: c@d")


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"\0", b"a", b""]), max_size=12), st.integers(1, 5))
def test_bare_line_ends_whatever_the_chunks(parts: list[bytes], size: int) -> None:
    octets = b"".join(parts)
    rest = octets.replace(b"\r\n", b"")
    lines = LineEnds()
    for start in range(0, len(octets), size):
        lines.feed(octets[start : start + size])
    assert lines.end() is not any(bad in rest for bad in (b"\r", b"\n", b"\0"))
