"""Which messages somebody means: `5`, `3:9`, `*`, `1,4,7:*`; positions in the folder, from 1, or UIDs. Pure.

`*` is the last message. Differently from the wire `9:*` means "from 9 on", and nothing where there are fewer: who
deletes from a UID on does not mean the last message that was there before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.model.errors import InvalidRequest, LimitReached, NotFound
from gateway.model.sequence import STAR, Ranges, SequenceSet, count, from_rising, intersect, normalise, numbers_of
from gateway.wire.tokens import Cursor, Malformed

MOST: Final = 1_000
"""Messages that one action touches."""
MAX_LENGTH: Final = 16_384  # characters


@dataclass(frozen=True, slots=True)
class Chosen:
    """Messages as they were named; `by_uid` else by position."""

    messages: SequenceSet
    by_uid: bool

    @property
    def names_the_last(self) -> bool:
        """A `*` alone is among them: what it is only the folder knows."""
        return any(low == high == STAR for low, high in self.messages.pairs)

    def within(self, highest: int) -> Ranges:
        """Ranges with `*` as `highest`; nothing beyond it."""
        return normalise(
            (low, min(high, highest)) for low, high in self._pairs(highest) if 0 < low <= high and low <= highest
        )

    def _pairs(self, highest: int) -> Iterator[tuple[int, int]]:
        for low, high in self.messages.pairs:
            if STAR in (low, high):
                yield (low or high or highest), highest
            else:
                yield min(low, high), max(low, high)


def chosen(text: str, *, by_uid: bool) -> Chosen:
    """Reads what somebody wrote. InvalidRequest."""
    if len(text) > MAX_LENGTH:
        raise InvalidRequest(f"A range has {MAX_LENGTH} characters at most")
    cursor = Cursor(text.strip().encode("utf-8"))
    try:
        found = cursor.sequence_set()
        cursor.end()
    except Malformed:
        raise InvalidRequest(f"{text!r} names no messages: 5, 3:9, * (the last one) or 1,4,7:*") from None
    return Chosen(found, by_uid)


def resolve(wanted: Chosen, there: Ranges, *, most: int = MOST) -> Ranges:
    """The UIDs of `wanted`, all of which are among `there`, the UIDs of the folder. NotFound; LimitReached."""
    if wanted.by_uid:
        found = intersect(wanted.within(there[-1][1] if there else 0), there)
    else:
        found = at_positions(wanted.within(count(there)), there)
    number = count(found)
    if not number:
        raise NotFound("There is no such message in the folder")
    if number > most:
        raise LimitReached(f"These are {number} messages; one command takes {most} at most: name them in parts")
    return found


def at_positions(positions: Ranges, there: Ranges) -> Ranges:
    """The numbers of `there` that stand at `positions`, the first at 1; linear in the ranges."""
    found: list[tuple[int, int]] = []
    place, before = 0, 0  # how many numbers stand before there[place]
    for low, high in positions:
        while place < len(there):
            first, last = there[place]
            size = last - first + 1
            if low <= before + size:
                found.append((first + max(low - before, 1) - 1, first + min(high - before, size) - 1))
                if high <= before + size:
                    break
            before += size
            place += 1
    return normalise(found)


def pieces(uids: Ranges, most: int) -> Iterator[Ranges]:
    """`uids`, which are of real messages, so many at a time."""
    numbers = list(numbers_of(uids))
    for start in range(0, len(numbers), most):
        yield from_rising(numbers[start : start + most])
