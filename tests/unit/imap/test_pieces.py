"""What is done in pieces comes to what one call would: sorting, stable both ways, look-ups, numbers in order."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.imap import pieces
from gateway.store import reader_frames

SMALL = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 4)


@given(values=st.lists(st.integers(0, 5), max_size=40), backwards=st.booleans())
@SMALL
def test_sorting(values: list[int], backwards: bool) -> None:
    items = list(enumerate(values))
    wanted = sorted(items, key=lambda item: item[1], reverse=backwards)
    assert pieces.in_order(items, lambda item: item[1], backwards=backwards) == wanted


def test_a_reader_process_sorts_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def calls() -> int:
        seen: list[int] = []
        monkeypatch.setattr(pieces, "merge", lambda *runs, **how: seen.append(len(runs)) or [])
        pieces.in_order(range(10), lambda item: -item)
        return len(seen)

    assert calls() == 1
    monkeypatch.setattr(reader_frames, "apart", True)
    assert calls() == 0


NUMBERS = st.one_of(st.sets(st.integers(1, 60), max_size=40), st.sets(st.integers(1, 2**32 - 1), max_size=40))


@given(numbers=NUMBERS, asked=st.integers(0, 61), data=st.data())
@SMALL
def test_numbers(numbers: set[int], asked: int, data: st.DataObject) -> None:
    mixed = array("I", data.draw(st.permutations(sorted(numbers))))
    found = pieces.rising(mixed)
    assert found.tolist() == sorted(numbers)
    holds = pieces.holder(found)
    assert bool(holds(asked)) == (asked in numbers)
    assert all(holds(number) for number in numbers)
    assert not any(holds(number + 1) for number in numbers if number + 1 not in numbers)
