"""Which connectors go to other nodes, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.sharing import MOST, SELDOM, Sharing
from gateway.store.connectors.rows import ConnectorId


def one(number: int) -> ConnectorId:
    return ConnectorId(number)


def some(*numbers: int) -> dict[ConnectorId, float]:
    """Quiet ones, the first for longest."""
    return {one(number): float(place) for place, number in enumerate(numbers)}


def asked(sharing: Sharing, start: float = 0.0) -> float:
    """When it may be asked."""
    assert not sharing.due(start)
    assert sharing.due(start + 10.0)
    return start + 10.0


def test_those_that_listen_for_longest_go() -> None:
    sharing = Sharing(10.0)
    now = asked(sharing)
    assert sharing.give(2, some(7, 3, 5), some(3, 5, 7, 9), now) == [7, 3]


def test_where_none_listens_those_go_that_fetch_older_mail() -> None:
    sharing = Sharing(10.0)
    now = asked(sharing)
    assert sharing.give(2, {}, some(3, 5, 7), now, some(5, 3, 7)) == [5, 3]
    assert not sharing.may_claim(now)
    assert sharing.give(2, some(7), some(3, 5, 7), now + 10.0, some(5, 3)) == [7], "what listens goes alone"


def test_who_is_asked_too_early_is_not_due() -> None:
    sharing = Sharing(10.0)
    now = asked(sharing)
    sharing.give(0, {}, [], now)
    assert not sharing.due(now + 9.9)
    assert sharing.due(now + 10.0)


def test_who_gave_lets_others_claim_first() -> None:
    sharing = Sharing(10.0)
    now = asked(sharing)
    assert sharing.may_claim(now)
    sharing.give(1, some(1, 2), some(1, 2), now)
    assert not sharing.may_claim(now + 4.9)
    assert sharing.may_claim(now + 5.0)


def test_who_gives_nothing_goes_on_claiming() -> None:
    sharing = Sharing(10.0)
    now = asked(sharing)
    assert sharing.give(0, some(1, 2), some(1, 2), now) == []
    assert sharing.give(3, {}, some(1, 2), now + 10.0) == []
    assert sharing.may_claim(now + 10.0)


def test_what_nobody_takes_is_given_less_and_less_often() -> None:
    sharing = Sharing(10.0)
    now = asked(sharing)
    pauses = []
    for _ in range(12):
        sharing.give(1, some(1), some(1), now)
        pause = next(wait for wait in (10.0 * 2**n for n in range(20)) if sharing.due(now + wait))
        assert not sharing.due(now + pause - 0.1)
        pauses.append(pause)
        now += pause
    assert pauses[:4] == [10.0, 20.0, 40.0, 80.0]
    assert pauses[-1] == 10.0 * SELDOM
    sharing.give(1, some(2), some(2), now)  # somebody took it
    assert sharing.due(now + 10.0)


def test_what_is_busy_now_and_was_given_is_remembered() -> None:
    """What came back syncs first, and is quiet no sooner than a question later."""
    sharing = Sharing(10.0)
    now = asked(sharing)
    sharing.give(1, some(1), some(1, 2), now)
    now += 10.0
    assert sharing.give(1, {}, some(1, 2), now) == []
    assert not sharing.due(now + 19.9)
    now += 20.0
    assert sharing.give(1, some(1), some(1, 2), now) == [1]
    assert not sharing.due(now + 39.9)


@given(st.integers(0, 500), st.sets(st.integers(1, 300)), st.sets(st.integers(1, 300)))
def test_never_more_than_wanted_nor_what_works(excess: int, quiet: set[int], busy: set[int]) -> None:
    sharing = Sharing(10.0)
    now = asked(sharing)
    idle = some(*(quiet - busy))
    chosen = sharing.give(excess, idle, [*idle, *map(one, busy)], now)
    assert len(chosen) == min(excess, MOST, len(idle)) == len(set(chosen))
    assert set(chosen) <= idle.keys()
