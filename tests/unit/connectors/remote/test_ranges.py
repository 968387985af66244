"""How somebody names messages of a folder, and which UIDs these are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.remote.ranges import at_positions, chosen, pieces, resolve
from gateway.connectors.remote.reading import highest, lowest
from gateway.model.errors import InvalidRequest, LimitReached, NotFound
from gateway.model.sequence import Ranges, count, from_numbers, numbers_of

THERE = from_numbers([10, 11, 12, 20, 30, 31])


def uids(text: str, *, by_uid: bool = False, there: Ranges = THERE, most: int = 1_000) -> list[int]:
    return list(numbers_of(resolve(chosen(text, by_uid=by_uid), there, most=most)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", [10]),
        ("*", [31]),
        ("2:4", [11, 12, 20]),
        ("4:2", [11, 12, 20]),
        ("5:*", [30, 31]),
        ("*:5", [30, 31]),
        ("1,4,6:*", [10, 20, 31]),
        ("1:*", [10, 11, 12, 20, 30, 31]),
        ("5:99", [30, 31]),
        (" 3 ", [12]),
        ("*,1", [10, 31]),
    ],
)
def test_positions_are_counted_from_the_oldest(text: str, found: list[int]) -> None:
    assert uids(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("11", [11]),
        ("*", [31]),
        ("12:30", [12, 20, 30]),
        ("20:*", [20, 30, 31]),
        ("1:11,31", [10, 11, 31]),
        ("1:4294967295", [10, 11, 12, 20, 30, 31]),
    ],
)
def test_uids_are_those_that_are_there(text: str, found: list[int]) -> None:
    assert uids(text, by_uid=True) == found


@pytest.mark.parametrize(("text", "by_uid"), [("7", False), ("7:*", False), ("13:19", True), ("32:*", True)])
def test_what_is_beyond_the_last_is_nothing_and_not_the_last(text: str, by_uid: bool) -> None:
    with pytest.raises(NotFound):
        uids(text, by_uid=by_uid)


@pytest.mark.parametrize("by_uid", [False, True])
@pytest.mark.parametrize("text", ["*", "1", "1:*"])
def test_an_empty_folder_has_none(text: str, by_uid: bool) -> None:
    with pytest.raises(NotFound):
        uids(text, by_uid=by_uid, there=())


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "1-3", "$", "a", "1,", "1:", "1:2:3", "1 2", "4294967296", "1\r\nA1 X", "\uff11", "1" * 20_000],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        chosen(text, by_uid=False)


def test_too_many_are_refused_and_are_never_counted_out() -> None:
    huge = ((1, 4_294_967_295),)
    with pytest.raises(LimitReached, match="4294967295 messages; one command takes 1000"):
        uids("1:*", there=huge)
    assert uids("4294967295", there=huge) == [4_294_967_295]
    assert len(uids("1:1000", there=huge)) == 1_000
    with pytest.raises(LimitReached):
        uids("1:1001", there=huge)


folders = st.sets(st.integers(1, 400), max_size=60).map(sorted)
ends = st.one_of(st.just("*"), st.integers(1, 70).map(str))
texts = st.lists(
    st.one_of(ends, st.tuples(ends, ends).map(":".join)), min_size=1, max_size=5
).map(",".join)


def named(text: str, size: int) -> set[int]:
    """The positions that a text names, number by number."""
    found: set[int] = set()
    for item in text.split(","):
        first, _, last = item.partition(":")
        last = last or first
        if "*" in (first, last):
            start = next((int(one) for one in (first, last) if one != "*"), size)
            found |= set(range(start, size + 1))
        else:
            low, high = sorted((int(first), int(last)))
            found |= set(range(low, high + 1))
    return {place for place in found if 1 <= place <= size}


@given(folders, texts)
def test_positions_are_what_a_list_says(numbers: list[int], text: str) -> None:
    wanted = [numbers[place - 1] for place in sorted(named(text, len(numbers)))]
    if not wanted:
        with pytest.raises(NotFound):
            uids(text, there=from_numbers(numbers))
    else:
        assert uids(text, there=from_numbers(numbers)) == wanted


@given(folders, st.integers(0, 80))
def test_pages_are_taken_from_both_ends(numbers: list[int], most: int) -> None:
    there = from_numbers(numbers)
    assert list(numbers_of(lowest(there, most))) == numbers[:most]
    assert list(numbers_of(highest(there, most))) == (numbers[-most:] if most else [])


@given(folders, st.integers(1, 20))
def test_pieces_are_all_and_small(numbers: list[int], most: int) -> None:
    some = list(pieces(from_numbers(numbers), most))
    assert [uid for piece in some for uid in numbers_of(piece)] == numbers
    assert all(0 < count(piece) <= most for piece in some)


def test_positions_beyond_the_end_are_none() -> None:
    assert at_positions(((3, 5), (9, 12)), ((1, 4),)) == ((3, 4),)
    assert at_positions((), THERE) == ()
