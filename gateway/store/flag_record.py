"""Which messages had their flags changed lately: a short text in the row of their mailbox, which such a change writes
anyway.

`5=1:4,9;7=3`: by MODSEQ, rising. It may name messages that the change left alone: their own MODSEQs tell them apart.
Changes up to the mailbox's `flag_floor` are no longer in it; who is further behind looks through all messages. What
arrived is found without a record: all of it is newer, and stands behind all that was there before.
"""

from __future__ import annotations

from typing import Final

from gateway.model.sequence import Ranges, normalise, render

MOST_OCTETS: Final = 400
"""Of the text: some 30 changes of one message. LIST and STATUS read the rows it stands in."""
MOST_RANGES: Final = 8
"""Of one change: more are joined where the gaps are smallest."""


def noted(record: str, floor: int, modseq: int, uids: Ranges) -> tuple[str, int]:
    """Record and floor after a change of `uids` with `modseq`."""
    text = f"{modseq}={render(_few(uids))}"
    record = f"{record};{text}" if record else text
    while len(record) > MOST_OCTETS:
        dropped, _, record = record.partition(";")
        floor = int(dropped.partition("=")[0])
    return record, floor


def entries(record: str) -> list[tuple[int, Ranges]]:
    """(MODSEQ, UIDs) of each change. ValueError when it is no record."""
    found: list[tuple[int, Ranges]] = []
    for text in record.split(";") if record else ():
        modseq, _, uids = text.partition("=")
        found.append((int(modseq), tuple(ranges_in(uids))))
    return found


def changed_since(record: str, floor: int, modseq: int) -> Ranges | None:
    """What holds all messages whose flags changed above `modseq`; None when changes that old are not on record."""
    if modseq < floor:
        return None
    found: list[tuple[int, int]] = []
    while record:  # from the last on: mostly none of them is news
        record, _, text = record.rpartition(";")
        at, _, uids = text.partition("=")
        if int(at) <= modseq:
            break
        found += ranges_in(uids)
    return normalise(found)


def ranges_in(text: str) -> list[tuple[int, int]]:
    """The ranges of an RFC 3501 sequence-set without `*`. ValueError for what is none."""
    found: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        low, _, high = part.partition(":")
        found.append((int(low), int(high or low)))
    return found


def _few(uids: Ranges) -> Ranges:
    """At most MOST_RANGES that cover `uids`."""
    if len(uids) <= MOST_RANGES:
        return uids
    gaps = sorted(range(1, len(uids)), key=lambda at: uids[at - 1][1] - uids[at][0])  # the widest first
    cuts = sorted(gaps[: MOST_RANGES - 1])
    return tuple(
        (uids[first][0], uids[after - 1][1]) for first, after in zip([0, *cuts], [*cuts, len(uids)], strict=True)
    )
