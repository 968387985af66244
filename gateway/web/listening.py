"""Everybody who listens over HTTP: their keys are watched, and all of them end when the process does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

from gateway.access.caller import Caller
from gateway.access.events_live import Followers
from gateway.auth.lookup import Refusal, ended, key_refusal
from gateway.auth.sessions import LiveSessions, Pair, SessionHandle
from gateway.auth.throttle import ConnectionLimits
from gateway.model.errors import AuthenticationFailed, GatewayError, NoPermission, Unavailable
from gateway.model.ids import InboxId
from gateway.model.permissions import Principal
from gateway.model.ports import Clock
from gateway.store import keys
from gateway.store.db import Database, Rx, Wake, WakeKind

MOST: Final = 10_000
"""Listeners to one inbox; those to all inboxes of their keys together."""
NO_INBOX: Final = InboxId(0)
REFRESH: Final = 0.2  # seconds until who listens to all inboxes hears of a new one
END_S: Final = 3.0
_READS: Final = frozenset({"message_read", "draft_read"})


STOPS: Final = "The server stops"
"""The reason of all ends that are nobody's fault; the others are of a key or an inbox."""


def fault(reason: str) -> GatewayError:
    """What is answered to a request that ends for this reason."""
    return Unavailable(reason) if reason == STOPS else AuthenticationFailed(reason)


class Stream(Protocol):
    """Somebody who listens."""

    async def end(self, reason: str) -> None:
        """Say why, and close. May be called again."""

    async def refresh(self) -> None:
        """Inboxes came or went."""


def need_to_read(who: Caller) -> None:
    """NoPermission for a key that may read no mail at all."""
    if not _READS & who.permissions:
        raise NoPermission("The key lacks the permission message_read")


def _review(rx: Rx, pairs: Collection[Pair], now: float) -> dict[Pair, Refusal]:
    """Of who listens to all its inboxes the key alone counts."""
    found = ended(rx, [pair for pair in pairs if pair[1] != NO_INBOX], now)
    for key_id, inbox_id in pairs:
        if inbox_id == NO_INBOX:
            reason = key_refusal(keys.key_by_id(rx, key_id), now)
            if reason is not None:
                found[key_id, inbox_id] = reason
    return found


class Listening:
    """One a process."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.followers = Followers(db)
        self._db = db
        self._sessions = LiveSessions(db, clock, limits=ConnectionLimits(per_inbox=MOST), review=_review)
        self._streams: dict[Stream, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refresh: asyncio.TimerHandle | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._closing = False

    def start(self) -> None:
        self.followers.start()
        self._sessions.start()
        self._unsubscribe = self._db.subscribe(self._wake)

    def __len__(self) -> int:
        return len(self._streams)

    async def stop(self) -> None:
        """Nobody begins to listen any more, and who does is told that it ends."""
        self._closing = True
        ends = [asyncio.ensure_future(stream.end(STOPS)) for stream in tuple(self._streams)]
        if ends:
            _, late = await asyncio.wait(ends, timeout=END_S)
            for task in late:
                task.cancel()

    async def close(self) -> None:
        """May be repeated."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._refresh is not None:
            self._refresh.cancel()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sessions.close()
        await self.followers.close()

    def enter(self, who: Caller, inbox_id: InboxId | None, stream: Stream) -> Callable[[], None]:
        """Watch the key, and the inbox if it is about one; gives what ends that. Unavailable, LimitReached."""
        if self._closing:
            raise Unavailable(STOPS)
        principal = Principal(
            who.key_id, who.name, who.scope, who.pod_id, inbox_id or NO_INBOX, "", who.permissions, who.expires_at
        )
        handle: SessionHandle = self._sessions.add(principal, lambda reason: self.soon(stream.end(reason)))
        self._streams[stream] = None

        def leave() -> None:
            handle.close()
            self._streams.pop(stream, None)

        return leave

    def soon(self, work: object) -> None:
        """Run a coroutine of a stream."""
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake(self, wake: Wake) -> None:
        if wake.kind is WakeKind.INBOX and self._refresh is None and self._streams:
            self._refresh = asyncio.get_running_loop().call_later(REFRESH, self._look)

    def _look(self) -> None:
        self._refresh = None
        for stream in tuple(self._streams):
            self.soon(stream.refresh())
