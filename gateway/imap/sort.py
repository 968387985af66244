"""SORT and THREAD (RFC 5256), SORT with RETURN (RFC 5267 3), DISPLAYFROM and DISPLAYTO (RFC 5957)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gateway.model.errors import LimitReached
from gateway.wire import commands as c
from gateway.wire import search_results as results

from . import contexts, freshness, sort_page
from .filters import refusing
from .long_answers import beside, send
from .replies import Reply, ok
from .search import keep, saving
from .search_answer import numbers_by_uid, respond
from .search_run import prepare
from .sort_orders import arranged, make_keys

if TYPE_CHECKING:
    from .session import Session

THREADED: Final = 250_000
"""Messages of one THREAD: some 100 MB of a reader process."""


@refusing
async def sort(session: Session, command: c.Sort) -> Reply:
    """Answers `* SORT` also when nothing was found."""
    selected = session.require_selected()
    returns = command.returns
    contexts.check_tag(selected, command.tag, returns)
    if freshness.wanted(session):
        await freshness.look_and_tell(session)
    since = contexts.mark(selected)
    with saving(selected, returns):
        run = await prepare(session, selected, command.key)
        found = await run.find()
        order = await arranged(session, selected, command.order, found)
    await respond(session, command, returns, order, rising=False, asks_modseq=run.asks_modseq)
    contexts.begin(session, selected, command, run.key, order, since)
    return await keep(selected, returns, order, "SORT completed")


@refusing
async def thread(session: Session, command: c.Thread) -> Reply:
    selected = session.require_selected()
    if freshness.wanted(session):
        await freshness.look_and_tell(session)
    state = selected.shared.state
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
        await make_keys(session, selected, found)
        read = session.services.db.offload_bulk
        tokens = await read(sort_page.thread_tokens, state.mailbox_id, command.algorithm, found)
        if whole:
            cache.keep_tree(command.algorithm, version, tokens)

    def answer() -> bytes:
        listed: Sequence[int] = tokens if tokens is not None else ()
        if listed and not command.uid:
            number = numbers_by_uid(selected)
            number[results.OPEN], number[results.CLOSE] = results.OPEN, results.CLOSE
            listed = [number[token] for token in listed]
        return results.threads(listed)

    await send(session, await beside(len(found) if command.uid else selected.view.length, answer))
    return ok("THREAD completed")
