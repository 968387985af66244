"""The record of changed flags in a mailbox's row: short, and never without a message that changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.sequence import contains, from_numbers
from gateway.store import flag_record
from gateway.store.flag_record import MOST_OCTETS, MOST_RANGES, changed_since, entries, noted

UIDS = st.sets(st.integers(1, 300), min_size=1, max_size=60)


def test_a_record_reads_back() -> None:
    record, floor = noted("", 0, 5, ((1, 4), (9, 9)))
    record, floor = noted(record, floor, 7, ((3, 3),))
    assert (record, floor) == ("5=1:4,9;7=3", 0)
    assert entries(record) == [(5, ((1, 4), (9, 9))), (7, ((3, 3),))]
    assert changed_since(record, floor, 4) == ((1, 4), (9, 9))
    assert changed_since(record, floor, 5) == ((3, 3),)
    assert changed_since(record, floor, 7) == ()
    assert changed_since(record, 5, 4) is None
    assert entries("") == []


@pytest.mark.parametrize("text", ["x", "=1", "5=1;;6=2", "5=*", "5=1:x"])
def test_what_is_no_record(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        entries(text)


def test_many_ranges_are_joined_where_they_are_near() -> None:
    near = [(number, number) for number in range(1, 40, 2)]
    far = [(number * 1000, number * 1000) for number in range(1, MOST_RANGES)]
    assert entries(noted("", 0, 5, (*near, *far))[0]) == [(5, ((1, 39), *far))]


@given(st.lists(st.tuples(st.integers(0, 5), UIDS), min_size=1, max_size=80), st.integers(0, 10_000_000_000))
def test_none_is_missing_above_the_floor(changes: list[tuple[int, set[int]]], first: int) -> None:
    record, floor, modseq = "", first, first
    happened: list[tuple[int, set[int]]] = []
    for step, uids in changes:
        modseq += step
        happened.append((modseq, uids))
        record, floor = noted(record, floor, modseq, from_numbers(uids))
        assert len(record) <= MOST_OCTETS
        assert record, "the last change is always on record"
    for since in {first, floor - 1, floor, *(at for at, _ in happened)}:
        ranges = changed_since(record, floor, since)
        assert (ranges is None) == (since < floor)
        if ranges is not None:
            assert all(contains(ranges, uid) for at, uids in happened if at > since for uid in uids)
    assert all(len(uids) <= flag_record.MOST_RANGES for _, uids in entries(record))
