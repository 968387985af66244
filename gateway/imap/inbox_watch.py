"""Inboxes whose mailboxes some session watches with NOTIFY: one look at the store a wake-up, shared by its sessions.

Nobody watches, nothing is read: an inbox is forgotten with its last session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.model.errors import Unavailable
from gateway.model.ids import InboxId, MailboxId
from gateway.store import changes, listing, mailboxes
from gateway.store.db import Database, Rx
from gateway.store.listing import Listed

from .inbox_state import InboxState, Known
from .settings import NEWS_LOOK
from .turns import Listener, Turns

log = structlog.get_logger(__name__)

RETRY_AFTER: Final = 1.0  # seconds until a look that failed for an outage is repeated


@dataclass(frozen=True, slots=True)
class _Found:
    """`whole`: all mailboxes were looked at. `subscribed` None: the rows tell all that can have changed of that."""

    whole: bool
    rows: list[Listed]
    subscribed: list[str] | None
    from_inbox: list[MailboxId]


class InboxWatch:
    """One inbox, with the sessions that watch it."""

    def __init__(self, db: Database, inbox_id: InboxId, turns: Turns) -> None:
        self._db = db
        self._turns = turns
        self._lock = asyncio.Lock()
        self._woken: set[MailboxId] | None = None  # mailboxes to look at; None: all of them
        self._wakes = 1
        self._looked = 0
        self._loaded = False
        self.inbox_id = inbox_id
        self.state = InboxState()
        self.listeners: list[Listener] = []
        self.scheduled = False

    @property
    def stale(self) -> bool:
        """A wake-up came, and no look at the store that began after it has been applied yet."""
        return self._looked != self._wakes

    def woken(self, mailbox_id: MailboxId | None) -> None:
        self._wakes += 1
        if mailbox_id is None:
            self._woken = None
        elif self._woken is not None:
            self._woken.add(mailbox_id)

    async def fresh(self) -> None:
        """Look at the store if it was woken since the last look. Unavailable."""
        if self.stale:
            async with self._lock:
                if self.stale:
                    await self._look()

    async def _look(self) -> None:
        wakes, woken, inbox_id = self._wakes, self._woken, self.inbox_id
        known = self.state.known if self._loaded else None
        self._woken = set()
        try:
            if woken is None or len(woken) > NEWS_LOOK:
                found = await self._db.read(lambda rx: _all(rx, inbox_id, known))
            else:
                found = await self._db.tiny(lambda rx: _some(rx, inbox_id, tuple(woken), known))
        except BaseException:
            self._woken = None  # all of them, next time
            raise
        self._looked = wakes
        state = self.state
        if known is None:
            self._loaded = True
            state.load(found.rows, found.subscribed or ())
            return
        there = {row.id for row in found.rows}
        asked: Iterable[int] = known if found.whole else woken or ()
        gone = [mailbox_id for mailbox_id in asked if mailbox_id not in there]
        if state.apply(found.rows, gone, subscribed=found.subscribed, from_inbox=found.from_inbox):
            for listener in self.listeners:
                self._turns.soon(listener)


def _all(rx: Rx, inbox_id: InboxId, known: Mapping[int, Known] | None) -> _Found:
    rows = listing.mailboxes(rx, inbox_id, subscribed=True, counters=True)
    subscribed = mailboxes.subscriptions(rx, inbox_id)
    return _Found(True, rows, subscribed, _from_inbox(rx, inbox_id, rows, known))


def _some(rx: Rx, inbox_id: InboxId, woken: Sequence[MailboxId], known: Mapping[int, Known] | None) -> _Found:
    rows = listing.some(rx, inbox_id, woken)
    named = {row.id: row.name for row in rows}
    before = {mailbox_id: known[mailbox_id].row.name for mailbox_id in woken if known and mailbox_id in known}
    # Where a name has lost its mailbox its subscription may have gone just before.
    subscribed = None if named.items() >= before.items() else mailboxes.subscriptions(rx, inbox_id)
    return _Found(False, rows, subscribed, _from_inbox(rx, inbox_id, rows, known))


def _from_inbox(
    rx: Rx, inbox_id: InboxId, rows: Iterable[Listed], known: Mapping[int, Known] | None
) -> list[MailboxId]:
    new = [] if known is None else [MailboxId(row.id) for row in rows if row.id not in known]
    return changes.made_of_inbox(rx, inbox_id, new) if new else []


class InboxWatches:
    """All of a process. `coalesce`: wake-ups of one inbox within this time are answered by one look."""

    def __init__(self, db: Database, turns: Turns, coalesce: float) -> None:
        self._db = db
        self._turns = turns
        self._coalesce = coalesce
        self._by_inbox: dict[InboxId, InboxWatch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def close(self) -> None:
        self._closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._by_inbox.clear()

    async def watch(self, inbox_id: InboxId, listener: Listener) -> InboxWatch:
        """The inbox as it is now; `listener` has a turn after each look that found something. Unavailable."""
        watch = self._by_inbox.get(inbox_id)
        if watch is None:
            watch = self._by_inbox[inbox_id] = InboxWatch(self._db, inbox_id, self._turns)
        watch.listeners.append(listener)
        try:
            await watch.fresh()
        except BaseException:
            self.unwatch(watch, listener)
            raise
        return watch

    def unwatch(self, watch: InboxWatch, listener: Listener) -> None:
        watch.listeners.remove(listener)
        if not watch.listeners and self._by_inbox.get(watch.inbox_id) is watch:
            del self._by_inbox[watch.inbox_id]

    def woken(self, inbox_id: InboxId | None, mailbox_id: MailboxId | None) -> None:
        """From the store. `inbox_id` None: any of them."""
        if inbox_id is None:
            found = tuple(self._by_inbox.values())
        else:
            found = (self._by_inbox[inbox_id],) if inbox_id in self._by_inbox else ()
        for watch in found:
            watch.woken(mailbox_id)
            if not watch.scheduled and not self._closed:
                watch.scheduled = True
                asyncio.get_running_loop().call_later(self._coalesce, self._look, watch)

    def _look(self, watch: InboxWatch) -> None:
        watch.scheduled = False
        if watch.stale and watch.listeners and not self._closed:
            task = asyncio.get_running_loop().create_task(self._background(watch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _background(self, watch: InboxWatch) -> None:
        try:
            await watch.fresh()
        except Unavailable:
            watch.scheduled = True
            asyncio.get_running_loop().call_later(RETRY_AFTER, self._look, watch)
        except Exception:
            # Its sessions would never hear of anything again: they are ended instead.
            log.exception("imap.inbox_watch.broken", inbox_id=watch.inbox_id)
            for listener in tuple(watch.listeners):
                listener.give_up()
