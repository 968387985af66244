"""The delivery queue as tests look at it: all that is in it, and claims without a runner."""

from __future__ import annotations

from gateway.model.ids import SubmissionId
from gateway.store import queue_admin, queue_claim
from gateway.store.db import Rx, Tx
from gateway.store.queue import QueueItem
from gateway.store.queue_admin import QueueEntry
from gateway.store.statements import Stmt

_ALL = Stmt("SELECT id FROM submission ORDER BY id")


def entries(rx: Rx) -> list[QueueEntry]:
    """All submissions, also those that are done, in order of acceptance."""
    return [queue_admin.show(rx, SubmissionId(row[0])) for row in rx.all(_ALL)]


def claim_due(tx: Tx, now: int, limit: int, lease_s: int = 60, owner: str = "me") -> list[QueueItem]:
    """As a process that plans nothing would, the longest due first; in the order of their recipients' numbers."""
    due = [
        *queue_claim.due_page(tx, "queued", now, limit), *queue_claim.due_page(tx, "deferred", now, limit),
        *queue_claim.lapsed(tx, now, limit),
    ]  # fmt: skip
    due.sort(key=lambda each: (each.at, each.recipient_id))
    return queue_claim.claim(tx, [each.recipient_id for each in due[:limit]], now, lease_s, owner)
