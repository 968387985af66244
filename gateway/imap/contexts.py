"""Searches whose results a client is told of as they change (RFC 5267 4.3): UPDATE, ADDTO, REMOVEFROM, CANCELUPDATE.

With what UPDATE asks to be fetched of new messages among them (RFC 5465 7).

What changed is known by MODSEQ, so nothing is looked at twice and a look that is given up is made good by the next one.
Only messages that changed or came are tested again. OLDER and YOUNGER are not watched: time alone changes nothing here
(RFC 5032 2).
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError, InvalidRequest
from gateway.model.sequence import SequenceSet
from gateway.wire import commands as c
from gateway.wire import render
from gateway.wire import search as keys
from gateway.wire import search_results as results
from gateway.wire.fetch import Attribute
from gateway.wire.search import Option

from .capabilities import CONDSTORE
from .channel import Closed
from .context import Change, Context, Mark
from .fetch import MODSEQ, fetch_new
from .replies import Reply, ok
from .search_run import prepare
from .selected import Selected
from .sort_orders import arranged
from .view import Updates, ranges_of

if TYPE_CHECKING:
    from .session import Session

MAX_CONTEXTS: Final = 8
"""Of one session: each costs a search of what changed."""
MAX_RESULTS: Final = 250_000
"""Of one context: a megabyte."""

Wanted = dict[int, tuple[Attribute, ...]]
"""UID of a new message -> what is to be fetched of it."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at the messages that changed has found, for a client that is told it or not."""

    context: Context
    version: int
    idling: bool
    upto: Mark
    gone: list[int]
    later: array[int] | None
    """All results from now on; None when there are no new ones."""
    fresh: list[int]
    """New messages among them that are to be fetched."""

    def holds(self, session: Session, selected: Selected) -> bool:
        """False when the client was told something since: this is of before."""
        same = session.selected is selected and session.idling == self.idling
        return same and self.context.version == self.version


def mark(selected: Selected) -> Mark:
    """Take it before the search begins: what changes meanwhile is looked at again."""
    return selected.shared.state.highest_modseq, selected.view.last_uid


