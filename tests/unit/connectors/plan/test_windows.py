"""Windows of UIDs, and messages that cannot be had."""

from __future__ import annotations

from gateway.connectors.plan.windows import (
    DAY,
    POISON_TRIES,
    Taken,
    Window,
    WindowLimits,
    backfill_window,
    forward_window,
    next_count,
    only_new,
    pieces,
    poison_is_reported,
    poison_next,
)

LIMITS = WindowLimits(messages=100, octets=1000, seconds=10.0)


def test_the_first_window_is_a_careful_one() -> None:
    assert next_count(None, LIMITS) == 25
    assert next_count(Taken(0, 0, 0.0), LIMITS) == 25
    assert next_count(None, WindowLimits(messages=1)) == 1


def test_a_window_doubles_at_most_and_shrinks_at_once() -> None:
    assert next_count(Taken(25, 10, 0.1), LIMITS) == 50
    assert next_count(Taken(80, 10, 0.1), LIMITS) == 100
    assert next_count(Taken(50, 5000, 0.1), LIMITS) == 10
    assert next_count(Taken(50, 10, 100.0), LIMITS) == 5
    assert next_count(Taken(1, 1_000_000, 900.0), LIMITS) == 1


def test_forward_takes_the_oldest_first_and_ends_at_its_target() -> None:
    listed = ((3, 5), (9, 9), (20, 30))
    assert forward_window(listed, 4, 15, 2) == Window(((4, 5),), 6)
    assert forward_window(listed, 6, 15, 2) == Window(((9, 9),), 15)
    assert forward_window(listed, 15, 15, 2) is None
    assert forward_window((), 4, 15, 2) == Window((), 15), "a gap is passed at once"


def test_a_window_that_takes_all_of_a_range_goes_on_behind_it() -> None:
    assert forward_window(((3, 5), (9, 9)), 3, 15, 3) == Window(((3, 5),), 6)
    assert backfill_window(((3, 5), (9, 9)), 10, 1, 1) == Window(((9, 9),), 9)


def test_backfill_takes_the_newest_first_and_ends_at_its_floor() -> None:
    listed = ((3, 5), (9, 9), (20, 30))
    assert backfill_window(listed, 31, 1, 2) == Window(((29, 30),), 29)
    assert backfill_window(listed, 10, 1, 2) == Window(((5, 5), (9, 9)), 5)
    assert backfill_window(listed, 5, 1, 2) == Window(((3, 4),), 1)
    assert backfill_window(listed, 10, 5, 5) == Window(((5, 5), (9, 9)), 5)
    assert backfill_window(listed, 5, 5, 5) is None
    assert backfill_window((), 100, 1, 5) == Window((), 1)


def test_pieces_have_so_many_numbers_at_most() -> None:
    assert list(pieces(((1, 5), (9, 9), (11, 12)), 3)) == [((1, 3),), ((4, 5), (9, 9)), ((11, 12),)]
    assert list(pieces((), 3)) == []


def test_what_is_known_or_put_off_is_not_fetched() -> None:
    assert only_new(((1, 10),), ((2, 3),), [5]) == ((1, 1), (4, 4), (6, 10))


def test_a_message_that_cannot_be_had_is_asked_for_soon_and_then_daily() -> None:
    waits = [poison_next(tries, 1000.0) - 1000.0 for tries in range(1, 13)]
    assert waits == sorted(waits)
    assert waits[POISON_TRIES - 1] == DAY
    assert waits[-1] == 7 * DAY
    assert [tries for tries in range(1, 9) if poison_is_reported(tries)] == [POISON_TRIES]
