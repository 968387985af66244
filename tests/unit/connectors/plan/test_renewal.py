"""When the next login is made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.plan.renewal import LONGEST, SHORTEST, begins, is_later, pause

CHANCE = st.floats(0, 1)


@given(st.floats(0, 2e9), st.floats(1, 86_400), CHANCE)
def test_it_begins_before_the_end_and_not_at_once(now: float, lasts: float, chance: float) -> None:
    assert now + 0.7 * lasts <= begins(now, now + lasts, chance) <= now + 0.95 * lasts


def test_of_a_token_that_has_ended_at_once() -> None:
    assert begins(100.0, 90.0, 0.5) == 100.0


@given(st.floats(0, 1e6), st.floats(-100, 86_400), CHANCE)
def test_it_is_tried_again_more_often_as_the_end_comes_and_never_in_a_tight_loop(
    now: float, left: float, chance: float
) -> None:
    assert SHORTEST <= pause(now, now + left, chance) <= LONGEST


def test_the_last_tries_are_within_the_token_s_life() -> None:
    now, ends, tries = 0.0, 300.0, 0
    while now < ends:
        now += pause(now, ends, 0.5)
        tries += 1
    assert 5 <= tries <= 20


def test_a_later_token_is_another_one() -> None:
    assert is_later(None, 10.0)
    assert is_later(20.0, 10.0)
    assert not is_later(10.5, 10.0)
    assert not is_later(5.0, 10.0)
