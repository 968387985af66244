"""Rates: a sliding window made of two fixed periods."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.model.rates import Rates
from gateway.store.rates import Sent
from gateway.submit.rates import DAY, HOUR, Charge, charges, exceeded, in_window

START = 1_800_000_000 - 1_800_000_000 % HOUR


def test_the_period_before_counts_by_what_the_window_covers_of_it() -> None:
    assert in_window(Sent(START, 10, 100), HOUR, START) == 110
    assert in_window(Sent(START, 10, 100), HOUR, START + HOUR // 4) == 85
    assert in_window(Sent(START, 10, 100), HOUR, START + HOUR) == 10


def test_a_limit_may_be_reached_and_not_passed() -> None:
    charge = Charge("i1", HOUR, 10)
    assert not exceeded(charge, Sent(START, 10, 0), START + 60)
    assert exceeded(charge, Sent(START, 11, 0), START + 60)


def test_what_a_submission_must_pass() -> None:
    assert list(charges(7, Rates(5, 0), 3, Rates(None, 50))) == [Charge("i3", DAY, 50), Charge("k7", HOUR, 5)]
    assert list(charges(7, Rates(), 3, Rates(0, 0))) == []


def test_own_rates_go_before_those_of_all() -> None:
    assert Rates(5, None).over(Rates(1, 2)) == Rates(5, 2)
    assert Rates(0, None).over(Rates(1, None)) == Rates(0, None)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 5)), max_size=60), st.integers(1, 20))
def test_nobody_gets_more_than_twice_a_limit_through_in_any_hour(steps: list[tuple[int, int]], limit: int) -> None:
    """Whatever the times: what is refused is not counted."""
    now, start, count, before = START, START, 0, 0
    passed: list[tuple[int, int]] = []
    for seconds, more in steps:
        now += seconds
        if now - start >= HOUR:
            before = count if now - start < 2 * HOUR else 0
            start, count = now - now % HOUR, 0
        if exceeded(Charge("i1", HOUR, limit), Sent(start, count + more, before), now):
            continue
        count += more
        passed.append((now, more))
    for at, _ in passed:
        assert sum(more for when, more in passed if at <= when < at + HOUR) <= 2 * limit
