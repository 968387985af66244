"""What a client that comes back has missed: VANISHED (EARLIER) and the changed flags (RFC 7162 3.2.5 and 3.2.6)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from gateway.model import sequence
from gateway.model.sequence import Ranges
from gateway.store import changes

from .selected import Selected
from .settings import TINY_CHANGE
from .telling import vanished
from .view import Slices, View, ranges_of

if TYPE_CHECKING:
    from gateway.store.db import Rx

    from .session import Session

SCANNED: Final = 20_000  # messages a turn whose MODSEQs are looked at: 0.5 ms where none is new, 1 ms where all are
_BLOCK: Final = 1000  # of them at once


async def changed_since(session: Session, view: View, slices: Slices, modseq: int) -> Slices:
    """Those of `slices` whose MODSEQ is above `modseq`; others get the loop meanwhile."""
    found: Slices = []
    recent = _recent(view, modseq)
    if recent is not None:
        for start, stop in slices:
            _add(found, recent[bisect_left(recent, start) : bisect_left(recent, stop)])
        return found
    turn = 0
    for start, stop in slices:
        for at in range(start, stop, _BLOCK):
            if turn >= SCANNED:
                turn = 0
                await session.channel.breathe()
            modseqs = view.modseqs_of(at, min(at + _BLOCK, stop))
            turn += len(modseqs)
            if min(modseqs) > modseq:
                _add(found, range(at, at + len(modseqs)))
            elif max(modseqs) > modseq:
                _add(found, [index for index, each in enumerate(modseqs, at) if each > modseq])
    return found


def _recent(view: View, modseq: int) -> list[int] | None:
    """The rising places of all that is above `modseq`, from the state's own record; None when that is not enough.

    The record has what changed. What came since is all above `modseq`, and stands behind all that was there then.
    """
    state = view.state
    if view.uids is not state.uids or not state.remembers(modseq):
        return None
    length, modseqs = view.length, state.modseqs
    first = length
    while first and modseqs[first - 1] > modseq:
        first -= 1
        if length - first > _BLOCK:
            return None
    changed = [at for at in state.changed_since(modseq, 0, first) if modseqs[at] > modseq]
    return [*changed, *range(first, length)]


def _add(found: Slices, places: Sequence[int]) -> None:
    """Put rising places behind what is `found`, as slices."""
    runs = [(low, high + 1) for low, high in ranges_of(places)]
    if found and runs and found[-1][1] == runs[0][0]:
        runs[0] = (found.pop()[0], runs[0][1])
    found += runs


async def tell_vanished(
    session: Session, selected: Selected, asked: Ranges, since: int, *, certain: int = 0
) -> None:
    """VANISHED (EARLIER) for those of `asked` that were expunged above `since` and have no place in the client's list.

    `certain`: up to this UID the client knows of all expunges. Where the record does not reach back to `since`, all of
    `asked` that no longer exist are told (3.2.6). What the client still counts is told by VANISHED without EARLIER.
    """
    view, state = selected.view, selected.shared.state
    upto = state.highest_modseq
    if since >= upto:
        return
    asked = sequence.intersect(asked, ((certain + 1, state.uidnext - 1),))
    if not asked:
        return
    counted = sequence.from_numbers(view.pending)
    db, place = session.services.db, (state.inbox_id, state.mailbox_id)
    few = await db.tiny(lambda rx: changes.expunged_between(rx, *place, since, upto, most=TINY_CHANGE))
    if few is not None:
        found = sequence.without(sequence.intersect(few, asked), counted)
    else:
        living = state.uids[:]  # a thread looks at it, while messages may arrive

        def look(rx: Rx) -> Ranges:
            gone = changes.expunged_between(rx, *place, since, upto)
            if gone is None:
                gone = sequence.without(asked, ranges_of(living))
            return sequence.without(sequence.intersect(gone, asked), counted)

        found = await db.read(look)
    if found:
        session.channel.send(vanished(found, earlier=True))


def last_match(uids: Sequence[int], length: int, numbers: Ranges, known: Ranges) -> int:
    """The highest UID of `known` that has its number of `numbers` in `uids[:length]`, 0 for none (RFC 7162 3.2.5.2).

    Both rise and name as many; runs are compared by their ends, however many numbers they name.
    """
    best = 0
    for number, uid, count in _runs(numbers, known):
        count = min(count, length - number + 1)
        if count < 1:
            break
        # uids[index] - (uid as claimed) never falls within a run: the matches are neighbours.
        ahead = bisect_left(range(count), 1, key=lambda at: uids[number - 1 + at] - (uid + at))
        if ahead and uids[number - 2 + ahead] == uid + ahead - 1:
            best = uid + ahead - 1
    return best


def _runs(numbers: Ranges, known: Ranges) -> Iterator[tuple[int, int, int]]:
    """(first number, first UID, how many) where both go up by one."""
    i = j = 0
    number, uid = numbers[0][0], known[0][0]
    while True:
        count = min(numbers[i][1] - number, known[j][1] - uid) + 1
        yield number, uid, count
        number, uid = number + count, uid + count
        if number > numbers[i][1]:
            i += 1
            if i == len(numbers):
                return
            number = numbers[i][0]
        if uid > known[j][1]:
            j += 1
            if j == len(known):
                return
            uid = known[j][0]
