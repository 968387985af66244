"""FETCH and UID FETCH (RFC 3501 6.4.5): pages rendered by reader processes, large bodies streamed with backpressure."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from gateway.mime import decoder_for
from gateway.model.errors import GatewayError
from gateway.model.flags import SEEN
from gateway.model.ids import MAX_UID
from gateway.model.sequence import SequenceSet
from gateway.store import content
from gateway.store.db import Rx
from gateway.wire import commands as c
from gateway.wire.fetch import ITEMS, Attribute
from gateway.wire.search import Partial

from . import access, message_limit, own_change
from .access import Action
from .capabilities import CONDSTORE
from .channel import Closed
from .fetch_message import BodyRange, DecodedRange, clean
from .fetch_page import Rendered, render_page
from .fetch_plan import Batch, Plan, plan_of
from .replies import Reply, bad, no, ok
from .resync import changed_since, tell_vanished
from .selected import Selected
from .settings import BODY_PAGE, BODY_PIECE, BODY_READ, FETCH_PAGE, MEMORY_PAGE, PAGES_AHEAD, TINY_PAGE
from .view import Slices, View, ranges_of

if TYPE_CHECKING:
    from .session import Session

MODSEQ: Final = ITEMS[b"MODSEQ"]
_GONE: Final = no("Some messages were expunged by another session", b"EXPUNGEISSUED")
_UNKNOWN: Final = no("The encoding of some parts is unknown", b"UNKNOWN-CTE")


async def fetch(session: Session, command: c.Fetch) -> Reply:
    """RFC 2180 4.1: what another session expunged is still served while its octets exist; then, by number, NO."""
    selected = session.require_selected()
    view = selected.view
    if command.vanished and "QRESYNC" not in session.enabled:
        return bad("QRESYNC must be enabled first")  # RFC 7162 3.2.6
    slices = view.by_uid(command.messages) if command.uid else view.by_number(command.messages)
    if command.partial is not None:
        slices = part_of(slices, command.partial)
    items = command.items
    if command.changed_since is not None:
        items = (*items, MODSEQ)
    if MODSEQ in items:
        session.switch_on(CONDSTORE)
    if command.changed_since is not None:
        if command.vanished:
            await tell_vanished(session, selected, command.messages.resolve(MAX_UID), command.changed_since)
        slices = await changed_since(session, view, slices, command.changed_since)
    slices, limited = message_limit.highest(session, view, slices)
    plan = plan_of(items, command.uid, session.form)
    if plan.memory_only:
        await from_memory(session, selected, slices, plan)
        return message_limit.told(session, ok("FETCH completed"), limited)
    marks = plan.sets_seen and not selected.read_only
    marks = marks and access.allowed(session.require_principal(), Action.FLAG, selected.mailbox.role)
    pages = _pages(slices, BODY_PAGE if plan.bodies else FETCH_PAGE)
    missing, unknown = await _send_pages(session, selected, plan, pages, marks=marks)
    reply = _GONE if missing and not command.uid else ok("FETCH completed")
    return message_limit.told(session, _UNKNOWN if unknown else reply, limited)


async def fetch_new(session: Session, selected: Selected, wanted: Mapping[int, tuple[Attribute, ...]]) -> None:
    """What NOTIFY or UPDATE fetches of new messages, by UID (RFC 5465 5.2, 7).

    \\Seen is never set: nobody has looked at them yet.
    """
    alike: dict[tuple[Attribute, ...], list[int]] = {}
    for uid in sorted(wanted):
        alike.setdefault(wanted[uid], []).append(uid)
    for items, uids in alike.items():
        slices = selected.view.by_uid(SequenceSet(ranges_of(uids)))
        plan = plan_of(items, False, session.form)
        if plan.memory_only:
            await from_memory(session, selected, slices, plan)
        else:
            pages = _pages(slices, BODY_PAGE if plan.bodies else FETCH_PAGE)
            await _send_pages(session, selected, plan, pages, marks=False)


def part_of(slices: Slices, partial: Partial) -> Slices:
    """Those of the messages in order that PARTIAL counts, from either end (RFC 9394 3.3)."""
    total = sum(stop - start for start, stop in slices)
    first, last = partial.first - 1, partial.last
    if partial.from_end:
        first, last = total - partial.last, total - partial.first + 1
    first, last = max(first, 0), min(last, total)
    found: Slices = []
    before = 0
    for start, stop in slices:
        low, high = max(first - before, 0), min(last - before, stop - start)
        if low < high:
            found.append((start + low, start + high))
        before += stop - start
    return found


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


def _scattered(view: View, plan: Plan, page: Slices) -> Iterator[tuple[int, int, int, int]]:
    """(number, UID, mask, MODSEQ)s of more slices than one, for a view that has its state's own arrays."""
    state = view.state
    places = [at for start, stop in page for at in range(start, stop)]
    pick = itemgetter(*places)
    uids = pick(state.uids)
    numbers = uids if plan.form.uid_only else [at + 1 for at in places]
    return zip(numbers, uids, pick(state.masks), pick(state.modseqs), strict=True)


async def from_memory(session: Session, selected: Selected, slices: Slices, plan: Plan) -> None:
    """Responses of a plan that is `memory_only`."""
    view, text = selected.view, selected.shared.state.flags_text
    session.announce_keywords()
    first = True
    for page in _pages(slices, MEMORY_PAGE):
        if not first:
            await session.channel.breathe()
        first = False
        selected.modseq_shown |= plan.shows_modseq
        if len(page) > 1 and view.uids is view.state.uids:
            rows = _scattered(view, plan, page)
        else:
            modseqs = _modseqs(view, page) if plan.shows_modseq else repeat(0)
            rows = zip(_numbers(view, plan, page), view.uids_in(page), _masks(view, page), modseqs, strict=False)
        session.channel.send(b"".join(plan.memory_lines(rows, text)))