class Contexts:
    """Those of one selected mailbox."""

    __slots__ = ("_by_tag", "_made", "_task", "fetching")

    def __init__(self) -> None:
        self._by_tag: dict[bytes, Context] = {}
        self._task: asyncio.Task[None] | None = None
        self._made: set[int] = set()
        self.fetching: asyncio.Future[None] | None = None
        """Done when the new messages that are being sent have been."""

    def __bool__(self) -> bool:
        return bool(self._by_tag)

    def __contains__(self, tag: bytes) -> bool:
        return tag in self._by_tag

    def add(self, context: Context) -> bool:
        """False when there are too many, or too many results."""
        if len(self._by_tag) >= MAX_CONTEXTS or len(context.found) > MAX_RESULTS:
            return False
        self._by_tag[context.tag] = context
        return True

    def cancel(self, tag: bytes) -> None:
        self._by_tag.pop(tag, None)

    def leaving(self, session: Session, updates: Updates) -> None:
        """Before EXPUNGE is sent, while the numbers of what goes still hold (RFC 5267 4.3.4)."""
        expunged = zip(updates.vanished, updates.expunged, strict=True)
        number = {uid: at + before for before, (uid, at) in enumerate(expunged)}
        for context in self._by_tag.values():
            changes = context.without(updates.vanished)
            if changes:
                _send(session, context, _removed(changes, _itself if context.uid else number.__getitem__))

    def behind(self, selected: Selected) -> bool:
        modseq, last_uid = mark(selected)
        return any(each.modseq < modseq or each.last_uid < last_uid for each in self._by_tag.values())

    def made(self, uids: Iterable[int]) -> None:
        """The client itself made these messages: they are not fetched for it (RFC 5465 5.2)."""
        if any(context.items for context in self._by_tag.values()):
            self._made.update(uids)

    async def follow(self, session: Session, selected: Selected, *, fetches: bool = True) -> Wanted:
        """Tell what has come to match and what no longer does. Between two commands, or in IDLE.

        New messages are fetched before ADDTO tells of them (RFC 5465 7). Without `fetches` the caller does it, with
        what NOTIFY wants of them, and behind ADDTO (5.2): what that is comes back.
        """
        wanted: Wanted = {}
        held: list[_Look] = []
        for context in list(self._by_tag.values()):
            look = await self._look(session, selected, context)
            if look is None:
                continue
            if look.fresh and fetches:
                held.append(look)
            elif self._tell(session, selected, look):
                add_items(wanted, look.fresh, context.items)
        held = [look for look in held if look.holds(session, selected)]
        if held:
            for look in held:
                add_items(wanted, look.fresh, look.context.items)
            await self._fetch(session, selected, wanted)
            wanted = {}
            for look in held:
                look.context.fetched = look.upto[1]
                self._tell(session, selected, look)
        self._made = {uid for uid in self._made if uid > selected.view.last_uid}
        return wanted

    async def _fetch(self, session: Session, selected: Selected, wanted: Wanted) -> None:
        """While it goes on nobody else tells of the mailbox: message numbers must hold until they are sent."""
        self.fetching = asyncio.get_running_loop().create_future()
        try:
            await fetch_new(session, selected, wanted)
        finally:
            self.fetching.set_result(None)
            self.fetching = None
            session.teller.news()

    def follow_soon(self, session: Session, selected: Selected) -> None:
        """The same in IDLE, where nobody waits for it."""
        if self._task is None and self.behind(selected):
            self._task = asyncio.get_running_loop().create_task(self._in_idle(session, selected))

    async def _in_idle(self, session: Session, selected: Selected) -> None:
        try:
            while session.idling and session.selected is selected and self.behind(selected):
                before = mark(selected)
                await self.follow(session, selected)
                session.channel.flush()
                if mark(selected) == before:
                    break
        except (GatewayError, Closed):
            pass  # the next command looks again
        finally:
            self._task = None

    async def _look(self, session: Session, selected: Selected, context: Context) -> _Look | None:
        """None when the order cannot be told yet."""
        state, view = selected.shared.state, selected.view
        upto, version, idling = mark(selected), context.version, session.idling
        told = max(context.last_uid, context.fetched)
        stop = bisect_right(state.uids, upto[1])
        changed = {state.uids[index] for index in state.changed_since(context.modseq, 0, stop)}
        changed.update(view.uids[bisect_right(view.uids, context.last_uid, 0, view.length) : view.length])
        candidates = array("I", sorted(uid for uid in changed if uid not in view.pending))
        run = await prepare(session, selected, context.key)
        matching = await run.among(candidates)
        matches = set(matching)
        holds = context.holds()
        gone = [uid for uid in candidates if uid not in matches and holds(uid)]
        new = [uid for uid in matching if not holds(uid)]
        later: array[int] | None = None
        if new:
            lost = set(gone)
            later = array("I", sorted([*(uid for uid in context.found if uid not in lost), *new]))
            if context.order:
                count = len(later)
                later = await arranged(session, selected, context.order, later)
                if len(later) != count:
                    return None  # one is expunged, which the client does not know yet: places would be wrong
        fresh = [uid for uid in new if uid > told and uid not in self._made] if context.items else []
        return _Look(context, version, idling, upto, gone, later, fresh)

    def _tell(self, session: Session, selected: Selected, look: _Look) -> bool:
        """False when the look no longer holds."""
        context = look.context
        if not look.holds(session, selected):
            return False
        context.modseq, context.last_uid = look.upto
        items = _removed(context.without(look.gone), _number(selected, context)) if look.gone else []
        if look.later is not None:
            if len(look.later) > MAX_RESULTS:
                self.cancel(context.tag)
                session.channel.send(no_update(context.tag))
                return True
            items += _added(context.with_(look.later), _number(selected, context))
        if items:
            _send(session, context, items)
        return True


def add_items(wanted: Wanted, uids: Iterable[int], items: tuple[Attribute, ...]) -> None:
    """`items` are wanted of `uids` too; one that is already is not asked for twice."""
    for uid in uids:
        wanted[uid] = tuple(dict.fromkeys((*wanted.get(uid, ()), *items)))


