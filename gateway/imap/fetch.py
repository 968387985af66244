"""FETCH and UID FETCH (RFC 3501 6.4.5): pages rendered by a reader thread, large bodies streamed with backpressure."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError
from gateway.model.flags import SEEN
from gateway.store import content, messages
from gateway.wire import commands as c
from gateway.wire.fetch import Attribute

from . import access
from .access import Action
from .channel import Closed
from .fetch_page import Rendered, render_page
from .fetch_plan import Batch, BodyRange, Plan
from .replies import Reply, no, ok
from .selected import Selected
from .settings import BODY_PAGE, BODY_PIECE, BODY_READ, FETCH_PAGE, MEMORY_PAGE, TINY_PAGE
from .view import Slices, ranges_of

if TYPE_CHECKING:
    from .session import Session

_GONE: Final = no("Some messages were expunged by another session", b"EXPUNGEISSUED")


@lru_cache(maxsize=256)
def _plan(items: tuple[Attribute, ...], uid: bool) -> Plan:
    """Clients send the same few item lists again and again."""
    return Plan(items, uid=uid)


async def fetch(session: Session, command: c.Fetch) -> Reply:
    """RFC 2180 4.1: what another session expunged is still served while its octets exist; then, by number, NO."""
    selected = session.require_selected()
    view = selected.view
    slices = view.by_uid(command.messages) if command.uid else view.by_number(command.messages)
    plan = _plan(command.items, command.uid)
    if plan.memory_only:
        await _from_memory(session, selected, slices, plan)
        return ok("FETCH completed")
    marks = plan.sets_seen and not selected.read_only
    marks = marks and access.allowed(session.require_principal(), Action.FLAG, selected.mailbox.role)
    missing = 0
    first = True
    for start, stop in _pages(slices, BODY_PAGE if plan.bodies else FETCH_PAGE):
        if not first:
            await session.channel.breathe()
        first = False
        missing += await _send_page(session, selected, plan, start, stop, marks=marks)
    return _GONE if missing and not command.uid else ok("FETCH completed")


def _pages(slices: Slices, size: int) -> list[tuple[int, int]]:
    """The slices cut to pages. Neighbouring short slices stay apart: a client that lists single UIDs lists few."""
    return [(at, min(at + size, stop)) for start, stop in slices for at in range(start, stop, size)]


async def _from_memory(session: Session, selected: Selected, slices: Slices, plan: Plan) -> None:
    view, text = selected.view, selected.shared.state.flags_text
    session.announce_keywords()
    lines: list[bytes] = []
    for start, stop in _pages(slices, MEMORY_PAGE):
        if len(lines) >= MEMORY_PAGE:
            session.channel.send(b"".join(lines))
            lines.clear()
            await session.channel.breathe()
        rows = zip(range(start + 1, stop + 1), view.uids[start:stop], view.masks_of(start, stop), strict=True)
        lines += plan.memory_lines(rows, text)
    session.channel.send(b"".join(lines))


async def _send_page(
    session: Session, selected: Selected, plan: Plan, start: int, stop: int, *, marks: bool
) -> int:
    view, state, db = selected.view, selected.shared.state, session.services.db
    changed = await _mark_seen(session, selected, start, stop) if marks else frozenset[int]()
    session.announce_keywords()
    flags: list[bytes] = []
    if plan.shows_flags or changed:
        text = state.flags_text
        flags = [text(mask) for mask in view.masks_of(start, stop)]
    batch = Batch(start + 1, view.uids[start:stop], flags, changed)
    read = db.tiny if stop - start <= TINY_PAGE else db.read
    missing = 0
    while True:
        rendered: Rendered = await read(lambda rx, batch=batch: render_page(rx, plan, state.mailbox_id, batch))  # type: ignore[misc]
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


async def _mark_seen(session: Session, selected: Selected, start: int, stop: int) -> frozenset[int]:
    """Set \\Seen on the page's unseen messages; the responses that follow show the new flags (RFC 3501 6.4.5)."""
    view, state = selected.view, selected.shared.state
    masks = view.masks_of(start, stop)
    unseen = [uid for uid, mask in zip(view.uids[start:stop], masks, strict=True) if not mask & SEEN]
    unseen = [uid for uid in unseen if uid not in view.pending]
    if not unseen:
        return frozenset()
    ranges = ranges_of(unseen)
    stored = await session.services.db.write(
        lambda tx: messages.store_flags(tx, state.inbox_id, state.mailbox_id, ranges, "add", SEEN, ()),
        inboxes=(state.inbox_id,),
    )
    if stored.modseq is not None:
        await selected.shared.catch_up(stored.modseq, rows=len(unseen))
    changed = dict(stored.changed)
    view.told(changed)
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
        if ahead is not None:
            ahead.cancel()


class _Short(Exception):
    """The store had fewer octets than its row said."""
