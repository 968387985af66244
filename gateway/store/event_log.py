"""What the change log keeps for those who follow an inbox from outside (`access/events`), beside what IMAP needs.

A message's row says with which MODSEQ it arrived and how; a mailbox that is gone or renamed leaves what it was called;
and mail that was sent draws a MODSEQ of its inbox when it is accepted and with each thing that becomes of it, so that
one cursor covers all that happens. The records of sending name rows of the queue's history, which say the rest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from gateway.model.ids import InboxId, SubmissionId
from gateway.model.sequence import from_numbers

from . import changes, counters
from .changes import ChangeKind
from .db import Rx, Tx, WakeKind
from .statements import Stmt

TOLD_OF: Final = ("sent", "deferred", "bounced", "delivered", "delayed")
"""States of attempts, and what reports say, that are told of."""


class Came(IntEnum):
    """How a message got where it lies."""

    NEW = 0
    COPIED = 1
    MOVED = 2


_INBOXES = Stmt("SELECT DISTINCT inbox_id FROM queue_recipient WHERE id IN :LIST(rows) ORDER BY inbox_id")
_LAST = Stmt(
    "SELECT r.inbox_id, max(a.id) FROM queue_recipient r JOIN queue_attempt a ON a.recipient_id = r.id"
    " WHERE r.id IN :LIST(rows) AND a.state IN :TEXTS(states) GROUP BY r.id, r.inbox_id"
)
_KEPT = Stmt(
    "SELECT modseq FROM change WHERE inbox_id = :inbox AND mailbox_id = 0 AND kind = :kind"
    " ORDER BY modseq DESC LIMIT 1 OFFSET :keep"
)
_LONG = Stmt(
    "SELECT inbox_id, kind FROM change WHERE mailbox_id = 0 AND kind IN ('submitted', 'attempted')"
    " GROUP BY inbox_id, kind HAVING count(*) > :keep ORDER BY inbox_id, kind LIMIT 1"
)
_OLDEST = Stmt(
    "SELECT modseq FROM change WHERE inbox_id = :inbox AND mailbox_id = 0 AND kind = :kind ORDER BY modseq LIMIT :most"
)
_PRUNE = Stmt(
    "DELETE FROM change WHERE inbox_id = :inbox AND mailbox_id = 0 AND kind = :kind AND modseq <= :modseq"
)


def gone(object_id: str, name: str) -> str:
    """The `detail` of a mailbox that is deleted."""
    return json.dumps({"id": object_id, "name": name})


def renamed(old: str, new: str) -> str:
    """The `detail` of a mailbox that has another name."""
    return json.dumps({"from": old, "to": new})


def submitted(tx: Tx, inbox_id: InboxId, submission_id: SubmissionId) -> None:
    """In the unit that accepts mail, or lets a draft go."""
    modseq = counters.draw(tx, inbox_id)
    changes.record(tx, inbox_id, modseq, ChangeKind.SUBMITTED, uids=((submission_id, submission_id),))
    tx.wake(inbox_id, kind=WakeKind.SENT)


def lock_inboxes(tx: Tx, recipient_ids: Sequence[int]) -> None:
    """Before the submissions are locked, in the order of all units: `attempted` follows."""
    if tx.dialect != "sqlite":
        counters.lock(tx, *(InboxId(row[0]) for row in tx.all(_INBOXES, rows=list(recipient_ids))))


def attempted(tx: Tx, recipient_ids: Sequence[int]) -> None:
    """In the unit that has just written one of TOLD_OF into the history of each of these recipients."""
    found: dict[InboxId, list[int]] = {}
    for inbox_id, attempt in tx.all(_LAST, rows=list(recipient_ids), states=list(TOLD_OF)) if recipient_ids else ():
        found.setdefault(InboxId(inbox_id), []).append(attempt)
    for inbox_id in sorted(found):
        modseq = counters.draw(tx, inbox_id)
        changes.record(tx, inbox_id, modseq, ChangeKind.ATTEMPTED, uids=from_numbers(sorted(found[inbox_id])))
        tx.wake(inbox_id, kind=WakeKind.SENT)


def long_record(rx: Rx, keep: int) -> tuple[InboxId, str] | None:
    """An inbox with more than `keep` records of one kind about what it has sent."""
    row = rx.one(_LONG, keep=keep)
    return None if row is None else (InboxId(row[0]), row[1])


def prune(tx: Tx, inbox_id: InboxId, kind: str, keep: int, limit: int) -> int:
    """Forget the oldest of them down to `keep`, and note up to which MODSEQ; how many."""
    counters.lock(tx, inbox_id)
    newest = tx.scalar(_KEPT, inbox=inbox_id, kind=kind, keep=keep)
    if newest is None:
        return 0
    oldest = tx.all(_OLDEST, inbox=inbox_id, kind=kind, most=max(limit, 1))
    last = min(newest, oldest[-1][0])
    changes.record(tx, inbox_id, last, ChangeKind.FORGOTTEN)
    return tx.run(_PRUNE, inbox=inbox_id, kind=kind, modseq=last)
