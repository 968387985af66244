"""Which times are asked for, and what there was at each of them."""

from __future__ import annotations

import pytest

from gateway.model.errors import InvalidRequest
from gateway.web.agentmail.counting import BACK, DAY, Span, running, span

NOW = 1_800_000_123


def test_the_last_day_unless_said_and_nothing_of_later() -> None:
    assert span(NOW, None, None, 3600) == Span(NOW - DAY, NOW, 3600)
    assert span(NOW, NOW - 10, NOW + 5000, 1) == Span(NOW - 10, NOW, 1)
    assert span(NOW, None, NOW - 50, 3600) == Span(NOW - 50 - DAY, NOW - 50, 3600)


@pytest.mark.parametrize(("start", "end", "period", "ahead", "why"), [
    (NOW - BACK - 1, None, DAY, 0, "start must be within"), (NOW, None, 1, 0, "start must be before"),
    (NOW - 10, NOW - 20, 1, 0, "start must be before"), (NOW - 2000, None, 1, 0, "period"),
    (NOW - 900, None, 1, 200, "period"),
])  # fmt: skip
def test_what_cannot_be_asked(start: int, end: int | None, period: int, ahead: int, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        span(NOW, start, end, period, ahead)


def test_the_grid_is_of_multiples() -> None:
    assert list(Span(95, 130, 10).grid()) == [100, 110, 120, 130]
    assert list(Span(100, 109, 10).grid()) == [100]
    assert list(Span(101, 109, 10).grid()) == []


def test_what_there_was_is_what_there_is_less_what_came_since() -> None:
    since = {10: 1, 11: 2, 13: 4}  # at 100-109, 110-119 and 130-139
    assert running(9, since, Span(95, 135, 10), 135) == [(100, 2), (110, 3), (120, 5), (130, 5), (135, 9)]
    assert running(9, since, Span(95, 130, 10), 135) == [(100, 2), (110, 3), (120, 5), (130, 5)]
    assert running(9, since, Span(95, 130, 10), 130) == [(100, 2), (110, 3), (120, 5), (130, 9)]
    assert running(3, {}, Span(101, 109, 10), 109) == [(109, 3)]
