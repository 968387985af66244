"""The delivery queue: accepted submissions, a row a recipient, claimed under a lease and worked off by destination.

A recipient ends `sent`, `bounced` or `cancelled`; until then it is open, and its submission keeps the content alive.
A lease that lapsed means an attempt whose outcome nobody knows: such rows come back with `interrupted` set, and the
runner's policy decides (invariant 6). Claims are in `queue_claim`, outcomes in `queue_outcome`, what people see in
`queue_list` and what they do in `queue_admin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.model.ids import ContentId, InboxId, SubmissionId

from .db import Rx, Tx
from .statements import Stmt


class QueueState(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    HELD = "held"
    SENT = "sent"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"


OPEN: Final = (QueueState.QUEUED, QueueState.SENDING, QueueState.DEFERRED, QueueState.HELD)
"""States of recipients that are not done."""
_DONE_OF: Final = (
    "s.id IN :LIST(rows) AND s.finished_at IS NULL AND NOT EXISTS (SELECT 1 FROM queue_recipient r"
    " WHERE r.submission_id = s.id AND r.state IN ('queued', 'sending', 'deferred', 'held'))"
)
_FINISH_DONE = Stmt(
    f"UPDATE submission SET finished_at = :now WHERE id IN (SELECT s.id FROM submission s WHERE {_DONE_OF})"
)
_RELEASE_CONTENTS = Stmt(
    f"INSERT INTO garbage (content_id, at) SELECT s.content_id, CAST(:now AS bigint) FROM submission s WHERE {_DONE_OF}"
    " ON CONFLICT DO NOTHING"
)
_LOCK_SUBMISSIONS = Stmt(postgresql="SELECT id FROM submission WHERE id IN :LIST(rows) ORDER BY id FOR UPDATE")
_OPEN_OF_INBOX = Stmt("SELECT id FROM submission WHERE inbox_id = :inbox AND finished_at IS NULL ORDER BY id")
_RECIPIENTS_OF = Stmt("SELECT id FROM queue_recipient WHERE submission_id = :submission")
_CANCEL = Stmt(
    "UPDATE queue_recipient SET state = 'cancelled', next_attempt = NULL, hold_reason = NULL, updated_at = :now"
    " WHERE id IN :LIST(rows) AND state IN ('queued', 'deferred', 'held') RETURNING id"
)
REPLY = Stmt(
    "INSERT INTO queue_attempt (recipient_id, at, state, code, enhanced, text, remote)"
    " VALUES (:recipient, :now, :state, :code, :enhanced, :text, :remote)"
)
"""What a server said of a recipient, or reports of it, for the history."""
_NOTE = Stmt(
    "INSERT INTO queue_attempt (recipient_id, at, state, text) SELECT id, CAST(:now AS bigint), CAST(:event AS text),"
    " :text FROM queue_recipient WHERE id IN :LIST(rows) ORDER BY id"
)
_HOLD_PUT_OFF = Stmt(
    "UPDATE queue_recipient SET state = 'held', next_attempt = NULL, hold_reason = 'key', updated_at = :now WHERE id IN"
    " (SELECT r.id FROM queue_recipient r JOIN submission s ON s.id = r.submission_id WHERE r.state = 'queued'"
    " AND r.next_attempt > :now AND s.release_at > :now AND s.key_id IN :LIST(keys)) RETURNING id"
)
_DELETED: Final = "the inbox was deleted"
_SUBMISSIONS_OF = Stmt(
    "SELECT DISTINCT submission_id FROM queue_recipient WHERE id IN :LIST(rows) ORDER BY submission_id"
)
_OF_DELETED = Stmt(
    "SELECT s.id FROM submission s JOIN inbox i ON i.id = s.inbox_id WHERE s.id IN :LIST(rows)"
    " AND i.deleted_at IS NOT NULL ORDER BY s.id"
)
_OLD = Stmt("SELECT id FROM submission WHERE finished_at <= :before ORDER BY finished_at LIMIT :most")
_PURGE: Final = (
    Stmt(
        "DELETE FROM queue_attempt WHERE recipient_id IN"
        " (SELECT id FROM queue_recipient WHERE submission_id IN :LIST(rows))"
    ),
    Stmt("DELETE FROM queue_recipient WHERE submission_id IN :LIST(rows)"),
    Stmt("DELETE FROM submission WHERE id IN :LIST(rows)"),
)


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One claimed recipient with what an attempt needs. Items of one submission stand together.

    `attempts` made before; `interrupted`: an earlier attempt ended without an outcome (its lease lapsed). What was
    asked for by DSN parameters is as in `submissions`; `delay_told`: when the sender was told of a delay.
    `account_gone`, `gone_fallback`: see `queue_account`.
    """

    recipient_id: int
    submission_id: SubmissionId
    submission_uuid: str
    inbox_id: InboxId
    key_id: int | None
    mail_from: str
    content_id: ContentId
    envelope_id: str | None
    smtputf8: bool
    body8bit: bool
    bodybinary: bool
    ret: str | None
    release_at: int | None
    address: str
    domain: str
    notify: int | None
    orcpt: str | None
    delay_told: int | None
    attempts: int
    created_at: int
    interrupted: bool
    account_gone: str | None = None
    gone_fallback: bool = False


