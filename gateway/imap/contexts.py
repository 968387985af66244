"""Searches whose results a client is told of as they change (RFC 5267 4.3): UPDATE, ADDTO, REMOVEFROM, CANCELUPDATE.

What changed is known by MODSEQ, so nothing is looked at twice and a look that is given up is made good by the next one.
Only messages that changed or came are tested again. OLDER and YOUNGER are not watched: time alone changes nothing here
(RFC 5032 2).
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError, InvalidRequest
from gateway.model.sequence import SequenceSet
from gateway.wire import commands as c
from gateway.wire import render
from gateway.wire import search as keys
from gateway.wire import search_results as results
from gateway.wire.search import Option, SortKey

from .channel import Closed
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

_FEW: Final = 100  # results taken out one by one

Change = tuple[int, list[int]]
"""(position in the results or 0 for "in the order of the mailbox", UIDs)"""


class Context:
    """The results of one command as the client knows them: UIDs in the order of the results."""

    __slots__ = ("found", "key", "last_uid", "modseq", "order", "tag", "uid", "version")

    def __init__(
        self, tag: bytes, uid: bool, key: keys.SearchKey, order: tuple[SortKey, ...], found: array[int], mark: Mark
    ) -> None:
        self.tag = tag
        self.uid = uid
        self.key = key
        self.order = order
        self.found = found
        self.modseq, self.last_uid = mark
        self.version = 0

    def without(self, gone: Sequence[int]) -> list[Change]:
        """Take the rising `gone` out of the results; what a client is to do for it."""
        self.version += 1
        if not self.order:
            listed = [uid for uid in gone if _holds(self.found, uid)]
            if len(listed) <= _FEW:
                for uid in listed:
                    del self.found[bisect_left(self.found, uid)]
            else:  # each of these would move all that stand behind it
                lost = set(listed)
                self.found = array("I", [uid for uid in self.found if uid not in lost])
            return [(0, listed)] if listed else []
        doomed = set(gone)
        changes: list[Change] = []
        place = 1  # where the next result stands once those before it have been removed
        fresh = True
        for uid in self.found:
            if uid not in doomed:
                place += 1
                fresh = True
            elif fresh:
                changes.append((place, [uid]))
                fresh = False
            else:
                changes[-1][1].append(uid)
        if changes:
            self.found = array("I", [uid for uid in self.found if uid not in doomed])
        return changes

    def with_(self, found: array[int]) -> list[Change]:
        """Take over `found`, which holds all results there were; what a client is to do for the new ones."""
        self.version += 1
        known = set(self.found)
        changes: list[Change] = []
        if not self.order:
            listed = [uid for uid in found if uid not in known]
            changes = [(0, listed)] if listed else []
        else:
            fresh = True
            for place, uid in enumerate(found, 1):
                if uid in known:
                    fresh = True
                elif fresh:
                    changes.append((place, [uid]))
                    fresh = False
                else:
                    changes[-1][1].append(uid)
        self.found = found
        return changes


Mark = tuple[int, int]
"""(MODSEQ, last UID) up to which results are right."""


def mark(selected: Selected) -> Mark:
    """Take it before the search begins: what changes meanwhile is looked at again."""
    return selected.shared.state.highest_modseq, selected.view.last_uid


class Contexts:
    """Those of one selected mailbox."""

    __slots__ = ("_by_tag", "_task")

    def __init__(self) -> None:
        self._by_tag: dict[bytes, Context] = {}
        self._task: asyncio.Task[None] | None = None

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

    async def follow(self, session: Session, selected: Selected) -> None:
        """Tell what has come to match and what no longer does. Between two commands, or in IDLE."""
        for context in list(self._by_tag.values()):
            await self._follow(session, selected, context)

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

    async def _follow(self, session: Session, selected: Selected, context: Context) -> None:
        state, view = selected.shared.state, selected.view
        upto, version, idling = mark(selected), context.version, session.idling
        stop = bisect_right(state.uids, upto[1])
        changed = {state.uids[index] for index in state.changed_since(context.modseq, 0, stop)}
        changed.update(view.uids[bisect_right(view.uids, context.last_uid, 0, view.length) : view.length])
        candidates = array("I", sorted(uid for uid in changed if uid not in view.pending))
        run = await prepare(session, selected, context.key)
        matching = await run.among(candidates)
        holds = set(matching)
        known = set(context.found) if context.order else None
        gone = [
            uid
            for uid in candidates
            if uid not in holds and (_holds(context.found, uid) if known is None else uid in known)
        ]
        new = [uid for uid in matching if not (_holds(context.found, uid) if known is None else uid in known)]
        later: array[int] | None = None
        if new:
            lost = set(gone)
            later = array("I", sorted([*(uid for uid in context.found if uid not in lost), *new]))
            if context.order:
                count = len(later)
                later = await arranged(session, selected, context.order, later)
                if len(later) != count:
                    return  # one is expunged, which the client does not know yet: places would be wrong
        if context.version != version or session.selected is not selected or session.idling != idling:
            return  # others were told something meanwhile: this is of before
        context.modseq, context.last_uid = upto
        items = _removed(context.without(gone), _number(selected, context)) if gone else []
        if later is not None:
            if len(later) > MAX_RESULTS:
                self.cancel(context.tag)
                session.channel.send(no_update(context.tag))
                return
            items += _added(context.with_(later), _number(selected, context))
        if items:
            _send(session, context, items)


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
    context = Context(command.tag, uid, lasting, order, found[:], since)
    if selected.contexts is None:
        selected.contexts = Contexts()
    if not selected.contexts.add(context):
        session.channel.send(no_update(command.tag))


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


def _holds(found: array[int], uid: int) -> bool:
    at = bisect_left(found, uid)
    return at < len(found) and found[at] == uid


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
