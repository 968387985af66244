"""Delivers: for each webhook and inbox that has something to tell, a task that follows its cursor until it is told.

The change log is the queue and cursors are in the store (`store/webhook_cursors`), so a crash loses nothing and repeats
what was delivered and not written down. Events of one inbox go to a webhook one after the other; one that fails holds
up those behind it, and is tried again ever more slowly, until the webhook was failing for days and is switched off.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from gateway.access.events import Event, Page, events_after
from gateway.access.events_place import Place
from gateway.model.errors import GatewayError, NotFound
from gateway.model.ids import InboxId
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.store import webhook_cursors as cursors
from gateway.store import webhooks
from gateway.store.db import Database, Wake, WakeKind
from gateway.store.webhook_cursors import Claimed, Once
from gateway.store.webhooks import Tried, Webhook

from .dialects import Dialect, dialects, wanted
from .sender import Sender, Sent
from .settings import WebhookSettings, delay

log = structlog.get_logger(__name__)

POLL_S: Final = 60.0
"""Wake-ups may be lost."""
COALESCE_S: Final = 0.02
PAGE: Final = 100
_KINDS: Final = frozenset({WakeKind.MAIL, WakeKind.SENT, WakeKind.INBOX})
Lane = tuple[int, int]
"""(webhook, inbox); (-1, number) for an event that goes by itself"""


def position_of(place: Place) -> tuple[int, str]:
    """(MODSEQ up to which all is told, text) for the store."""
    return place.first - 1, "-".join(str(int(part)) for part in place)


def place_in(position: str) -> Place:
    modseq, rank, within, number = (int(part) for part in position.split("-"))
    return Place(modseq, rank, within, number)


class WebhookRunner:
    """One a process; several nodes share the work."""

    def __init__(
        self, db: Database, sender: Sender, settings: WebhookSettings, *, clock: Clock,
        metrics: Metrics = NULL_METRICS, chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._db = db
        self._sender = sender
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._chance = chance
        self._dialects: Mapping[str, Dialect] = dialects(db)
        self._owner = secrets.token_hex(8)
        self._hooks: dict[int, Webhook] = {}
        self._changed = True
        self._dirty: set[InboxId] | None = None  # inboxes to look at; None: all
        self._woken = asyncio.Event()
        self._lanes: dict[Lane, asyncio.Task[None]] = {}
        self._looked = 0  # when all was looked at last
        self._all_at = 0.0  # when all is to be looked at again, however many single inboxes wake us before

    async def run(self) -> None:
        """Until it is cancelled."""
        unsubscribe = self._db.subscribe(self._wake)
        try:
            if self._db.dialect == "sqlite":  # one process has the store
                await self._db.write(cursors.release_all)
            while True:
                await self._round()
                await self._wait()
        finally:
            unsubscribe()
            tasks = tuple(self._lanes.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self, wake: Wake) -> None:
        if wake.kind is WakeKind.WEBHOOK:
            self._changed, self._dirty = True, None
        elif wake.kind not in _KINDS or not self._hooks:
            return
        elif wake.inbox_id is None:
            self._dirty = None
        elif self._dirty is not None:
            inbox_id = wake.inbox_id
            if not any(hook.enabled and hook.may_cover(inbox_id) for hook in self._hooks.values()):
                return
            self._dirty.add(inbox_id)
        self._woken.set()

    async def _wait(self) -> None:
        """For a wake-up, or the time when something that was put off is due."""
        seconds = POLL_S
        if self._hooks:
            try:
                at = await self._db.read(lambda rx: cursors.next_time(rx, self._looked))
            except GatewayError:
                at = None
            if at is not None:
                self._all_at = min(self._all_at, at)
            seconds = min(max(self._all_at - self._clock(), 0.1), POLL_S)
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
                await asyncio.sleep(COALESCE_S)
        except TimeoutError:
            self._dirty = None
        self._woken.clear()

    async def _round(self) -> None:
        try:
            if self._changed:
                self._changed = False
                found = await self._db.read(webhooks.webhooks)
                self._hooks = {hook.id: hook for hook in found}
                self._sender.forget()
            room = self._settings.lanes - len(self._lanes)
            if not self._hooks or room <= 0:
                return
            dirty, self._dirty = self._dirty, set()
            now = int(self._clock())
            if now >= self._all_at:
                dirty = None
            limit = room + len(self._lanes) + 1
            inboxes = None if dirty is None else sorted(dirty)
            due = await self._db.read(lambda rx: cursors.due(rx, now, limit, inboxes))
            if len(due) >= limit:
                self._dirty = None  # there are more: each lane that ends looks again
            for webhook_id, inbox_id in due:
                hook = self._hooks.get(webhook_id)
                if hook is not None and hook.enabled:
                    self._spawn((webhook_id, inbox_id), self._deliver(hook, InboxId(inbox_id)))
            if dirty is None:
                for once in await self._db.read(lambda rx: cursors.once_due(rx, now, limit)):
                    hook = self._hooks.get(once.webhook_id)
                    if hook is not None:
                        self._spawn((-1, once.id), self._deliver_once(hook, once))
                self._looked, self._all_at = now, now + POLL_S
        except GatewayError as error:
            log.warning("webhooks.round_delayed", reason=str(error))
            self._changed, self._dirty = True, None

    def _spawn(self, lane: Lane, work: Coroutine[Any, Any, None]) -> None:
        if lane in self._lanes or len(self._lanes) >= self._settings.lanes:
            work.close()
            if lane not in self._lanes:
                self._dirty = None
            return
        task = asyncio.get_running_loop().create_task(work)
        self._lanes[lane] = task
        task.add_done_callback(lambda done: self._ended(lane, done))

    def _ended(self, lane: Lane, task: asyncio.Task[None]) -> None:
        del self._lanes[lane]
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, GatewayError):
            log.warning("webhooks.lane_delayed", reason=str(error))
        elif error is not None:
            log.error("webhooks.lane_broken", exc_info=error)
        if error is None and lane[0] >= 0 and self._dirty is not None:
            self._dirty.add(InboxId(lane[1]))  # what came between its last look and now
        if error is None or self._dirty is None:
            self._woken.set()

    # -- one inbox of one webhook --------------------------------------------------------------------------------

    async def _deliver(self, hook: Webhook, inbox_id: InboxId) -> None:
        owner, now = self._owner, int(self._clock())
        held = await self._db.write(
            lambda tx: cursors.claim(tx, hook.id, inbox_id, owner, now, now + self._settings.lease)
        )
        if held is None:
            return
        try:
            await self._tell(hook, held)
        except NotFound:  # the inbox was deleted
            return
        finally:
            await asyncio.shield(self._db.write(lambda tx: cursors.release(tx, held, owner)))

    async def _tell(self, hook: Webhook, held: Claimed) -> None:
        some = wanted(hook)
        place, number = place_in(held.position), held.attempts
        while True:
            page: Page = await self._db.read(lambda rx, at=place: events_after(rx, InboxId(held.inbox_id), at, PAGE))  # type: ignore[misc]
            for event in some.among(page.events):
                number += 1
                now = self._hooks.get(hook.id)
                if now is None or not now.enabled or not await self._try(now, held, event, number):
                    return
                place, number = event.place, 0
            if page.end == place and not page.more:
                return
            if page.end != place and not await self._move(held, page.end):
                return
            place = page.end
            if not page.more:
                return

    async def _try(self, hook: Webhook, held: Claimed, event: Event, number: int) -> bool:
        """Whether it was told, and the cursor moved; or it is not for this webhook."""
        body = await self._dialects[hook.dialect].body(hook, event, self._clock())
        if body is None:
            return True
        sent = await self._sender.send(hook, event.id, body.encode())
        tried = self._tried(hook, held.inbox_id, event.id, event.type, number, sent)
        if sent.ok:
            return await self._move(held, event.place, tried)
        at = self._later(number, sent)
        owner = self._owner
        since = await self._db.write(lambda tx: cursors.put_off(tx, held, owner, at, tried))
        await self._after_failure(hook, sent, since)
        return False

    async def _move(self, held: Claimed, place: Place, tried: Tried | None = None) -> bool:
        modseq, position = position_of(place)
        until = int(self._clock()) + self._settings.lease
        return await self._db.write(lambda tx: cursors.move(tx, held, self._owner, modseq, position, until, tried))

    async def _deliver_once(self, hook: Webhook, once: Once) -> None:
        owner, now = self._owner, int(self._clock())
        if not await self._db.write(lambda tx: cursors.once_claim(tx, once, owner, now, now + self._settings.lease)):
            return
        sent = await self._sender.send(hook, once.event_id, once.payload.encode())
        tried = self._tried(hook, once.inbox_id, once.event_id, once.type, once.attempts + 1, sent)
        if sent.ok or once.type == TEST:  # a test tells what is so now
            await self._db.write(lambda tx: cursors.once_done(tx, once, owner, tried))
            return
        at = self._later(once.attempts + 1, sent)
        since = await self._db.write(lambda tx: cursors.once_later(tx, once, owner, at, tried))
        await self._after_failure(hook, sent, since)

    def _tried(self, hook: Webhook, inbox_id: int, event_id: str, kind: str, number: int, sent: Sent) -> Tried:
        return Tried(
            hook.id, inbox_id, event_id, kind, int(self._clock()), number, sent.ok, sent.status, sent.failure,
            sent.duration_ms, sent.answer,
        )  # fmt: skip

    def _later(self, number: int, sent: Sent) -> int:
        return int(self._clock()) + max(1, round(delay(self._settings, number, self._chance(), sent.asked)))

    async def _after_failure(self, hook: Webhook, sent: Sent, since: int | None) -> None:
        self._woken.set()  # the time of what was put off may be the next
        now = int(self._clock())
        if since is None:
            return
        reason = sent.failure or ""
        if not sent.over:
            if now - since < self._settings.give_up:
                return
            began = datetime.fromtimestamp(since, UTC).isoformat(timespec="minutes")
            reason = f"It has failed since {began}: {reason}"
        log.warning("webhooks.switched_off", webhook=hook.uuid, reason=reason)
        await self._db.write(lambda tx: cursors.switch_off(tx, hook.id, reason, now))


TEST: Final = "webhook.test"
