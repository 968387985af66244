"""One listener to one inbox or several: it is told of events in order, each inbox from its own place on.

Whoever makes it gives a way to write. While a write waits for a slow peer nothing is read for it; afterwards it goes on
from its places, so all that it holds are these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ids import InboxId

from .events import Event, Wanted
from .events_live import Follower, Followers
from .events_place import Place, shown, whole

log = structlog.get_logger(__name__)

JOINED: Final = "~"
MOST_JOINED: Final = 100
"""Inboxes whose places one cursor holds: it goes through a header field."""

Write = Callable[[Sequence[tuple[str | None, Event]]], Awaitable[None]]
"""Told (cursor behind it, event); there is no cursor where there are too many inboxes for one."""


class Heard:
    """One inbox of a listener."""

    __slots__ = ("_told", "epoch", "follower", "over", "place")

    def __init__(self, told: Told) -> None:
        self._told = told
        self.follower: Follower | None = None
        self.epoch = ""
        self.place: Place | None = None
        self.over = False

    def wake(self) -> None:
        self._told.wake(self)

    def gone(self) -> None:
        self.over = True
        self._told.inbox_gone(self)


class Told:
    """`ended(reason)` is called once, when nothing more can come; `close` it when its peer is gone."""

    __slots__ = (
        "_closed", "_due", "_ended", "_followers", "_heard", "_keep_alive", "_single", "_task", "_wanted", "_write",
    )  # fmt: skip

    def __init__(
        self, followers: Followers, wanted: Wanted, write: Write, ended: Callable[[str], None], *, single: bool
    ) -> None:
        """`single`: it is about one inbox, and ends with it."""
        self._followers = followers
        self._wanted = wanted
        self._write = write
        self._ended = ended
        self._single = single
        self._heard: dict[InboxId, Heard] = {}
        self._due: dict[Heard, None] = {}
        self._keep_alive: Callable[[], Awaitable[None]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def inboxes(self) -> frozenset[InboxId]:
        return frozenset(self._heard)

    @property
    def cursor(self) -> str | None:
        """Behind all that was told."""
        if len(self._heard) > MOST_JOINED:
            return None
        return JOINED.join(shown(each.epoch, each.place) for each in self._heard.values() if each.place is not None)

    async def add(self, inbox_id: InboxId, cursors: Sequence[str] = (), *, whole_log: bool = False) -> None:
        """Listen to one more, from the cursor that is of it, from its beginning or from now on.

        Errors as of `start_at`; Unavailable.
        """
        if inbox_id in self._heard or self._closed:
            return
        heard = Heard(self)
        follower = await self._followers.follow(inbox_id, heard)
        try:
            start = await follower.start(cursors)
        except BaseException:
            self._followers.leave(follower, heard)
            raise
        if self._closed or heard.over:
            self._followers.leave(follower, heard)
            return
        heard.follower, heard.epoch = follower, start.epoch
        heard.place = whole(0) if whole_log else start.place
        self._heard[inbox_id] = heard
        self.wake(heard)

    def remove(self, inbox_id: InboxId) -> None:
        heard = self._heard.pop(inbox_id, None)
        if heard is not None and heard.follower is not None:
            self._followers.leave(heard.follower, heard)
            self._due.pop(heard, None)

    def close(self) -> None:
        """Nothing is written from here on, but what is on its way. May be repeated."""
        self._closed = True
        for inbox_id in tuple(self._heard):
            self.remove(inbox_id)

    def wake(self, heard: Heard) -> None:
        if heard.place is not None and not self._closed:
            self._due[heard] = None
            self._go()

    def keep_alive(self, write: Callable[[], Awaitable[None]]) -> None:
        """Say something that is no event, unless something is being said."""
        if self._task is None and not self._closed:
            self._keep_alive = write
            self._go()

    def inbox_gone(self, heard: Heard) -> None:
        for inbox_id, each in tuple(self._heard.items()):
            if each is heard:
                self.remove(inbox_id)
        if self._single and not self._closed:
            self._ended("The inbox was deleted")

    def _go(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            if not isinstance(error, GatewayError):
                log.error("events.listener_broken", exc_info=error)
            self._ended("Listen again from your cursor")
        elif self._due and not self._closed:
            self._go()

    async def _run(self) -> None:
        if self._keep_alive is not None:
            write, self._keep_alive = self._keep_alive, None
            await write()
        while self._due and not self._closed:
            heard = next(iter(self._due))
            del self._due[heard]
            while not self._closed and not heard.over and heard.follower is not None and heard.place is not None:
                page = await heard.follower.after(heard.place)
                if page is None:
                    break
                await self._tell(heard, page.events, page.end)

    async def _tell(self, heard: Heard, events: Sequence[Event], end: Place) -> None:
        told: list[tuple[str | None, Event]] = []
        for event in self._wanted.among(events):
            heard.place = event.place
            told.append((event.id if self._single else self.cursor, event))
        heard.place = end
        if told:
            await self._write(told)
