"""Messages put in order: by the order of all of their mailbox, which is kept, or by themselves when they are few."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError
from gateway.store import sort_keys as stored
from gateway.wire.search import Criterion, SortKey

from . import sort_page
from .long_answers import beside
from .pieces import holder
from .selected import Selected

if TYPE_CHECKING:
    from .session import Session

FEW: Final = 500
"""Messages that are sorted by themselves, rather than by the order of all of their mailbox."""
MANY: Final = 4
"""So is less than a fourth of a mailbox whose order is not known."""


async def arranged(
    session: Session, selected: Selected, order: Sequence[SortKey], found: array[int]
) -> array[int]:
    """`found`, which rises, in the order asked for."""
    program = _program(order)
    if not program or len(found) < 2:
        return found
    db, state, cache = session.services.db, selected.shared.state, selected.shared.sorting
    known = cache.order(program)
    if len(found) <= FEW or (known is None and len(found) * MANY < len(state.uids)):
        if len(found) > FEW:
            await make_keys(session, selected, found)
        return await db.offload(sort_page.sort_order, state.mailbox_id, program, found)
    uids = state.uids[:]
    fresh: array[int] = array("I")
    if known is not None:
        fresh = uids[bisect_right(uids, known[1]) :]
    if known is None or len(fresh) > FEW or len(known[0]) > 2 * len(uids):
        await make_keys(session, selected, uids)
        whole = await db.offload_bulk(sort_page.sort_order, state.mailbox_id, program, uids)
        cache.keep_order(program, whole, uids[-1])
    elif fresh:
        whole = await db.offload(sort_page.sort_further, state.mailbox_id, program, known[0], fresh)
        cache.keep_order(program, whole, uids[-1])
    else:
        whole = known[0]
    return await beside(len(whole), lambda: _those(whole, found))


def _program(order: Sequence[SortKey]) -> tuple[SortKey, ...]:
    """Without what decides nothing: a criterion that has been compared already, and scores that are all the same."""
    first = {key.criterion: key for key in reversed(order)}
    return tuple(
        key for key in order if key is first[key.criterion] and key.criterion is not Criterion.RELEVANCY
    )


def _those(order: array[int], found: array[int]) -> array[int]:
    """The rising `found` in the order of `order`."""
    asked = holder(found)
    return array("I", [uid for uid in order if asked(uid)])


async def make_keys(session: Session, selected: Selected, uids: array[int]) -> None:
    """See that the keys of these are in the store, a page at a time. Without them each sort would read all headers."""
    db, mailbox_id, cache = session.services.db, selected.shared.state.mailbox_id, selected.shared.sorting
    at = bisect_right(uids, cache.keys_upto)
    whole = len(uids) == len(selected.shared.state.uids)
    last = uids[-1]
    while at < len(uids):
        page = uids[at : at + sort_page.ROWS]
        made = await db.offload_bulk(sort_page.make_keys, mailbox_id, page)
        if made:
            try:
                await db.write(lambda tx, made=made: stored.put(tx, made))  # type: ignore[misc]
            except GatewayError:
                return  # a store that cannot be written can still be sorted
            await session.channel.breathe()
        if len(made) < sort_page.MADE:
            at += len(page)
    if whole:
        cache.keys_upto = max(cache.keys_upto, last)