async def cancel_update(session: Session, command: c.CancelUpdate) -> Reply:
    """RFC 5267 4.3.5. Of a tag that has no updates there will be none either."""
    held = session.require_selected().contexts
    if held is not None:
        for tag in command.tags:
            held.cancel(tag)
    return ok("No further updates")


def check_tag(selected: Selected, tag: bytes, returns: keys.Returns | None) -> None:
    """RFC 5267 4.3: a tag that is in use may not be used with UPDATE again."""
    if returns is not None and Option.UPDATE in returns and selected.contexts and tag in selected.contexts:
        raise InvalidRequest("This tag has updates already")


def begin(
    session: Session,
    selected: Selected,
    command: c.Search | c.Sort | c.MultiSearch,
    key: keys.SearchKey,
    found: array[int],
    since: Mark,
) -> None:
    """Keep the results of a command with UPDATE up to date from now on, or say NOUPDATE. `key`: without filters."""
    if command.returns is None or Option.UPDATE not in command.returns:
        return
    lasting = _lasting(selected, key)
    if lasting is None:
        session.channel.send(no_update(command.tag))
        return
    order = command.order if isinstance(command, c.Sort) else ()
    uid = command.uid if not isinstance(command, c.MultiSearch) else True
    items = command.returns.items
    context = Context(command.tag, uid, lasting, order, found[:], since, items)
    if selected.contexts is None:
        selected.contexts = Contexts()
    if not selected.contexts.add(context):
        session.channel.send(no_update(command.tag))
    elif MODSEQ in items:
        session.switch_on(CONDSTORE)


def no_update(tag: bytes) -> bytes:
    return b"* NO [NOUPDATE %b] Too many contexts\r\n" % render.quoted(tag)


def _lasting(selected: Selected, key: keys.SearchKey) -> keys.SearchKey | None:
    """Criteria whose numbers, and whose `$`, mean later what they meant when the command came (RFC 5267 4.3).

    None: their numbers name more than MAX_RESULTS messages, each counted where it is named.
    """
    view = selected.view
    saved: keys.SearchKey | None = None
    named = 0
    for part in keys.walk(key):
        if isinstance(part, keys.Saved) and saved is None:
            saved = keys.Numbers(SequenceSet(tuple(view.saved_ranges())), uid=True)
        elif isinstance(part, keys.Numbers) and not part.uid:
            ranges = part.messages.resolve(view.length)
            named += sum(min(high, view.length) - low + 1 for low, high in ranges if low <= view.length)
    if named > MAX_RESULTS:
        return None

    def leaf(part: keys.SearchKey) -> keys.SearchKey:
        if isinstance(part, keys.Saved) and saved is not None:
            return saved
        if isinstance(part, keys.Numbers) and not part.uid:
            ranges = part.messages.resolve(view.length)
            slices = [(low - 1, min(high, view.length)) for low, high in ranges if low <= view.length]
            return keys.Numbers(SequenceSet(ranges_of(view.uids_in(slices))), uid=True)
        return part

    return keys.replaced(key, leaf)


def _number(selected: Selected, context: Context) -> Callable[[int], int]:
    """How the context names a message of the present view."""
    return _itself if context.uid else selected.view.number_of


def _itself(uid: int) -> int:
    return uid


def _pairs(changes: Sequence[Change], number: Callable[[int], int]) -> Iterator[tuple[int, Sequence[tuple[int, int]]]]:
    for place, uids in changes:
        named = [number(uid) for uid in uids]
        yield place, render.in_order(named) if place else ranges_of(named)


def _removed(changes: Sequence[Change], number: Callable[[int], int]) -> list[bytes]:
    return [results.removed(_pairs(changes, number))] if changes else []


def _added(changes: Sequence[Change], number: Callable[[int], int]) -> list[bytes]:
    return [results.added(_pairs(changes, number))] if changes else []


def _send(session: Session, context: Context, items: Sequence[bytes]) -> None:
    session.channel.send(results.esearch(context.tag, context.uid, items))
