"""Sequence sets: RFC 3501 9 `sequence-set`, held as ranges and never expanded to their numbers.

`1:4294967295` costs one range. A `*` is kept as `STAR` until somebody who knows the largest
number in use resolves it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

STAR: Final = 0
"""Stands for `*`; 0 is no legal sequence number or UID."""

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint, non-adjacent inclusive ranges."""


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """What a client wrote: pairs in its own order, each end a number or STAR.

    `saved`: it wrote `$`, which only the selected mailbox's view knows (RFC 5182); then there are no pairs.
    """

    pairs: tuple[tuple[int, int], ...]
    saved: bool = False

    def resolve(self, largest: int) -> Ranges:
        """Ranges with `*` = `largest` (0 when nothing is there: then `*` names nothing)."""
        found: list[tuple[int, int]] = []
        for low, high in self.pairs:
            first = largest if low == STAR else low
            last = largest if high == STAR else high
            if first > last:
                first, last = last, first
            if last < 1:
                continue
            found.append((max(first, 1), last))
        return normalise(found)

    @property
    def uses_star(self) -> bool:
        return any(STAR in pair for pair in self.pairs)


SAVED: Final = SequenceSet((), saved=True)
"""`$`: the result of the last SEARCH that was asked to save it."""


def normalise(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort and join ranges that overlap or touch; O(n log n)."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return tuple(merged)


def from_numbers(numbers: Iterable[int]) -> Ranges:
    """Ranges that cover exactly `numbers` (any order, repeats allowed)."""
    return normalise((number, number) for number in numbers)


def numbers_of(ranges: Ranges) -> Iterator[int]:
    """Each number of `ranges`, rising. Only for ranges that came from real messages."""
    for low, high in ranges:
        yield from range(low, high + 1)


def from_rising(numbers: Sequence[int]) -> Ranges:
    """`from_numbers` for numbers that rise."""
    if not numbers:
        return ()
    if numbers[-1] - numbers[0] + 1 == len(numbers):
        return ((numbers[0], numbers[-1]),)
    found = []
    low = high = numbers[0]
    for number in numbers:
        if number > high + 1:
            found.append((low, high))
            low = number
        high = number
    found.append((low, high))
    return tuple(found)


def count(ranges: Ranges) -> int:
    return sum(high - low + 1 for low, high in ranges)


def contains(ranges: Ranges, number: int) -> bool:
    at = bisect_right(ranges, (number, 1 << 64))
    return at > 0 and ranges[at - 1][0] <= number <= ranges[at - 1][1]


def intersect(left: Ranges, right: Ranges) -> Ranges:
    """The numbers in both; linear in the ranges."""
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low <= high:
            found.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def without(ranges: Ranges, others: Ranges) -> Ranges:
    """The numbers of `ranges` that are not in `others`; linear in the ranges."""
    last = ranges[-1][1] if ranges else 0
    gaps: list[tuple[int, int]] = []
    following = 1
    for low, high in others:
        if low > following:
            gaps.append((following, low - 1))
        following = high + 1
    if following <= last:
        gaps.append((following, last))
    return intersect(ranges, tuple(gaps))


def select(ranges: Ranges, sorted_numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Index slices [start, stop) of `sorted_numbers` whose values lie in `ranges`; linear in the ranges."""
    slices: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        start = bisect_left(sorted_numbers, low, start)
        stop = bisect_right(sorted_numbers, high, start)
        if stop > start:
            slices.append((start, stop))
        start = stop
        if start == len(sorted_numbers):
            break
    return slices


def render(ranges: Iterable[tuple[int, int]]) -> str:
    """RFC 3501 `sequence-set` text, in the order given: `1:4,7`. STAR is written `*`."""

    def number(value: int) -> str:
        return "*" if value == STAR else str(value)

    return ",".join(number(low) if low == high else f"{number(low)}:{number(high)}" for low, high in ranges)
