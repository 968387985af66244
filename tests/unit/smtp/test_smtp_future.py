"""FUTURERELEASE's words (RFC 4865) and the times they come to."""

from __future__ import annotations

import pytest

from gateway.smtp.future import Hold, advertised, parse_hold_for, parse_hold_until, release_at
from gateway.smtp.parameters import SyntaxRefused
from gateway.smtp.syntax import parse_mail

NOW = 1_800_000_000.25  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize("value", [None, "", "0", "00", "01", "-1", "+1", "1.5", "1000000000", "1s", "\u0661"])
def test_what_is_no_interval(value: str | None) -> None:
    assert parse_hold_for(value) is None


@pytest.mark.parametrize(
    "value",
    [
        None, "", "2027-01-15", "2027-01-15T08:00:00", "2027-01-15T08:00:00+01:00", "2027-02-30T08:00:00Z",
        "2027-01-15T24:00:00Z", "2027-01-15T08:00:61Z", "2027-01-15 08:00:00Z", "0000-01-15T08:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_moment_in_utc(value: str | None) -> None:
    assert parse_hold_until(value) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2027-01-15T08:00:10Z", 10), ("2027-01-15t08:00:10z", 10), ("2027-01-15T08:00:10.75Z", 10),
        ("2027-01-15T08:00:10+00:00", 10), ("2027-01-15T08:00:10-00:00", 10), ("2027-01-15T08:00:60Z", 60),
    ],
)  # fmt: skip
def test_moments(value: str, seconds: int) -> None:
    assert parse_hold_until(value) == Hold(until=1_800_000_000 + seconds)


def test_an_interval_ends_no_earlier_than_asked_for() -> None:
    assert release_at(Hold(seconds=5), NOW, 60) == 1_800_000_006
    assert release_at(Hold(seconds=60), NOW, 60) == 1_800_000_061, "the longest that is advertised"
    assert release_at(Hold(seconds=61), NOW + 0.5, 60) is None


def test_a_moment_is_ahead_and_not_too_far() -> None:
    for seconds, found in ((-1, None), (0, None), (1, 1), (60, 60), (62, None)):
        at = release_at(Hold(until=1_800_000_000 + seconds), NOW, 60)
        assert at == (None if found is None else 1_800_000_000 + found)


def test_what_is_advertised() -> None:
    assert advertised(NOW, 3_600) == "FUTURERELEASE 3600 2027-01-15T09:00:00Z"


def test_the_wish_as_reports_repeat_it() -> None:
    """RFC 4865 5.1.2."""
    assert Hold(seconds=60).text == "for;60"
    assert Hold(until=1_800_000_000).text == "until;2027-01-15T08:00:00Z"


def test_parameters_of_mail() -> None:
    """RFC 4865 7: the examples' forms; 4.2, 7-10: what is refused by 501 5.5.4."""
    assert parse_mail(b"FROM:<eljefe@example.org> HOLDFOR=86400").hold == Hold(seconds=86_400)
    assert parse_mail(b"FROM:<eljefe@example.org> holduntil=2027-01-15T08:00:00Z").hold == Hold(until=1_800_000_000)
    assert parse_mail(b"FROM:<eljefe@example.org>").hold is None
    for words in (
        b"HOLDFOR", b"HOLDFOR=0", b"HOLDFOR=x", b"HOLDUNTIL", b"HOLDUNTIL=tomorrow", b"HOLDFOR=1 HOLDFOR=2",
        b"HOLDFOR=1 HOLDUNTIL=2027-01-15T08:00:00Z",
    ):  # fmt: skip
        with pytest.raises(SyntaxRefused) as refused:
            parse_mail(b"FROM:<eljefe@example.org> " + words)
        assert refused.value.reply.startswith("501 5.5.4 ")