def domain_of(address: str) -> str:
    """The destination an address is queued under: its domain in lower case."""
    return address.rpartition("@")[2].lower()


def lock_submissions(tx: Tx, submission_ids: Sequence[SubmissionId]) -> None:
    """Hold the rows till commit. The ids are sorted: whoever locks several locks them in this order."""
    if tx.dialect != "sqlite":  # which has one writer
        tx.all(_LOCK_SUBMISSIONS, rows=submission_ids)


def finish_done(tx: Tx, submission_ids: Sequence[SubmissionId], now: int) -> None:
    """Under the submissions' locks: finish those that have no open recipient, and release their contents."""
    tx.do(_RELEASE_CONTENTS, rows=submission_ids, now=now)
    tx.do(_FINISH_DONE, rows=submission_ids, now=now)


def lock_of(tx: Tx, recipient_ids: Sequence[int]) -> list[SubmissionId]:
    """Lock the submissions of recipients; which, in their order."""
    submissions = [SubmissionId(row[0]) for row in tx.all(_SUBMISSIONS_OF, rows=recipient_ids)]
    lock_submissions(tx, submissions)
    return submissions


def note(tx: Tx, recipient_ids: Sequence[int], event: str, now: int, text: str = "") -> None:
    """Enter an event that is no attempt into the history of recipients; `text` says who or why."""
    tx.do(_NOTE, rows=recipient_ids, event=event, now=now, text=text.encode("utf-8", "replace") or None)


def hold_put_off(tx: Tx, key_ids: Sequence[int], now: int) -> int:
    """Mail of revoked keys whose release time (RFC 4865) has not come waits for somebody; how many recipients.

    Whoever had the key may have put off what its owner does not want sent; what was due is on its way.
    """
    held = [row[0] for row in tx.all(_HOLD_PUT_OFF, keys=key_ids, now=now)]
    if held:
        note(tx, held, QueueState.HELD, now, "key")
    return len(held)


def recipients_of(rx: Rx, submission_id: SubmissionId) -> list[int]:
    return [row[0] for row in rx.all(_RECIPIENTS_OF, submission=submission_id)]


def cancel_rows(tx: Tx, recipient_ids: Sequence[int], now: int, by: str = "") -> int:
    """Give up what is not under way; how many. One that is being sent ends by its attempt's outcome."""
    submissions = lock_of(tx, recipient_ids)
    cancelled = [row[0] for row in tx.all(_CANCEL, rows=recipient_ids, now=now)]
    if cancelled:
        note(tx, cancelled, QueueState.CANCELLED, now, by)
        finish_done(tx, submissions, now)
    return len(cancelled)


def cancel_inbox(tx: Tx, inbox_id: InboxId, now: int) -> int:
    """Cancel all open submissions of an inbox that is being deleted; how many recipients."""
    submissions = [SubmissionId(row[0]) for row in tx.all(_OPEN_OF_INBOX, inbox=inbox_id)]
    return sum(cancel_rows(tx, recipients_of(tx, each), now, _DELETED) for each in submissions)


def cancel_deleted(tx: Tx, submission_ids: Sequence[SubmissionId], now: int) -> None:
    """Under the submissions' locks: what was under way while its inbox was deleted, and would wait again."""
    for (submission,) in tx.all(_OF_DELETED, rows=list(submission_ids)):
        cancel_rows(tx, recipients_of(tx, SubmissionId(submission)), now, _DELETED)


def purge_finished(tx: Tx, before: int, limit: int) -> int:
    """Forget submissions finished at or before `before`; how many (at most `limit`)."""
    rows = [row[0] for row in tx.all(_OLD, before=before, most=limit)]
    if rows:
        lock_submissions(tx, sorted(rows))  # a report about one of them may just come in
        for statement in _PURGE:
            tx.run(statement, rows=rows)
    return len(rows)
