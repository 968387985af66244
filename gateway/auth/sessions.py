"""Every logged-in session, so that a revoked or expired key and a deleted inbox end theirs within a second."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Collection
from typing import Final, Protocol

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ids import InboxId, KeyId
from gateway.model.permissions import Principal
from gateway.model.ports import Clock
from gateway.store.db import Database, Rx, Wake, WakeKind

from .lookup import Refusal, ended
from .throttle import ConnectionLimits

log = structlog.get_logger(__name__)

End = Callable[[str], None]
Pair = tuple[KeyId, InboxId]
Review = Callable[[Rx, Collection[Pair], float], dict[Pair, Refusal]]

RETRY: Final = 1.0  # seconds between reviews while the store is away
LONGEST_TIMER: Final = 3600.0  # the wall clock may be set; look at it at least this often
RECENT: Final = 60.0  # seconds: a login that began before a wake-up arrives here within this time
REASONS: Final = {
    Refusal.UNKNOWN_KEY: "The key was deleted",
    Refusal.REVOKED: "The key was revoked",
    Refusal.EXPIRED: "The key has expired",
    Refusal.UNKNOWN_INBOX: "The inbox was deleted",
    Refusal.OUT_OF_SCOPE: "The key no longer opens this inbox",
}


class Timer(Protocol):
    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Timer]


class SessionHandle:
    """One session's place in the registry."""

    __slots__ = ("_registry", "end", "principal")

    def __init__(self, registry: LiveSessions, principal: Principal, end: End) -> None:
        self._registry = registry
        self.principal = principal
        self.end = end

    def close(self) -> None:
        """The session is over by itself: `end` will not be called. May be repeated."""
        self._registry.remove(self)


class LiveSessions:
    """The registry. All methods are called on the event loop.

    A wake-up of kind KEYS or INBOX leads to one read of the keys and inboxes it may concern; wake-ups that arrive
    during that read lead to one more. Expiry needs no wake-up: one timer stands for the session that expires first.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        limits: ConnectionLimits | None = None,
        call_later: CallLater | None = None,
        review: Review = ended,
    ) -> None:
        self._db = db
        self._clock = clock
        self._limits = limits or ConnectionLimits()
        self._call_later = call_later
        self._review = review
        self._pairs: dict[Pair, set[SessionHandle]] = {}
        self._expiries: list[tuple[int, int, SessionHandle]] = []
        self._order = itertools.count()
        self._timer: Timer | None = None
        self._due: set[Pair] = set()
        self._task: asyncio.Task[None] | None = None
        self._last_wake = -RECENT
        self._unsubscribe: Callable[[], None] | None = None

    def __len__(self) -> int:
        return sum(len(handles) for handles in self._pairs.values())

    def start(self) -> None:
        """Begin to listen for wake-ups."""
        self._unsubscribe = self._db.subscribe(self.on_wake)

    async def close(self) -> None:
        """Stop listening. The sessions stay as they are: ending them is their servers' work."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def add(self, principal: Principal, end: End) -> SessionHandle:
        """Watch a session that has just logged in; `end(reason)` is called once, on the loop, when it must go.

        LimitReached when the inbox has too many sessions already.
        """
        self._limits.enter(principal.inbox_id)
        handle = SessionHandle(self, principal, end)
        pair = (principal.key_id, principal.inbox_id)
        self._pairs.setdefault(pair, set()).add(handle)
        if principal.expires_at is not None:
            heapq.heappush(self._expiries, (principal.expires_at, next(self._order), handle))
            self._arm()
        if self._clock() - self._last_wake < RECENT:
            # The login read the store before a revocation whose wake-up came before this call.
            self._look_at({pair})
        return handle

    def watch(self, principal: Principal, end: End) -> Callable[[], None]:
        """`add` for those who only need what stops the watching."""
        return self.add(principal, end).close

    def remove(self, handle: SessionHandle) -> None:
        """Forget a session (SessionHandle.close)."""
        pair = (handle.principal.key_id, handle.principal.inbox_id)
        handles = self._pairs.get(pair)
        if handles is None or handle not in handles:
            return
        handles.discard(handle)
        if not handles:
            del self._pairs[pair]
        self._limits.leave(handle.principal.inbox_id)
        # Its entry in the heap stays until its time, unless such entries outnumber the living.
        if len(self._expiries) > 64 and len(self._expiries) > 2 * len(self):
            self._expiries = [item for item in self._expiries if self._lives(item[2])]
            heapq.heapify(self._expiries)

    def _lives(self, handle: SessionHandle) -> bool:
        return handle in self._pairs.get((handle.principal.key_id, handle.principal.inbox_id), ())

    def on_wake(self, wake: Wake) -> None:
        """A key or an inbox changed, here or on another node."""
        if wake.kind not in (WakeKind.KEYS, WakeKind.INBOX):
            return
        self._last_wake = self._clock()
        if wake.inbox_id is None or wake.kind is WakeKind.KEYS:
            # A key of a pod or of everything is open on inboxes that the wake-up does not name.
            self._look_at(set(self._pairs))
        else:
            self._look_at({pair for pair in self._pairs if pair[1] == wake.inbox_id})

    def _look_at(self, pairs: set[Pair]) -> None:
        self._due |= pairs
        if self._due and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="auth.sessions")
            self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and task.exception() is not None:
            log.error("auth.review_failed", exc_info=task.exception())

    async def _run(self) -> None:
        while self._due:
            pairs, self._due = self._due & self._pairs.keys(), set()
            if not pairs:
                continue
            try:
                found = await self._db.read(self._reader(pairs, self._clock()))
            except GatewayError as error:
                log.warning("auth.review_delayed", error=str(error))
                self._due |= pairs
                await asyncio.sleep(RETRY)
                continue
            for pair, reason in found.items():
                for handle in tuple(self._pairs.get(pair, ())):
                    self._finish(handle, reason)

    def _reader(self, pairs: set[Pair], now: float) -> Callable[[Rx], dict[Pair, Refusal]]:
        return lambda rx: self._review(rx, pairs, now)

    def _finish(self, handle: SessionHandle, reason: Refusal) -> None:
        self.remove(handle)
        log.info("auth.session_ended", reason=reason.value, key=handle.principal.key_name,
                 inbox=handle.principal.inbox_address)
        try:
            handle.end(REASONS[reason])
        except Exception:
            # One session's defect must not keep the others of a revoked key open.
            log.exception("auth.session_end_failed")

    def _arm(self) -> None:
        """One timer for the earliest expiry."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._expiries:
            delay = min(max(self._expiries[0][0] - self._clock(), 0.0), LONGEST_TIMER)
            call_later = self._call_later or asyncio.get_running_loop().call_later
            self._timer = call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._clock()
        while self._expiries and self._expiries[0][0] <= now:
            handle = heapq.heappop(self._expiries)[2]
            if self._lives(handle):
                self._finish(handle, Refusal.EXPIRED)
        self._arm()
