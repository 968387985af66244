"""Events as they happen: one reader of the log for each inbox that anybody listens to, however many they are.

A listener is only woken; it asks for what is behind its own place, and gets it from memory if it is near, else from the
log. So nobody has a queue, and one that is slow, or was never there, costs no memory: it reads the log when it can.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from gateway.model.errors import NotFound, Unavailable
from gateway.model.ids import InboxId
from gateway.store.db import Database, Wake, WakeKind

from .events import FOREIGN, Event, Page, Start, events_after, start_at
from .events_place import Place

log = structlog.get_logger(__name__)

KEPT: Final = 256
"""Events of an inbox in memory, for listeners that are not far behind."""
PAGE: Final = 200
COALESCE: Final = 0.02  # seconds: wake-ups within them are answered by one look
RETRY_AFTER: Final = 1.0
TURN: Final = 100  # listeners that are woken in one turn of the loop
_KINDS: Final = frozenset({WakeKind.MAIL, WakeKind.SENT, WakeKind.INBOX})


class Listener(Protocol):
    """Called on the loop."""

    def wake(self) -> None:
        """There may be something behind its place."""

    def gone(self) -> None:
        """The inbox was deleted, or cannot be followed any more: nothing comes."""


class Follower:
    """One inbox."""

    __slots__ = (
        "_db", "_lock", "_looked", "_woken", "gone", "inbox_id", "kept", "listeners", "place", "scheduled", "since",
    )  # fmt: skip

    def __init__(self, db: Database, inbox_id: InboxId) -> None:
        self._db = db
        self._lock = asyncio.Lock()
        self._woken = 1
        self._looked = 0
        self.inbox_id = inbox_id
        self.place: Place | None = None
        self.since: Place | None = None
        """All events behind it are in `kept`."""
        self.kept: deque[Event] = deque()
        self.listeners: dict[Listener, None] = {}
        self.scheduled = False
        self.gone = False

    @property
    def stale(self) -> bool:
        """It was woken, and no look at the log that began after that is done."""
        return self._looked != self._woken

    def woken(self) -> None:
        self._woken += 1

    async def begin(self) -> None:
        """From now on. NotFound, Unavailable."""
        async with self._lock:
            if self.place is None:
                woken = self._woken
                start = await self._db.tiny(lambda rx: start_at(rx, self.inbox_id))
                self.place = self.since = start.now
                self._looked = woken

    async def start(self, cursors: Sequence[str]) -> Start:
        """Where who has these cursors goes on. InvalidRequest, NotFound, Unavailable."""
        return await self._db.tiny(lambda rx: start_at(rx, self.inbox_id, cursors))

    async def look(self) -> bool:
        """Read what is new; whether there is more. NotFound, Unavailable."""
        async with self._lock:
            woken, place = self._woken, self.place
            if place is None:
                return False
            page = await self._read(place)
            self.place = page.end
            for event in page.events:
                self.kept.append(event)
                if len(self.kept) > KEPT:
                    self.since = self.kept.popleft().place
            if not page.more:
                self._looked = woken
            return page.more

    async def after(self, place: Place) -> Page | None:
        """What is behind a place, as far as this inbox was read; None: nothing yet. NotFound, Unavailable."""
        if self.gone:
            raise NotFound("The inbox was deleted")
        if self.place is None or self.since is None:
            return None
        if self.since <= place != FOREIGN:
            if place >= self.place:
                return None
            first = bisect_right(self.kept, place, key=lambda event: event.place)
            return Page(place, [self.kept[at] for at in range(first, len(self.kept))], self.place, more=False)
        return await self._read(place)

    async def _read(self, place: Place) -> Page:
        return await self._db.read(lambda rx: events_after(rx, self.inbox_id, place, PAGE))


class Followers:
    """All of a process: `start` it on the loop, `close` it before the store."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._by_inbox: dict[InboxId, Follower] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None
        self._closed = False

    def start(self) -> None:
        self._unsubscribe = self._db.subscribe(self._wake)

    async def close(self) -> None:
        self._closed = True
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._by_inbox.clear()

    @property
    def listeners(self) -> int:
        return sum(len(each.listeners) for each in self._by_inbox.values())

    async def follow(self, inbox_id: InboxId, listener: Listener) -> Follower:
        """From here on nothing that happens there is missed. NotFound, Unavailable."""
        follower = self._by_inbox.get(inbox_id)
        if follower is None or follower.gone:
            follower = self._by_inbox[inbox_id] = Follower(self._db, inbox_id)
        follower.listeners[listener] = None
        try:
            await follower.begin()
        except BaseException:
            self.leave(follower, listener)
            raise
        return follower

    def leave(self, follower: Follower, listener: Listener) -> None:
        """May be repeated."""
        follower.listeners.pop(listener, None)
        if not follower.listeners and self._by_inbox.get(follower.inbox_id) is follower:
            del self._by_inbox[follower.inbox_id]

    def _wake(self, wake: Wake) -> None:
        if wake.kind not in _KINDS or self._closed:
            return
        if wake.inbox_id is None:
            found = tuple(self._by_inbox.values())
        else:
            found = (self._by_inbox[wake.inbox_id],) if wake.inbox_id in self._by_inbox else ()
        for follower in found:
            follower.woken()
            self._schedule(follower, COALESCE)

    def _schedule(self, follower: Follower, seconds: float) -> None:
        if not follower.scheduled:
            follower.scheduled = True
            asyncio.get_running_loop().call_later(seconds, self._begin_look, follower)

    def _begin_look(self, follower: Follower) -> None:
        if self._closed or follower.gone or not follower.listeners:
            follower.scheduled = False
            return
        task = asyncio.get_running_loop().create_task(self._look(follower))
        self._tasks.add(task)
        task.add_done_callback(partial(self._looked, follower))

    def _looked(self, follower: Follower, task: asyncio.Task[None]) -> None:
        """Here and not in the task: a wake-up between its last look and its end counts."""
        self._tasks.discard(task)
        follower.scheduled = False
        if follower.stale and not follower.gone and not self._closed and not task.cancelled():
            self._schedule(follower, RETRY_AFTER)

    async def _look(self, follower: Follower) -> None:
        try:
            while follower.stale:
                await follower.look()
                await self._tell(follower)
        except Unavailable as error:
            log.info("events.look_delayed", reason=str(error))  # `_looked` asks again
        except NotFound:
            self._end(follower)
        except Exception:
            # Its listeners would wait for ever: they come back with their cursor instead.
            log.exception("events.follower_broken", inbox_id=follower.inbox_id)
            self._end(follower)

    async def _tell(self, follower: Follower) -> None:
        for number, listener in enumerate(tuple(follower.listeners), 1):
            listener.wake()
            if number % TURN == 0:
                await asyncio.sleep(0)

    def _end(self, follower: Follower) -> None:
        follower.gone = True
        for listener in tuple(follower.listeners):
            listener.gone()