async def _send_pages(
    session: Session, selected: Selected, plan: Plan, pages: Iterable[Slices], *, marks: bool
) -> tuple[int, int]:
    """Render and send page after page. How many messages could not be served, and how many not be decoded.

    Some pages are rendered ahead of the one being sent, in other processes; not while \\Seen is set with each page,
    for a client that goes away has not seen what it was not sent.
    """
    ahead: deque[tuple[Batch, Rendered | asyncio.Task[Rendered]]] = deque()
    most = 0 if marks else PAGES_AHEAD
    missing = unknown = 0
    first = True

    async def send() -> None:
        nonlocal first, missing, unknown
        if not first:
            await session.channel.breathe()
        first = False
        batch, rendering = ahead[0]
        rendered = rendering if isinstance(rendering, Rendered) else await rendering
        ahead.popleft()
        failed = await _send_page(session, selected, plan, batch, rendered)
        missing, unknown = missing + failed[0], unknown + failed[1]

    try:
        for page in pages:
            batch = await _batch(session, selected, plan, page, marks=marks)
            # On the loop only what is surely short: neither hundreds of windows, nor what must be decoded.
            if len(batch.uids) <= TINY_PAGE and plan.short and not plan.decodes:
                ahead.append((batch, await _render(session, selected, plan, batch, brief=True)))
            else:
                ahead.append((batch, asyncio.ensure_future(_render(session, selected, plan, batch))))
            if len(ahead) > most:
                await send()
        while ahead:
            await send()
    finally:
        for _, rendering in ahead:
            if not isinstance(rendering, Rendered):
                rendering.cancel()
    return missing, unknown


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


async def _send_page(
    session: Session, selected: Selected, plan: Plan, batch: Batch, rendered: Rendered
) -> tuple[int, int]:
    """Send `batch`, of which `rendered` is the beginning; what `_send_pages` counts."""
    missing = unknown = 0
    while True:
        for piece in rendered.pieces:
            if isinstance(piece, bytes):
                session.channel.send(piece)
            else:
                await stream(session, piece)
        missing, unknown = missing + rendered.missing, unknown + rendered.unknown
        if rendered.consumed == len(batch.uids):
            return missing, unknown
        batch = batch.behind(rendered.consumed)
        await session.channel.breathe()
        rendered = await _render(session, selected, plan, batch)


async def _mark_seen(session: Session, selected: Selected, page: Slices) -> frozenset[int]:
    """Set \\Seen on the page's unseen messages; the responses that follow show the new flags (RFC 3501 6.4.5)."""
    view = selected.view
    unseen = [uid for uid, mask in zip(view.uids_in(page), _masks(view, page), strict=True) if not mask & SEEN]
    unseen = [uid for uid in unseen if uid not in view.pending]
    if not unseen:
        return frozenset()
    ranges = ranges_of(unseen)
    stored = await own_change.store_flags(session, selected, ranges, len(unseen), "add", SEEN)
    changed = [(uid, mask) for _, uid, mask, modseq in view.rows(ranges) if modseq == stored.modseq]
    if stored.modseq is not None and not view.knows_own(stored.since, stored.modseq):
        view.told({uid: stored.modseq if view.modseqs_told else mask for uid, mask in changed})
    return frozenset(uid for uid, _ in changed)


async def stream(session: Session, body: BodyRange | DecodedRange) -> None:
    """A large range in reads of 256 KiB, the next one under way while the last is written.

    The literal's size is on the wire already: whatever fails now, the connection is all that can be ended.
    """
    read, due = _decoded(session, body) if isinstance(body, DecodedRange) else _as_it_is(session, body)
    ahead: asyncio.Task[bytes] | None = None
    session.channel.in_literal = True
    try:
        at = body.start
        ahead = asyncio.ensure_future(read(at))
        while due > 0:
            octets = await ahead
            at = min(at + BODY_READ, body.stop)
            due -= len(octets)
            if due:
                if at == body.stop:
                    raise _Short
                ahead = asyncio.ensure_future(read(at))
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


Read = Callable[[int], Awaitable[bytes]]


def _as_it_is(session: Session, body: BodyRange) -> tuple[Read, int]:
    """How to read what comes from an offset of the body on, and how many octets that is in all."""
    db = session.services.db

    async def read(start: int) -> bytes:
        stop = min(start + BODY_READ, body.stop)
        octets = await db.read(lambda rx: content.read_body(rx, body.content_id, start, stop))
        if len(octets) != stop - start:
            raise _Short
        return clean(octets) if body.clean else octets

    return read, body.stop - body.start


def _decoded(session: Session, body: DecodedRange) -> tuple[Read, int]:
    """The same of a part whose encoding is undone, in the reader's thread: pieces of 256 KiB take 9 ms at most.

    The offsets must come in order, as `stream` asks for them.
    """
    db = session.services.db
    decoder = decoder_for(body.encoding)
    assert decoder is not None  # it was decoded once for its size
    told = 0

    def query(rx: Rx, start: int, stop: int) -> bytes:
        octets = content.read_body(rx, body.content_id, start, stop)
        if len(octets) != stop - start:
            raise _Short
        return decoder.feed(octets) + decoder.finish() if stop == body.stop else decoder.feed(octets)

    async def read(start: int) -> bytes:
        nonlocal told
        octets = await db.read(lambda rx: query(rx, start, min(start + BODY_READ, body.stop)))
        window = octets[max(body.first - told, 0) : max(body.last - told, 0)]
        told += len(octets)
        return window

    return read, body.last - body.first


class _Short(Exception):
    """The store had fewer octets than its row said."""
