"""Long lines of numbers: the same as reading each, whatever the slices; the loop gets its turns."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.sequence import from_numbers, intersect, normalise, render
from gateway.upstream.numbers import joined, numbers_in_order, numbers_of, ranges_of
from gateway.upstream.scanning import Odd

UID = st.integers(1, 2**32 - 1)


@given(st.lists(UID))
def test_search(numbers: list[int]) -> None:
    assert asyncio.run(numbers_of(b" ".join(b"%d" % number for number in numbers))) == from_numbers(numbers)


@given(st.lists(st.tuples(UID, UID), min_size=1))
def test_sets(pairs: list[tuple[int, int]]) -> None:
    text = render(pairs).encode()
    assert asyncio.run(ranges_of(text)) == normalise((min(pair), max(pair)) for pair in pairs)


def test_slices_cut_nothing() -> None:
    numbers = range(10, 60_000, 2)
    assert asyncio.run(numbers_of(b" ".join(b"%d" % n for n in numbers))) == tuple((n, n) for n in numbers)
    assert asyncio.run(ranges_of(b",".join(b"%d" % n for n in numbers))) == tuple((n, n) for n in numbers)


def test_what_is_none_is_left_out_of_a_search() -> None:
    assert asyncio.run(numbers_of(b"5 -1 x 0 4294967296 99999999999999999999 7")) == ((5, 5), (7, 7))


@pytest.mark.parametrize("text", [b"x", b"1,", b"1:*", b"0", b"1:4294967296", b"-1", b"1:2:3", b"1" * 30, b"1 2"])
def test_no_sets(text: bytes) -> None:
    with pytest.raises(Odd):
        asyncio.run(ranges_of(text))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [(b"4", [4]), (b"4,2:3", [4, 2, 3]), (b"9:7", [9, 8, 7]), (b"1:5", [1, 2, 3, 4, 5]), (b"1:6", None),
     (b"1,2,3,4,5,6", None), (b"1:4294967295", None), (b"x", None), (b"", None)],
)  # fmt: skip
def test_the_order_of_copyuid(text: bytes, numbers: list[int] | None) -> None:
    assert numbers_in_order(text, 5) == numbers


def test_others_run_while_a_million_is_read() -> None:
    async def main() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.ensure_future(count())
        await numbers_of(b" 1234567" * 200_000)
        other.cancel()
        return turns

    assert asyncio.run(main()) > 5


@given(st.lists(st.lists(st.tuples(UID, st.integers(0, 9)), max_size=5), max_size=4), st.none() | st.tuples(UID, UID))
def test_together(parts: list[list[tuple[int, int]]], within: tuple[int, int] | None) -> None:
    ranges = [normalise((low, min(low + more, 2**32 - 1)) for low, more in part) for part in parts]
    bounds = None if within is None else ((min(within), max(within)),)
    everything = normalise(pair for part in ranges for pair in part)
    assert asyncio.run(joined(ranges, bounds)) == (everything if bounds is None else intersect(everything, bounds))


def test_much_together() -> None:
    one = tuple((number, number) for number in range(1, 50_000, 3))
    other = tuple((number, number) for number in range(2, 50_000, 3))
    assert asyncio.run(joined([one, other], ((10, 4_999_999),))) == intersect(
        normalise([*one, *other]), ((10, 4_999_999),)
    )
