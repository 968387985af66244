"""The janitor: takes away what nothing refers to and what has outlived its time, a little at a time.

Each kind of work is a task that is asked for one piece after another, each piece a write unit of its own, until it says
there is none or its share of the round is used up. What it leaves is done in the next round, so it may stop anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ids import InboxId, MailboxId
from gateway.model.mailbox import JUNK, TRASH
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.store import (
    audit,
    cleanup,
    draft_names,
    event_log,
    idempotency,
    inboxes,
    keys,
    once,
    queue,
    rates,
    vacuum,
    web_sessions,
    webhooks,
)
from gateway.store.connectors import events, removal
from gateway.store.db import Database, Tx

from .settings import DAY, JanitorSettings

log = structlog.get_logger(__name__)

Piece = Callable[[], Awaitable[int]]
"""Does one piece of a task; how many rows it touched, 0 when nothing is left."""

PAGE: Final = 50  # mailboxes looked up at once
SLOW: Final = frozenset(
    {"expired_trash", "expired_spam", "change_records", "sent_records", "superseded_changes", "revoked_keys",
     "send_counts", "draft_names"}
)
"""Tasks that look through whole tables (in readers) to find out that there is nothing to do."""


class Janitor:
    """Keeps one store tidy. `now` gives Unix seconds; tests pass their own.

    Several nodes may run one each over the same PostgreSQL: each piece is safe beside any other.
    """

    def __init__(self, db: Database, settings: JanitorSettings, now: Clock, *, metrics: Metrics = NULL_METRICS) -> None:
        self._db = db
        self._settings = settings
        self._now = now
        self._metrics = metrics
        self._tasks: Mapping[str, Piece] = {
            "expired_trash": lambda: self._expire(TRASH, settings.trash_days),
            "expired_spam": lambda: self._expire(JUNK, settings.spam_days),
            "purged_inboxes": self._purge,
            "queue_history": lambda: self._unit(queue.purge_finished, settings.queue_history_seconds),
            "expunge_records": lambda: self._unit(cleanup.forget_expunged, settings.content_seconds),
            "contents": lambda: self._unit(cleanup.collect_contents, settings.content_seconds),
            "bodies": self._bodies,
            "change_records": self._prune,
            "sent_records": self._prune_sent,
            "superseded_changes": self._drop_superseded,
            "revoked_keys": self._forget_keys,
            "same_mail": lambda: self._unit(once.purge, settings.same_mail_seconds),
            "idempotency_keys": lambda: self._unit(idempotency.purge, idempotency.LIFETIME_S),
            "draft_names": self._forget_drafts,
            "send_counts": self._forget_counts,
            "removed_connectors": self._sweep_connectors,
            "web_sessions": self._forget_sessions,
            "connector_events": lambda: self._unit(events.prune, settings.connector_event_seconds),
            "audit": lambda: self._unit(audit.prune, settings.audit_seconds),
            "webhook_attempts": lambda: self._unit(webhooks.prune, settings.webhook_attempt_seconds),
            "free_pages": self._give_back,  # the last: what the others freed in this round
        }
        self._not_before = dict.fromkeys(SLOW, 0.0)

    async def run_once(self) -> dict[str, int]:
        """One round: rows touched by each task. A task that fails is logged and tried in the next round."""
        counts: dict[str, int] = {}
        for name, piece in self._tasks.items():
            if self._not_before.get(name, 0.0) > self._now():
                continue
            try:
                counts[name], done = await self._work_off(piece)
                if done and name in SLOW:
                    self._not_before[name] = self._now() + self._settings.slow_seconds
            except GatewayError as error:
                counts[name] = 0
                log.warning("janitor.deferred", task=name, reason=str(error))
            except Exception:  # a defect of one task must not stop the others
                counts[name] = 0
                log.exception("janitor.failed", task=name)
            if counts[name]:
                self._metrics.count("janitor_rows", counts[name], task=name)
        if any(counts.values()):
            log.info("janitor.done", **{name: count for name, count in counts.items() if count})
        return counts

    async def run(self, stop: asyncio.Event) -> None:
        """Rounds until `stop` is set; returns within one piece of that."""
        while not stop.is_set():
            round_ = asyncio.create_task(self.run_once())
            stopped = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({round_, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set():
                    return
                await round_
                await asyncio.wait({stopped}, timeout=self._settings.interval_seconds)
            finally:
                for task in (round_, stopped):
                    task.cancel()
                await asyncio.gather(round_, stopped, return_exceptions=True)

    async def _work_off(self, piece: Piece) -> tuple[int, bool]:
        """Pieces until there are no more (True) or the task's share of the round is used up (False)."""
        total = 0
        end = self._now() + self._settings.task_seconds
        while count := await piece():
            total += count
            if self._now() >= end:
                return total, False
            await asyncio.sleep(self._settings.pause_seconds)
        return total, True

    async def _unit(self, work: Callable[[Tx, int, int], int], age: int) -> int:
        before = int(self._now()) - age
        return await self._db.write(lambda tx: work(tx, before, self._settings.piece_rows))

    async def _bodies(self) -> int:
        before = int(self._now()) - self._settings.staging_seconds
        return await self._db.write(lambda tx: cleanup.drop_staged(tx, before, self._settings.piece_chunks))

    async def _expire(self, role: str, days: int | None) -> int:
        """A piece of the first mailbox of that role that has something to expire."""
        if days is None:
            return 0
        now, rows = int(self._now()), self._settings.piece_rows
        after = 0
        while page := await self._db.read(partial(cleanup.mailboxes_of_role, role=role, after=after, limit=PAGE)):
            for inbox_id, mailbox_id in page:
                count = await self._expire_in(inbox_id, mailbox_id, now - days * DAY, now, rows)
                if count:
                    return count
            after = page[-1][1]
        return 0

    async def _expire_in(self, inbox_id: InboxId, mailbox_id: MailboxId, before: int, now: int, rows: int) -> int:
        return await self._db.write(
            lambda tx: cleanup.expire(tx, inbox_id, mailbox_id, before, now, rows), inboxes=(inbox_id,)
        )

    async def _sweep_connectors(self) -> int:
        rows = self._settings.piece_rows
        for connector_id, inbox_id in await self._db.read(lambda rx: removal.removed(rx, 1)):
            await self._db.write(partial(removal.sweep, connector_id=connector_id, limit=rows), inboxes=(inbox_id,))
            return rows
        return 0

    async def _purge(self) -> int:
        before = int(self._now()) - self._settings.grace_seconds
        due = await self._db.read(lambda rx: inboxes.due_for_purge(rx, before, 1))
        if not due:
            return 0
        inbox_id = due[0]
        done = await self._db.write(
            lambda tx: inboxes.purge_inbox(tx, inbox_id, self._settings.piece_rows), inboxes=(inbox_id,)
        )
        if done:
            log.info("janitor.inbox_purged", inbox_id=inbox_id)
        return 1

    async def _drop_superseded(self) -> int:
        rows = await self._db.read(lambda rx: cleanup.superseded(rx, self._settings.piece_rows))
        return await self._db.write(lambda tx: cleanup.drop_superseded(tx, rows)) if rows else 0

    async def _forget_keys(self) -> int:
        days = self._settings.revoked_key_days
        if days is None:
            return 0
        before = int(self._now()) - days * DAY
        found = await self._db.read(lambda rx: keys.outlived(rx, before, self._settings.piece_rows))
        return await self._db.write(lambda tx: keys.forget(tx, found)) if found else 0

    async def _forget_counts(self) -> int:
        now = int(self._now())
        found = await self._db.read(lambda rx: rates.outdated(rx, now, self._settings.piece_rows))
        return await self._db.write(lambda tx: rates.forget(tx, found, now)) if found else 0

    async def _forget_drafts(self) -> int:
        found = await self._db.read(lambda rx: draft_names.outlived(rx, self._settings.piece_rows))
        return await self._db.write(lambda tx: draft_names.forget(tx, found)) if found else 0

    async def _forget_sessions(self) -> int:
        now = int(self._now())
        over = await self._db.read(lambda rx: web_sessions.any_over(rx, now))
        return await self._db.write(lambda tx: web_sessions.forget(tx, now)) if over else 0

    async def _give_back(self) -> int:
        """Pages of the file that will not be needed soon, to the file system."""
        found = await self._db.read(vacuum.pages)
        self._metrics.gauge("store_pages", found.all)
        self._metrics.gauge("store_free_pages", found.free)
        keep = max(self._settings.spare_pages, found.all // 10)
        if found.free < keep + vacuum.PIECE_PAGES:
            return 0
        return await self._db.write(lambda tx: vacuum.give_back(tx, keep), octets=vacuum.PIECE_OCTETS)

    async def _prune_sent(self) -> int:
        keep, rows = self._settings.expunge_records, self._settings.piece_rows
        found = await self._db.read(lambda rx: event_log.long_record(rx, keep))
        if found is None:
            return 0
        inbox_id, kind = found
        return await self._db.write(
            lambda tx: event_log.prune(tx, inbox_id, kind, keep, rows), inboxes=(inbox_id,)
        )

    async def _prune(self) -> int:
        keep, rows = self._settings.expunge_records, self._settings.piece_rows
        found = await self._db.read(lambda rx: cleanup.long_records(rx, keep, 1))
        if not found:
            return 0
        inbox_id, mailbox_id = found[0]
        return await self._db.write(
            lambda tx: cleanup.prune_record(tx, inbox_id, mailbox_id, keep, rows), inboxes=(inbox_id,)
        )
