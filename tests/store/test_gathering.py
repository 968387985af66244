"""When a group of units that run on the loop begins: pure, with a clock by hand."""

from __future__ import annotations

from gateway.store.gathering import CALM_TURNS, SECONDS, Gathering


def test_a_client_that_writes_alone_waits_for_nobody() -> None:
    gathering = Gathering(200)
    for _ in range(3):
        assert not gathering.goes_on(1, 0.0)
        gathering.answered(1)


def test_a_group_waits_while_the_turns_bring_more() -> None:
    gathering = Gathering(200)
    assert [gathering.goes_on(waiting, 0.0) for waiting in (2, 3, 3, 5)] == [True] * 4
    assert [gathering.goes_on(5, 0.0) for _ in range(CALM_TURNS)] == [True] * (CALM_TURNS - 1) + [False]


def test_the_first_one_after_a_group_waits_for_the_others() -> None:
    gathering = Gathering(200)
    gathering.answered(2)
    assert gathering.goes_on(1, 0.0)
    assert gathering.goes_on(2, 0.0)


def test_a_full_group_begins() -> None:
    gathering = Gathering(5)
    assert gathering.goes_on(4, 0.0)
    assert not gathering.goes_on(5, 0.0)


def test_nobody_waits_longer_than_the_limit() -> None:
    gathering = Gathering(10**6)
    assert gathering.goes_on(2, 1.0)
    assert gathering.goes_on(3, 1.0 + SECONDS / 2)
    assert not gathering.goes_on(4, 1.0 + SECONDS)
    assert gathering.goes_on(2, 9.0), "and the next group has a limit of its own"
