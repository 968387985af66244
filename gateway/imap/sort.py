"""SORT and THREAD (RFC 5256), SORT with RETURN (RFC 5267 3), DISPLAYFROM and DISPLAYTO (RFC 5957)."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError, LimitReached
from gateway.store import sort_keys as stored
from gateway.wire import commands as c
from gateway.wire import search_results as results
from gateway.wire.search import Criterion, SortKey

from . import sort_page
from .replies import Reply, ok
from .search import keep, saving
from .search_answer import by_number, by_uid, highest, items, numbered, shown
from .search_run import prepare
from .selected import Selected
from .settings import MASK_PAGE

if TYPE_CHECKING:
    from .session import Session

FEW: Final = 500
"""Messages that are sorted by themselves, rather than by the order of all of their mailbox."""
MANY: Final = 4
"""So is less than a fourth of a mailbox whose order is not known."""
THREADED: Final = 250_000
"""Messages of one THREAD: some 100 MB of a reader process."""


async def sort(session: Session, command: c.Sort) -> Reply:
    """Answers `* SORT` also when nothing was found."""
    selected = session.require_selected()
    returns = command.returns
    with saving(selected, returns):
        run = await prepare(session, selected, command.key)
        found = await run.find()
        order = await arranged(session, selected, command.order, found)
    modseq = highest(selected, shown(returns, order)) if order and run.asks_modseq else None
    if returns is None:
        answer: Sequence[int] = order if command.uid else numbered(selected, order)
        session.channel.send(results.numbers(b"SORT", answer, modseq))
    else:
        numbering = by_uid(rising=False) if command.uid else by_number(selected, rising=False)
        data = items(returns, order, numbering, modseq)
        if data is not None:
            session.channel.send(results.esearch(command.tag, command.uid, data))
    return keep(selected, returns, order, "SORT completed")


async def thread(session: Session, command: c.Thread) -> Reply:
    selected = session.require_selected()
    state, view = selected.shared.state, selected.view
    run = await prepare(session, selected, command.key)
    found = await run.find()
    if len(found) > THREADED:
        raise LimitReached(f"THREAD takes {THREADED} messages at most")
    if found and run.asks_modseq:
        selected.modseq_shown = True
    cache = selected.shared.sorting
    version = (state.generation, found[-1] if found else 0)
    whole = bool(found) and len(found) == len(state.uids) and found[-1] == state.uids[-1]
    tokens = cache.tree(command.algorithm, version) if whole else None
    if tokens is None and found:
        await _make_keys(session, selected, found)
        read = session.services.db.offload_bulk
        tokens = await read(sort_page.thread_tokens, state.mailbox_id, command.algorithm, found)
        if whole:
            cache.keep_tree(command.algorithm, version, tokens)
    answer: Sequence[int] = tokens if tokens is not None else ()
    if not command.uid:
        number = dict(zip(view.uids[: view.length], range(1, view.length + 1), strict=True))
        number[results.OPEN], number[results.CLOSE] = results.OPEN, results.CLOSE
        answer = [number[token] for token in answer]
    session.channel.send(results.threads(answer))
    return ok("THREAD completed")


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
            await _make_keys(session, selected, found)
        return await db.offload(sort_page.sort_order, state.mailbox_id, program, found)
    uids = state.uids[:]
    fresh: array[int] = array("I")
    if known is not None:
        fresh = uids[bisect_right(uids, known[1]) :]
    if known is None or len(fresh) > FEW or len(known[0]) > 2 * len(uids):
        await _make_keys(session, selected, uids)
        whole = await db.offload_bulk(sort_page.sort_order, state.mailbox_id, program, uids)
        cache.keep_order(program, whole, uids[-1])
    elif fresh:
        whole = await db.offload(sort_page.sort_further, state.mailbox_id, program, known[0], fresh)
        cache.keep_order(program, whole, uids[-1])
    else:
        whole = known[0]
    return await _those(session, whole, found)


def _program(order: Sequence[SortKey]) -> tuple[SortKey, ...]:
    """Without what decides nothing: a criterion that has been compared already, and scores that are all the same."""
    first = {key.criterion: key for key in reversed(order)}
    return tuple(
        key for key in order if key is first[key.criterion] and key.criterion is not Criterion.RELEVANCY
    )


async def _those(session: Session, order: array[int], found: array[int]) -> array[int]:
    """`found` in the order of `order`."""
    asked = set(found)
    result: array[int] = array("I")
    for at in range(0, len(order), MASK_PAGE):
        if at:
            await session.channel.breathe()
        result.extend([uid for uid in order[at : at + MASK_PAGE] if uid in asked])
    return result


async def _make_keys(session: Session, selected: Selected, uids: array[int]) -> None:
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
