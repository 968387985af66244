"""The circuit breaker and the rate of a next hop."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.breaker import LOGIN_REFUSED, LOSSES, UNREACHABLE, Breaker, BreakerState, Rate


def test_closed_open_half_open_and_closed_again() -> None:
    breaker = Breaker()
    assert breaker.state(0) is BreakerState.CLOSED
    assert breaker.admits(0)
    assert breaker.failed(100, "refused", 0.5)
    assert (breaker.state(104.9), breaker.admits(104.9)) == (BreakerState.OPEN, False)
    assert breaker.reason == "refused"
    assert (breaker.state(105), breaker.admits(105)) == (BreakerState.HALF_OPEN, True)
    breaker.begin(105)
    assert not breaker.admits(105), "one probe, no more"
    assert breaker.answered()
    assert (breaker.state(105), breaker.reason) == (BreakerState.CLOSED, "")
    assert not breaker.answered(), "it was closed already"


def test_a_failed_probe_opens_it_for_longer() -> None:
    breaker = Breaker()
    now, pauses = 0.0, []
    for _ in range(7):
        breaker.begin(now)
        assert breaker.failed(now, "refused", 0.5)
        pauses.append(breaker.until - now)
        now = breaker.until
    assert pauses == [5, 15, 45, 135, 405, 600, 600]


def test_what_began_before_it_opened_is_one_failure() -> None:
    breaker = Breaker()
    assert [breaker.failed(10 + n / 10, "refused", 0.5) for n in range(5)] == [True, False, False, False, False]
    assert breaker.until == 15


def test_a_refused_login_waits_longer() -> None:
    breaker = Breaker()
    breaker.failed(0, "535", 0.5, LOGIN_REFUSED)
    assert breaker.until == 60
    assert [LOGIN_REFUSED.after(n) for n in (1, 2, 3, 4, 5, 400)] == [60, 180, 540, 1620, 3600, 3600]


def test_losses_in_a_row_are_a_failure_and_an_answer_ends_the_row() -> None:
    breaker = Breaker()
    assert [breaker.lost(0, "timed out", 0.5) for _ in range(LOSSES - 1)] == [False] * (LOSSES - 1)
    breaker.answered()
    assert [breaker.lost(0, "timed out", 0.5) for _ in range(LOSSES)] == [False] * (LOSSES - 1) + [True]
    assert breaker.state(0) is BreakerState.OPEN
    breaker.begin(5)
    assert breaker.lost(5, "timed out", 0.5), "a lost probe is enough"
    assert breaker.until == 20


def test_a_probe_that_asked_nothing_leaves_the_way_open() -> None:
    breaker = Breaker()
    breaker.failed(0, "refused", 0.5)
    breaker.begin(5)
    breaker.abandoned()
    assert breaker.admits(5)
    breaker.reset()
    assert breaker.state(0) is BreakerState.CLOSED


@given(st.integers(1, 60), st.floats(0, 1))
def test_pauses_never_shrink_and_end(failures: int, chance: float) -> None:
    assert UNREACHABLE.after(failures) <= UNREACHABLE.after(failures + 1) <= UNREACHABLE.longest
    breaker = Breaker()
    breaker.failed(0, "", chance)
    assert 4 <= breaker.until <= 6


def test_no_rate_is_no_limit() -> None:
    rate = Rate(0)
    rate.take(0)
    assert rate.available(0) is None
    assert rate.wait(0) == 0


@given(st.integers(1, 6000), st.lists(st.floats(0, 20), max_size=60))
def test_a_rate_is_kept(per_minute: int, pauses: list[float]) -> None:
    """However often it is asked: never more than the burst and what the time has brought since; a wait is enough."""
    rate, now, taken = Rate(per_minute), 1000.0, 0
    for pause in pauses:
        now += pause
        while rate.available(now):
            rate.take(now)
            taken += 1
        assert taken <= rate.burst + (now - 1000) * per_minute / 60 + 1e-6
        wait = rate.wait(now)
        assert wait > 0
        now += wait
        assert rate.available(now) == 1


def test_a_clock_set_back_brings_no_messages() -> None:
    rate = Rate(6)
    rate.take(100)
    assert rate.available(50) == 0
    assert rate.available(60) == 1


def test_a_clock_that_is_set_back_ends_the_pause() -> None:
    """It was a year ahead: the pause would last that year."""
    breaker, year = Breaker(), 31_536_000.0
    breaker.failed(year, "refused", 0.5)
    assert not breaker.admits(year)
    assert breaker.admits(0.0)
    breaker.begin(0.0)
    assert breaker.failed(0.0, "refused", 0.5), "the probe counts by the clock as it is now"
    assert (breaker.until, breaker.admits(14.9), breaker.admits(15.0)) == (15.0, False, True)
