from __future__ import annotations

import pytest

from gateway.cli.durations import parse_until


@pytest.mark.parametrize(
    ("text", "unix"),
    [("30d", 1000 + 30 * 86400), ("12h", 1000 + 43200), ("2027-01-31", 1801353600),
     ("2027-01-31T12:00:00Z", 1801396800), ("2027-01-31T12:00:00+01:00", 1801393200)],
)
def test_spans_dates_and_moments(text: str, unix: int) -> None:
    assert parse_until(text, 1000.9) == unix


@pytest.mark.parametrize("text", ["", "soon", "30", "d", "-3d", "2027-13-01", "1e9d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_until(text, 0)
