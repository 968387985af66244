"""How much of a folder is fetched at once, and what becomes of a message that cannot be had. Pure.

A window is UIDs that the server listed, never a stretch of numbers: UIDs have gaps of millions (Yahoo), and arithmetic
with them says nothing about how much there is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.sequence import Ranges, from_numbers, without

DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """A window ends with its unit: what was fetched and not yet stored is fetched again after a crash."""

    messages: int = 100
    octets: int = 20 * 1024 * 1024
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What the last window was."""

    messages: int
    octets: int
    seconds: float


def next_count(last: Taken | None, limits: WindowLimits) -> int:
    """Messages for the next window, so that octets and time stay within `limits` if mail goes on as it was.

    It shrinks at once and at most doubles, for the next window may be of other mail.
    """
    if last is None or not last.messages:
        return max(1, limits.messages // 4)
    fitting = float(limits.messages)
    if last.octets:
        fitting = min(fitting, last.messages * limits.octets / last.octets)
    if last.seconds > 0:
        fitting = min(fitting, last.messages * limits.seconds / last.seconds)
    return max(1, min(int(fitting), last.messages * 2))


@dataclass(frozen=True, slots=True)
class Window:
    """`uids` to fetch; once they are stored the cursor may be put to `cursor`: beyond it nothing is owed."""

    uids: Ranges
    cursor: int


def forward_window(listed: Ranges, cursor: int, target: int, most: int) -> Window | None:
    """The first `most` of `listed` from `cursor` up to below `target`. None when the cursor is there.

    The last one puts the cursor to `target`, whatever gap there is behind the last message.
    """
    if cursor >= target:
        return None
    chosen: list[tuple[int, int]] = []
    for index in range(max(0, bisect_right(listed, (cursor, 1 << 64)) - 1), len(listed)):
        low, high = max(listed[index][0], cursor), min(listed[index][1], target - 1)
        if low >= target:
            break
        if low > high:  # the range before the cursor
            continue
        if not most:
            return Window(tuple(chosen), chosen[-1][1] + 1)
        end = min(high, low + most - 1)
        chosen.append((low, end))
        most -= end - low + 1
        if end < high:
            return Window(tuple(chosen), end + 1)
    return Window(tuple(chosen), target)


def backfill_window(listed: Ranges, low: int, floor: int, most: int) -> Window | None:
    """The last `most` of `listed` below `low` and not below `floor`: newest first. None when all is there."""
    if low <= floor:
        return None
    chosen: list[tuple[int, int]] = []
    cursor = floor
    for index in range(bisect_left(listed, (low, 0)) - 1, -1, -1):
        start, end = max(listed[index][0], floor), min(listed[index][1], low - 1)
        if end < floor:
            break
        if not most:
            cursor = chosen[-1][0]
            break
        begin = max(start, end - most + 1)
        chosen.append((begin, end))
        most -= end - begin + 1
        if begin > start:
            cursor = begin
            break
    return Window(tuple(reversed(chosen)), cursor)


def pieces(ranges: Ranges, most: int) -> Iterator[Ranges]:
    """`ranges` cut so that each piece names at most `most` numbers, rising."""
    piece: list[tuple[int, int]] = []
    room = most
    for low, high in ranges:
        while low <= high:
            end = min(high, low + room - 1)
            piece.append((low, end))
            room -= end - low + 1
            low = end + 1
            if not room:
                yield tuple(piece)
                piece, room = [], most
    if piece:
        yield tuple(piece)


def only_new(listed: Ranges, known: Ranges, owed_later: Sequence[int] = ()) -> Ranges:
    """Of a window's UIDs those that are to be fetched: not stored yet, and not put off as poison."""
    new = without(listed, known)
    return without(new, from_numbers(owed_later)) if owed_later else new


POISON_TRIES: Final = 3
"""A message that cannot be had so often is reported and asked for once a day only."""
_SOON: Final = 120.0


def poison_next(tries: int, now: float) -> float:
    """When a UID that yielded no body, `tries` times by now, is asked for again. It never holds up a cursor."""
    if tries < POISON_TRIES:
        return now + _SOON * tries
    return now + DAY * min(tries - POISON_TRIES + 1, 7)


def poison_is_reported(tries: int) -> bool:
    """Once: when it turned out not to be a hiccup."""
    return tries == POISON_TRIES
