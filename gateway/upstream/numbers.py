"""Numbers in long lines (SEARCH, ESEARCH, VANISHED), read in slices: a million of them never holds the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from gateway.model.sequence import Ranges, from_numbers, intersect, normalise

from .scanning import Odd

SLICE: Final = 16_384  # octets read in one go: some 2,000 numbers
_WORK: Final = 8  # slices between two turns of the loop
_LARGE: Final = 20_000  # numbers or ranges that are sorted beside the loop
MAX_UID: Final = 2**32 - 1
MAX_RANGES: Final = 1_000_000


def _slices(text: bytes, separator: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(text):
        stop = text.find(separator, start + SLICE)
        if stop < 0:
            stop = len(text)
        yield text[start:stop]
        start = stop + 1


def _pair(text: bytes) -> tuple[int, int]:
    low, colon, high = text.partition(b":")
    if not low.isdigit() or (colon and not high.isdigit()) or len(text) > 21:
        raise Odd
    first = int(low)
    last = int(high) if colon else first
    if first > last:
        first, last = last, first
    if not 0 < first <= last <= MAX_UID:
        raise Odd
    return first, last


async def ranges_of(text: bytes) -> Ranges:
    """`1:4,7,9:8` -> ranges. Odd for what is no such set."""
    found: list[tuple[int, int]] = []
    for turn, piece in enumerate(_slices(text.strip(), b",")):
        found.extend(_pair(item) for item in piece.split(b","))
        if len(found) > MAX_RANGES:
            raise Odd
        if turn % _WORK == _WORK - 1:
            await asyncio.sleep(0)
    if len(found) > _LARGE:
        return await asyncio.to_thread(normalise, found)
    return normalise(found)


async def numbers_of(text: bytes) -> Ranges:
    """`1 2 3 9` -> ranges; what is no number is left out, as are repeats."""
    found: list[int] = []
    for turn, piece in enumerate(_slices(text, b" ")):
        found.extend(
            number
            for item in piece.split()
            if len(item) < 11 and item.isdigit() and 0 < (number := int(item)) <= MAX_UID
        )
        if turn % _WORK == _WORK - 1:
            await asyncio.sleep(0)
    if len(found) > _LARGE:
        return await asyncio.to_thread(from_numbers, found)
    return from_numbers(found)


async def joined(parts: Sequence[Ranges], within: Ranges | None = None) -> Ranges:
    """What is in any of `parts` and, where it is given, in `within`."""

    def join() -> Ranges:
        found = parts[0] if len(parts) == 1 else normalise(chain.from_iterable(parts))
        return found if within is None else intersect(found, within)

    return await asyncio.to_thread(join) if sum(map(len, parts)) > _LARGE else join()


def numbers_in_order(text: bytes, limit: int) -> list[int] | None:
    """`4,2:3` -> [4, 2, 3]: UIDs in the order they stand in; None for what is no set, or has more than `limit`."""
    found: list[int] = []
    for item in text.split(b",", limit):
        try:
            low, high = _pair(item)
        except Odd:
            return None
        if high - low >= limit - len(found):
            return None
        step = -1 if item.startswith(b"%d:" % high) and high != low else 1
        found.extend(range(low, high + 1) if step > 0 else range(high, low - 1, -1))
    return found
