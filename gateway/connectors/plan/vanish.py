"""Messages that are no longer upstream: which they are, and whether we believe it. Pure.

A server that answers nonsense for a moment (an empty LIST, EXISTS 0, half of the UIDs) must not empty an inbox. Few are
believed; many are looked at again on a fresh connection; many that stay away wait for somebody to say that it is so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from gateway.model.sequence import Ranges, intersect, without

MANY: Final = 50
SHARE: Final = 0.20
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Compared:
    """`gone`: known here, not listed there. `holes`: listed there, never fetched (they came late, or out of order)."""

    gone: Ranges
    holes: Ranges


def compare(known: Ranges, listed: Ranges, low: int, uidnext: int, excused: Ranges = ()) -> Compared:
    """UIDs below `uidnext`; holes only from `low` on, for below it only what a remap matched is known.

    `excused`: owed as poison, or left out by a filter.
    """
    ours = intersect(known, ((1, uidnext - 1),))
    theirs = intersect(listed, ((low, uidnext - 1),)) if low < uidnext else ()
    return Compared(without(ours, listed), without(without(theirs, ours), excused))


class Belief(StrEnum):
    """What to do about messages that seem gone."""

    APPLY = "apply"
    ASK_AGAIN = "ask again"  # list once more, on a fresh connection
    HOLD = "hold"  # leave everything as it is until somebody confirms


def believe(gone: int, known: int, exists: int, *, asked_again: bool, confirmed: bool = False) -> Belief:
    """`gone` of `known` messages of a folder vanished in one pass, and EXISTS says `exists`.

    `asked_again`: a fresh connection says the same.
    """
    suspicious = (gone > MANY and gone > SHARE * known) or (exists == 0 and gone == known and known > 1)
    if not gone or not suspicious or confirmed:
        return Belief.APPLY
    return Belief.HOLD if asked_again else Belief.ASK_AGAIN


def believe_listing(listed: int, known: int, *, asked_again: bool, confirmed: bool = False) -> Belief:
    """The same for LIST: folders of which none or few are listed any more."""
    missing = known - listed
    if missing <= 0 or confirmed or (listed > 0 and missing <= max(1, known // 2)):
        return Belief.APPLY
    return Belief.HOLD if asked_again else Belief.ASK_AGAIN


class Vanished(StrEnum):
    """What becomes here of a message that is gone upstream."""

    KEEP = "keep"
    TRASH = "trash"
    DELETE = "delete"


def treatment(policy: Vanished, *, two_way: bool, deletes: bool) -> Vanished:
    """Two-way mirrors what was deleted there, if deletions are in sync at all; else `policy` decides."""
    return Vanished.DELETE if two_way and deletes else policy


@dataclass(frozen=True, slots=True)
class Identity:
    """By what a message is known again in another folder or under another UID. `strong`: an id of the server.

    INTERNALDATE is kept by COPY and MOVE; sizes differ where a server makes its MIME anew (Exchange), so a weak match
    without a size is none.
    """

    strong: str | None = None
    message_id: str | None = None
    internal_date: int | None = None
    size: int | None = None

    @property
    def weak(self) -> tuple[str, int, int] | None:
        if not self.message_id or self.internal_date is None or self.size is None:
            return None
        return self.message_id, self.internal_date, self.size


@dataclass(frozen=True, slots=True)
class Matched:
    """Pairs of indexes (old, new), and the indexes that found no partner, rising."""

    pairs: tuple[tuple[int, int], ...]
    old: tuple[int, ...]
    new: tuple[int, ...]


def match(old: Sequence[Identity], new: Sequence[Identity]) -> Matched:
    """Who is who: by id, else by Message-ID, INTERNALDATE and size; those that look the same, by their order.

    Two that both have ids of the server are never paired by anything weaker: the server says that they differ.
    """
    pairs: list[tuple[int, int]] = []
    free_old, free_new = dict.fromkeys(range(len(old))), dict.fromkeys(range(len(new)))

    def pair(olds: list[int], news: list[int], key: Callable[[Identity], Hashable | None]) -> None:
        waiting: dict[Hashable, deque[int]] = {}
        for index in news:
            value = key(new[index])
            if value is not None:
                waiting.setdefault(value, deque()).append(index)
        for index in olds:
            candidates = waiting.get(key(old[index]))
            if candidates:
                other = candidates.popleft()
                pairs.append((index, other))
                del free_old[index], free_new[other]

    pair(list(free_old), list(free_new), lambda one: one.strong)
    pair([one for one in free_old if old[one].strong is None], list(free_new), lambda one: one.weak)
    pair(list(free_old), [one for one in free_new if new[one].strong is None], lambda one: one.weak)
    return Matched(tuple(sorted(pairs)), tuple(free_old), tuple(free_new))


def moved(gone: Iterable[tuple[T, K | None]], arrived: Iterable[tuple[T, K | None]]) -> list[tuple[T, T]]:
    """Of one pass over all folders: (gone, arrived) with the same key, each once: an upstream MOVE, not a deletion."""
    waiting: dict[K, list[T]] = {}
    for place, key in arrived:
        if key is not None:
            waiting.setdefault(key, []).append(place)
    for places in waiting.values():
        places.reverse()
    found = []
    for place, key in gone:
        if key is not None and waiting.get(key):
            found.append((place, waiting[key].pop()))
    return found
