"""SEARCH's MODSEQ (RFC 7162 3.1.5, 3.1.6): turned into numbers and UIDs before anything else looks at the criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.model.errors import LimitReached
from gateway.model.sequence import SequenceSet
from gateway.wire import search as keys

from .capabilities import CONDSTORE
from .resync import changed_since
from .view import Slices, View, ranges_of

if TYPE_CHECKING:
    from .session import Session


NAMED: Final = 1_000_000
"""Messages that MODSEQs below OR and NOT may stand for together: some 60 MB where every other one has changed."""


def asks_modseq(key: keys.SearchKey) -> bool:
    return any(isinstance(part, keys.ModSeq) for part in keys.walk(key))


async def resolved(session: Session, view: View, key: keys.SearchKey) -> tuple[keys.SearchKey, Slices]:
    """The criteria without MODSEQ, and the part of the view they are for.

    A MODSEQ that must hold leaves that part, whatever else is asked; one below OR or NOT becomes the UIDs it means now.
    It is a CONDSTORE enabling command (3.1). LimitReached for MODSEQs that mean too many messages.
    """
    everything: Slices = [(0, view.length)]
    if not asks_modseq(key):
        return key, everything
    session.switch_on(CONDSTORE)
    parts = key.keys if isinstance(key, keys.And) else (key,)
    least = max((part.least for part in parts if isinstance(part, keys.ModSeq)), default=0)
    slices = await changed_since(session, view, everything, least - 1) if view.length else []
    found: dict[int, keys.SearchKey] = {}
    named = 0
    below = [part for part in parts if not isinstance(part, keys.ModSeq)]
    for part in (inner for outer in below for inner in keys.walk(outer)):
        if isinstance(part, keys.ModSeq) and part.least not in found:
            changed = await changed_since(session, view, everything, part.least - 1) if view.length else []
            named += sum(stop - start for start, stop in changed)
            if named > NAMED:
                raise LimitReached("The MODSEQs of this search stand for too many messages")
            uids = SequenceSet(ranges_of(view.uids_in(changed)))
            found[part.least] = keys.Numbers(uids, uid=True)
    rest = tuple(_replaced(part, found) for part in below)
    if not rest:
        return keys.All(), slices
    return rest[0] if len(rest) == 1 else keys.And(rest), slices


def _replaced(key: keys.SearchKey, found: dict[int, keys.SearchKey]) -> keys.SearchKey:
    """`key` with UIDs for MODSEQs; its depth is limited (`keys.MAX_DEPTH`)."""
    if isinstance(key, keys.ModSeq):
        return found[key.least]
    if isinstance(key, keys.Not):
        return keys.Not(_replaced(key.key, found))
    if isinstance(key, keys.And):
        return keys.And(tuple(_replaced(part, found) for part in key.keys))
    if isinstance(key, keys.Or):
        return keys.Or(tuple(_replaced(part, found) for part in key.keys))
    return key
