"""The results of one search as its client knows them, and what to tell of a change (RFC 5267 4.3.1 to 4.3.4). Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

from gateway.wire import search as keys
from gateway.wire.fetch import Attribute
from gateway.wire.search import SortKey

_FEW: Final = 100  # results taken out one by one

Change = tuple[int, list[int]]
"""(position in the results or 0 for "in the order of the mailbox", UIDs)"""
Mark = tuple[int, int]
"""(MODSEQ, last UID) up to which results are right."""


class Context:
    """UIDs in the order of the results. `items`: to be fetched of new messages that are among them (RFC 5465 7)."""

    __slots__ = ("fetched", "found", "items", "key", "last_uid", "modseq", "order", "tag", "uid", "version")

    def __init__(
        self,
        tag: bytes,
        uid: bool,
        key: keys.SearchKey,
        order: tuple[SortKey, ...],
        found: array[int],
        mark: Mark,
        items: tuple[Attribute, ...] = (),
    ) -> None:
        self.tag = tag
        self.uid = uid
        self.key = key
        self.order = order
        self.found = found
        self.modseq, self.last_uid = mark
        self.items = items
        self.fetched = self.last_uid
        """Up to this UID new messages were fetched, whether the client knows yet that they are results or not."""
        self.version = 0

    def holds(self) -> Callable[[int], bool]:
        """What says quickly whether a UID is among the present results."""
        found = self.found
        return set(found).__contains__ if self.order else partial(_holds, found)

    def without(self, gone: Sequence[int]) -> list[Change]:
        """Take the rising `gone` out of the results; what a client is to do for it."""
        self.version += 1
        if not self.order:
            listed = [uid for uid in gone if _holds(self.found, uid)]
            if len(listed) <= _FEW:
                for uid in listed:
                    del self.found[bisect_left(self.found, uid)]
            else:  # each of these would move all that stand behind it
                lost = set(listed)
                self.found = array("I", [uid for uid in self.found if uid not in lost])
            return [(0, listed)] if listed else []
        doomed = set(gone)
        changes = _runs(self.found, doomed, leaving=True)
        if changes:
            self.found = array("I", [uid for uid in self.found if uid not in doomed])
        return changes

    def with_(self, found: array[int]) -> list[Change]:
        """Take over `found`, which holds all results there were; what a client is to do for the new ones."""
        self.version += 1
        new = set(found).difference(self.found)
        self.found = found
        if self.order:
            return _runs(found, new, leaving=False)
        return [(0, [uid for uid in found if uid in new])] if new else []


def _runs(found: Sequence[int], chosen: Collection[int], *, leaving: bool) -> list[Change]:
    """Neighbours among `found` that are `chosen`, each run with the position of its first.

    They are told one after another: with `leaving` what was told is no longer there when the next position counts.
    """
    changes: list[Change] = []
    left = 0
    fresh = True
    for at, uid in enumerate(found, 1):
        if uid not in chosen:
            fresh = True
            continue
        if fresh:
            changes.append((at - left, [uid]))
            fresh = False
        else:
            changes[-1][1].append(uid)
        left += leaving
    return changes


def _holds(rising: Sequence[int], uid: int) -> bool:
    at = bisect_left(rising, uid)
    return at < len(rising) and rising[at] == uid
