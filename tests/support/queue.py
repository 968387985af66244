"""Claiming from the delivery queue without a runner: what is due, the longest due first."""

from __future__ import annotations

from gateway.store import queue_claim
from gateway.store.db import Tx
from gateway.store.queue import QueueItem


def claim_due(tx: Tx, now: int, limit: int, lease_s: int = 60, owner: str = "me") -> list[QueueItem]:
    """As a process that plans nothing would; in the order of their recipients' numbers."""
    due = [
        *queue_claim.due_page(tx, "queued", now, limit), *queue_claim.due_page(tx, "deferred", now, limit),
        *queue_claim.lapsed(tx, now, limit),
    ]  # fmt: skip
    due.sort(key=lambda each: (each.at, each.recipient_id))
    return queue_claim.claim(tx, [each.recipient_id for each in due[:limit]], now, lease_s, owner)
