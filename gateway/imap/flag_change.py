"""What one operation makes of the flags of many messages, done to the arrays of a mailbox's state. Pure.

There are few masks, however many messages: each is looked at once, and mostly all of them change, or none.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.model import sequence

Slices = list[tuple[int, int]]
"""Half-open, rising"""

SCATTERED: Final = 100
"""Slices of one change; with more, messages are changed one by one: each of thousands of slices takes longer."""


@dataclass(frozen=True, slots=True)
class FlagChange:
    """What one operation makes of a message's flags: of those it had the ones in `keep`, and `bits`."""

    keep: int
    bits: int

    def of(self, mask: int) -> int:
        return mask & self.keep | self.bits


class Arrays(NamedTuple):
    """Of a state, in UID order."""

    uids: array[int]
    masks: array[int]
    modseqs: array[int]


def done(
    to: Arrays, slices: Slices, change: FlagChange, modseq: int, count: int, unchanged_since: int | None
) -> tuple[array[int], int] | None:
    """Do `change` to the messages of `slices` whose flags it changes and whose MODSEQ is not above `unchanged_since`.

    Their UIDs, rising, and the index of the first. None, and nothing is done, where they are not `count`, above 0.
    """
    do = _each if len(slices) > SCATTERED else _in_slices
    return do(to, slices, change, modseq, count, unchanged_since)


def _each(
    to: Arrays, slices: Slices, change: FlagChange, modseq: int, count: int, unchanged_since: int | None
) -> tuple[array[int], int] | None:
    uids, masks, modseqs = to
    indices = [index for start, stop in slices for index in range(start, stop)]
    before = [masks[index] for index in indices]
    become = {mask: change.of(mask) for mask in set(before)}
    changing = {mask for mask, after in become.items() if after != mask}
    indices = [index for index, mask in zip(indices, before, strict=True) if mask in changing]
    if unchanged_since is not None:
        indices = [index for index in indices if modseqs[index] <= unchanged_since]
    if len(indices) != count:
        return None
    for index in indices:
        masks[index] = become[masks[index]]
        modseqs[index] = modseq
    return array("I", [uids[index] for index in indices]), indices[0]


def _in_slices(
    to: Arrays, slices: Slices, change: FlagChange, modseq: int, count: int, unchanged_since: int | None
) -> tuple[array[int], int] | None:
    uids, masks, modseqs = to
    changed = [each for start, stop in slices for each in _changing(to, start, stop, change, unchanged_since)]
    if sum(stop - start for start, stop in changed) != count:
        return None
    found: array[int] = array("I")
    for start, stop in changed:
        found.extend(uids[start:stop])
        if stop == start + 1:
            masks[start] = change.of(masks[start])
            modseqs[start] = modseq
            continue
        before = masks[start:stop]
        become = {mask: change.of(mask) for mask in set(before)}
        masks[start:stop] = array("Q", map(become.__getitem__, before))
        modseqs[start:stop] = array("Q", (modseq,)) * (stop - start)
    return found, changed[0][0]


def _changing(to: Arrays, start: int, stop: int, change: FlagChange, unchanged_since: int | None) -> Slices:
    """Slices of [start, stop) in which each message has flags that change, and no MODSEQ above `unchanged_since`."""
    masks = to.masks[start:stop]
    distinct = set(masks)
    changing = {mask for mask in distinct if change.of(mask) != mask}
    if not changing:
        return []
    modseqs = () if unchanged_since is None else to.modseqs[start:stop]
    if len(changing) == len(distinct) and (unchanged_since is None or max(modseqs) <= unchanged_since):
        return [(start, stop)]
    indices = [index for index, mask in enumerate(masks, start) if mask in changing]
    if unchanged_since is not None:
        indices = [index for index in indices if modseqs[index - start] <= unchanged_since]
    return [(first, last + 1) for first, last in sequence.from_rising(indices)]
