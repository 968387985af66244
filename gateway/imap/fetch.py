"""FETCH and UID FETCH (RFC 3501 6.4.5): pages rendered by reader processes, large bodies streamed with backpressure."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError
from gateway.model.flags import SEEN
from gateway.model.ids import MAX_UID
from gateway.store import content, messages
from gateway.wire import commands as c
from gateway.wire.fetch import ITEMS

from . import access
from .access import Action
from .capabilities import CONDSTORE
from .channel import Closed
from .fetch_page import Rendered, render_page
from .fetch_plan import Batch, BodyRange, Plan, plan_of
from .replies import Reply, bad, no, ok
from .resync import changed_since, tell_vanished
from .selected import Selected
from .settings import BODY_PAGE, BODY_PIECE, BODY_READ, FETCH_PAGE, MEMORY_PAGE, PAGES_AHEAD, TINY_CHANGE, TINY_PAGE
from .view import Slices, View, ranges_of

if TYPE_CHECKING:
    from .session import Session

MODSEQ: Final = ITEMS[b"MODSEQ"]
_GONE: Final = no("Some messages were expunged by another session", b"EXPUNGEISSUED")


async def fetch(session: Session, command: c.Fetch) -> Reply:
    """RFC 2180 4.1: what another session expunged is still served while its octets exist; then, by number, NO."""
    selected = session.require_selected()
    view = selected.view
    if command.vanished and "QRESYNC" not in session.enabled:
        return bad("QRESYNC must be enabled first")  # RFC 7162 3.2.6
    slices = view.by_uid(command.messages) if command.uid else view.by_number(command.messages)
    items = command.items
    if command.changed_since is not None:
        items = (*items, MODSEQ)
    if MODSEQ in items:
        session.switch_on(CONDSTORE)
    if command.changed_since is not None:
        if command.vanished:
            await tell_vanished(session, selected, command.messages.resolve(MAX_UID), command.changed_since)
        slices = await changed_since(session, view, slices, command.changed_since)
    plan = plan_of(items, command.uid, session.form)
    if plan.memory_only:
        await from_memory(session, selected, slices, plan)
        return ok("FETCH completed")
    marks = plan.sets_seen and not selected.read_only
    marks = marks and access.allowed(session.require_principal(), Action.FLAG, selected.mailbox.role)
    pages = _pages(slices, BODY_PAGE if plan.bodies else FETCH_PAGE)
    missing = await _send_pages(session, selected, plan, pages, marks=marks)
    return _GONE if missing and not command.uid else ok("FETCH completed")


def _pages(slices: Slices, size: int) -> Iterator[Slices]:
    """The slices cut and gathered to pages of at most `size` messages: some clients list hundreds of single UIDs."""
    page: Slices = []
    room = size
    for start, stop in slices:
        while start < stop:
            end = min(stop, start + room)
            page.append((start, end))
            room -= end - start
            start = end
            if not room:
                yield page
                page, room = [], size
    if page:
        yield page


def _masks(view: View, page: Slices) -> Iterable[int]:
    return chain.from_iterable(view.masks_of(start, stop) for start, stop in page)


def _modseqs(view: View, page: Slices) -> list[int]:
    return [modseq for start, stop in page for modseq in view.modseqs_of(start, stop)]


def _numbers(view: View, plan: Plan, page: Slices) -> Sequence[int]:
    """What stands behind `*`: message numbers, or UIDs where only these are used."""
    if plan.form.uid_only:
        return view.uids_in(page)
    if len(page) == 1:
        return range(page[0][0] + 1, page[0][1] + 1)
    return [number for start, stop in page for number in range(start + 1, stop + 1)]


async def from_memory(session: Session, selected: Selected, slices: Slices, plan: Plan) -> None:
    """Responses of a plan that is `memory_only`."""
    view, text = selected.view, selected.shared.state.flags_text
    session.announce_keywords()
    first = True
    for page in _pages(slices, MEMORY_PAGE):
        if not first:
            await session.channel.breathe()
        first = False
        modseqs = _modseqs(view, page) if plan.shows_modseq else repeat(0)
        rows = zip(_numbers(view, plan, page), view.uids_in(page), _masks(view, page), modseqs, strict=False)
        selected.modseq_shown |= plan.shows_modseq
        session.channel.send(b"".join(plan.memory_lines(rows, text)))


async def _send_pages(
    session: Session, selected: Selected, plan: Plan, pages: Iterable[Slices], *, marks: bool
) -> int:
    """Render and send page after page; the number of messages that could not be served.

    Some pages are rendered ahead of the one being sent, in other processes; not while \\Seen is set with each page,
    for a client that goes away has not seen what it was not sent.
    """
    ahead: deque[tuple[Batch, Rendered | asyncio.Task[Rendered]]] = deque()
    most = 0 if marks else PAGES_AHEAD
    missing = 0
    first = True

    async def send() -> int:
        nonlocal first
        if not first:
            await session.channel.breathe()
        first = False
        batch, rendering = ahead[0]
        rendered = rendering if isinstance(rendering, Rendered) else await rendering
        ahead.popleft()
        return await _send_page(session, selected, plan, batch, rendered)

    try:
        for page in pages:
            batch = await _batch(session, selected, plan, page, marks=marks)
            # On the loop only what is surely short: neither hundreds of windows, nor parsing what was expunged.
            if len(batch.uids) <= TINY_PAGE and plan.short and not selected.view.pending:
                ahead.append((batch, await _render(session, selected, plan, batch, brief=True)))
            else:
                ahead.append((batch, asyncio.ensure_future(_render(session, selected, plan, batch))))
            if len(ahead) > most:
                missing += await send()
        while ahead:
            missing += await send()
    finally:
        for _, rendering in ahead:
            if not isinstance(rendering, Rendered):
                rendering.cancel()
    return missing


async def _batch(session: Session, selected: Selected, plan: Plan, page: Slices, *, marks: bool) -> Batch:
    view = selected.view
    changed = await _mark_seen(session, selected, page) if marks else frozenset[int]()
    session.announce_keywords()
    flags: list[bytes] = []
    if plan.shows_flags or changed:
        text = selected.shared.state.flags_text
        flags = [text(mask) for mask in _masks(view, page)]
    modseqs: list[int] = []
    if plan.shows_modseq or (changed and plan.form.modseqs):
        modseqs = _modseqs(view, page)
        selected.modseq_shown = True
    return Batch(_numbers(view, plan, page), view.uids_in(page), flags, changed, modseqs)


async def _render(session: Session, selected: Selected, plan: Plan, batch: Batch, brief: bool = False) -> Rendered:
    db, mailbox_id = session.services.db, selected.shared.state.mailbox_id
    if brief:
        return await db.tiny(lambda rx: render_page(rx, plan, mailbox_id, batch, True))
    return await db.offload(render_page, plan, mailbox_id, batch)


async def _send_page(session: Session, selected: Selected, plan: Plan, batch: Batch, rendered: Rendered) -> int:
    """Send `batch`, of which `rendered` is the beginning; the number of messages that could not be served."""
    missing = 0
    while True:
        for piece in rendered.pieces:
            if isinstance(piece, bytes):
                session.channel.send(piece)
            else:
                await _stream(session, piece)
        missing += rendered.missing
        if rendered.consumed == len(batch.uids):
            return missing
        batch = batch.behind(rendered.consumed)
        await session.channel.breathe()
        rendered = await _render(session, selected, plan, batch)


async def _mark_seen(session: Session, selected: Selected, page: Slices) -> frozenset[int]:
    """Set \\Seen on the page's unseen messages; the responses that follow show the new flags (RFC 3501 6.4.5)."""
    view, state = selected.view, selected.shared.state
    unseen = [uid for uid, mask in zip(view.uids_in(page), _masks(view, page), strict=True) if not mask & SEEN]
    unseen = [uid for uid in unseen if uid not in view.pending]
    if not unseen:
        return frozenset()
    ranges = ranges_of(unseen)
    stored = await session.services.db.write(
        lambda tx: messages.store_flags(tx, state.inbox_id, state.mailbox_id, ranges, "add", SEEN, ()),
        inboxes=(state.inbox_id,),
        quick=len(unseen) <= TINY_CHANGE,
    )
    if stored.modseq is not None:
        await selected.shared.catch_up(stored.modseq, rows=len(unseen))
    changed = [uid for uid, _ in stored.changed]
    if view.modseqs_told:
        view.told(dict.fromkeys(changed, stored.modseq or 0))
    else:
        view.told(dict(stored.changed))
    return frozenset(changed)


async def _stream(session: Session, body: BodyRange) -> None:
    """A large range in reads of 256 KiB, the next one under way while the last is written.

    The literal's size is on the wire already: whatever fails now, the connection is all that can be ended.
    """
    db = session.services.db

    def read(start: int) -> asyncio.Task[bytes]:
        stop = min(start + BODY_READ, body.stop)
        return asyncio.ensure_future(db.read(lambda rx: content.read_body(rx, body.content_id, start, stop)))

    ahead: asyncio.Task[bytes] | None = read(body.start)
    session.channel.in_literal = True
    try:
        at = body.start
        while ahead is not None:
            octets = await ahead
            if len(octets) != min(BODY_READ, body.stop - at):
                raise _Short
            at += len(octets)
            ahead = read(at) if at < body.stop else None
            if body.has_nul:
                octets = octets.replace(b"\0", b"\x80")
            for piece in range(0, len(octets), BODY_PIECE):
                session.channel.send(octets[piece : piece + BODY_PIECE])
                await session.channel.drain()
    except (GatewayError, _Short):
        session.channel.peer.abort()
        raise Closed from None
    finally:
        session.channel.in_literal = False
        if ahead is not None:
            ahead.cancel()


class _Short(Exception):
    """The store had fewer octets than its row said."""
