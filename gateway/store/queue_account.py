"""Mail in the queue that an account elsewhere is to send: what becomes of it when the account comes back or goes.

Which mail that is decides the sender's address, as it does when mail goes; a rule of the routes may still say
otherwise, so nothing here ends a recipient: it is only due, with what its runner has to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model.ids import InboxId, SubmissionId

from .addresses import spellings
from .db import Rx, Tx, WakeKind
from .queue import lock_submissions, note
from .statements import Stmt

ACCOUNT_GONE: Final = "account gone"
"""In the history of a recipient."""
_BATCH: Final = 500

_OPEN = Stmt("SELECT id, mail_from FROM submission WHERE inbox_id = :inbox AND finished_at IS NULL")
_DUE = Stmt(
    "UPDATE queue_recipient SET next_attempt = :now, updated_at = :now WHERE submission_id IN :LIST(rows)"
    " AND state = 'deferred' AND next_attempt > :now"
)
_MARK = Stmt(
    "UPDATE submission SET account_gone = :name, gone_fallback = :fallback WHERE id IN :LIST(rows)"
    " AND finished_at IS NULL"
)
_WAITING = Stmt(
    "SELECT id FROM queue_recipient WHERE submission_id IN :LIST(rows)"
    " AND state IN ('queued', 'sending', 'deferred', 'held') ORDER BY id"
)
_SAY = Stmt(
    "UPDATE queue_recipient SET code = NULL, enhanced = '4.4.4', text = :text WHERE submission_id IN :LIST(rows)"
    " AND state IN ('queued', 'deferred')"
)
_SUBMITTED = Stmt(
    "SELECT s.finished_at, EXISTS (SELECT 1 FROM queue_recipient r WHERE r.submission_id = s.id AND r.state = 'sent'"
    " AND r.attempts > 0) FROM submission s WHERE s.inbox_id = :inbox AND s.message_id = :message_id"
)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What the queue says of a message. `waits`: some recipient may still go; `sent_at`: when the last one ended of
    what another server took for somebody (Unix seconds), None: no server took it."""

    waits: bool
    sent_at: int | None


def submitted(rx: Rx, inbox_id: InboxId, message_id: bytes) -> Submitted | None:
    """By its Message-ID without brackets. None: the inbox did not send it through here, or that is forgotten."""
    rows = rx.all(_SUBMITTED, inbox=inbox_id, message_id=message_id)
    if not rows:
        return None
    ends = [finished for finished, sent in rows if finished is not None and sent]
    return Submitted(any(finished is None for finished, _ in rows), max(ends, default=None))


def account_back(tx: Tx, inbox_id: InboxId, address: str, now: int) -> None:
    """The account of `address` was switched on: what it did not send meanwhile is due."""
    for some in _batches(_of(tx, inbox_id, address)):
        lock_submissions(tx, some)
        tx.do(_DUE, rows=some, now=now)
    tx.wake(None, kind=WakeKind.QUEUE)


def account_gone(tx: Tx, inbox_id: InboxId, address: str, name: str, now: int, *, fallback: bool) -> int:
    """The account `name` of `address` was removed: its mail is due, and says so; how many recipients.

    What was put off, or is held, is looked at when its time has come: somebody may have connected the account again.
    """
    count = 0
    text = f"Account {name}, which was to send it, was removed".encode("utf-8", "replace")
    for some in _batches(_of(tx, inbox_id, address)):
        lock_submissions(tx, some)
        tx.run(_MARK, rows=some, name=name, fallback=int(fallback))
        tx.do(_DUE, rows=some, now=now)
        tx.do(_SAY, rows=some, text=text)
        waiting = [row[0] for row in tx.all(_WAITING, rows=some)]
        count += len(waiting)
        for start in range(0, len(waiting), _BATCH):
            note(tx, waiting[start : start + _BATCH], ACCOUNT_GONE, now, text.decode())
    tx.wake(None, kind=WakeKind.QUEUE)
    return count


def _of(tx: Tx, inbox_id: InboxId, address: str) -> list[SubmissionId]:
    """Open submissions from the address, +detail or not; in one order, for their locks."""
    return sorted(
        SubmissionId(number)
        for number, sender in tx.all(_OPEN, inbox=inbox_id)
        if address in spellings(sender)[:-1]
    )


def _batches(numbers: list[SubmissionId]) -> list[list[SubmissionId]]:
    return [numbers[start : start + _BATCH] for start in range(0, len(numbers), _BATCH)]
