"""What people do to the delivery queue: retry, hold, release, cancel; and a submission with all that happened to it.

What is done to a recipient stands in its history, with who did it. What waits for consent (`approval`) goes by
`release` only, and what has a release time is not hurried by `retry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from gateway.model.errors import NotFound
from gateway.model.ids import SubmissionId

from . import drafts
from .db import Rx, Tx, WakeKind
from .queue import QueueState, cancel_rows, lock_of, note, recipients_of
from .statements import Stmt
from .submissions import SubmissionFacts
from .texts import storable

_COLUMNS: Final = (
    "s.inbox_id, s.key_id, s.mail_from, s.content_id, s.envelope_id, s.smtputf8, s.body8bit, s.bodybinary, s.ret,"
    " s.message_id, s.size, s.release_at, s.draft, s.id, s.uuid, s.created_at, s.finished_at"
)
_BY_UUID = Stmt(f"SELECT {_COLUMNS} FROM submission s WHERE s.uuid = :uuid")
_BY_ID = Stmt(f"SELECT {_COLUMNS} FROM submission s WHERE s.id = :submission")
_RECIPIENTS = Stmt(
    "SELECT id, submission_id, address, domain, state, attempts, next_attempt, lease_until, code,"
    " enhanced, text, hold_reason, notify, orcpt, delay_told FROM queue_recipient"
    " WHERE submission_id = :submission ORDER BY id"
)
_ATTEMPTS = Stmt(
    "SELECT a.recipient_id, a.at, a.state, a.code, a.enhanced, a.text, a.remote FROM queue_attempt a"
    " JOIN queue_recipient r ON r.id = a.recipient_id WHERE r.submission_id = :submission ORDER BY a.id"
)
_ITS_TIME: Final = (
    "(SELECT CASE WHEN s.release_at > :now THEN s.release_at ELSE :now END FROM submission s WHERE s.id ="
    " submission_id)"
)
_RETRY = Stmt(
    "UPDATE queue_recipient SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END,"
    f" next_attempt = {_ITS_TIME}, hold_reason = NULL, updated_at = :now"
    " WHERE id IN :LIST(rows) AND (state = 'deferred'"
    " OR (state = 'queued' AND next_attempt <= :now) OR (state = 'held'"
    " AND COALESCE(hold_reason, '') NOT IN ('approval', 'scheduled')"
    " AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.id = submission_id AND s.draft IS NOT NULL)))"
    " RETURNING id"
)
_HOLD = Stmt(
    "UPDATE queue_recipient SET state = 'held', next_attempt = NULL, hold_reason = :reason, updated_at = :now"
    " WHERE id IN :LIST(rows) AND state IN ('queued', 'deferred') RETURNING id"
)
_RELEASE = Stmt(
    "UPDATE queue_recipient SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END,"
    f" next_attempt = CASE WHEN state = 'held' THEN {_ITS_TIME} ELSE :now END,"
    " hold_reason = NULL, updated_at = :now"
    " WHERE id IN :LIST(rows) AND (state = 'held' OR (state = 'queued' AND next_attempt > :now)) RETURNING id"
)
_LIFE_BEGINS = Stmt(
    "UPDATE submission SET release_at = :now WHERE id IN :LIST(rows) AND finished_at IS NULL"
    " AND COALESCE(release_at, 0) < :now"
)
_HOLD_ALL = Stmt(
    "UPDATE queue_recipient SET state = 'held', hold_reason = 'restore', next_attempt = NULL, lease_owner = NULL,"
    " lease_until = NULL, updated_at = :now WHERE state IN ('queued', 'sending', 'deferred')"
    " OR (state = 'held' AND hold_reason = 'scheduled')"
)
_HELD = Stmt(
    "SELECT s.uuid, s.mail_from, r.address FROM queue_recipient r JOIN submission s ON s.id = r.submission_id"
    " WHERE r.state = 'held' ORDER BY r.id"
)
_COUNTS = Stmt(
    "SELECT state, count(*) FROM queue_recipient WHERE state IN ('queued', 'sending', 'deferred', 'held')"
    " GROUP BY state"
)
_DUE_COUNT = Stmt("SELECT count(*) FROM queue_recipient WHERE state IN ('queued', 'deferred') AND next_attempt <= :now")
_OLDEST = Stmt("SELECT min(created_at) FROM submission WHERE finished_at IS NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission(SubmissionFacts):
    """`finished_at` None while a recipient is open. Times: Unix seconds."""

    id: SubmissionId
    uuid: str
    created_at: int
    finished_at: int | None


_FIELDS: Final = tuple(each.name for each in fields(Submission))
"""In the order of _COLUMNS."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """`code`, `enhanced`, `text`: the last reply (`text` as the peer sent it). `notify`, `orcpt`: RFC 3461 4.1, 4.2."""

    id: int
    submission_id: SubmissionId
    address: str
    domain: str
    state: QueueState
    attempts: int
    next_attempt: int | None
    lease_until: int | None
    code: int | None
    enhanced: str | None
    text: bytes | None
    hold_reason: str | None
    notify: int | None
    orcpt: str | None
    delay_told: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One event of a recipient's history. `state`: what the attempt made of it, or what else happened to it.

    `released`, `retried`, `interrupted`, and what reports tell (`store.reports`). `remote`: whose words `text` are.
    """

    recipient_id: int
    at: int
    state: str
    code: int | None
    enhanced: str | None
    text: bytes | None
    remote: str | None


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A submission with its recipients and all that happened to them, the oldest first."""

    submission: Submission
    recipients: tuple[Recipient, ...]
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Recipients by open state, those due now, and when the oldest open submission came."""

    states: Mapping[QueueState, int]
    due: int
    oldest: int | None


@dataclass(frozen=True, slots=True)
class HeldRecipient:
    submission_uuid: str
    mail_from: str
    address: str


def submission_by_uuid(rx: Rx, uuid: str) -> Submission | None:
    row = rx.one(_BY_UUID, uuid=uuid.lower()) if storable(uuid) else None
    return None if row is None else _submission(row)


def show(rx: Rx, submission_id: SubmissionId) -> QueueEntry:
    """One submission with its recipients and all attempts. NotFound."""
    row = rx.one(_BY_ID, submission=submission_id)
    if row is None:
        raise NotFound("No such submission")
    attempts = tuple(Attempt(*found) for found in rx.all(_ATTEMPTS, submission=submission_id))
    recipients = tuple(_recipient(found) for found in rx.all(_RECIPIENTS, submission=submission_id))
    return QueueEntry(_submission(row), recipients, attempts)


def retry(tx: Tx, recipient_ids: Sequence[int], now: int, by: str = "") -> int:
    """Make what was deferred due now, and what is held, but not before its time or in place of its draft; how many."""
    lock_of(tx, recipient_ids)
    return _let_go(tx, _RETRY, recipient_ids, now, "retried", by)


def release(tx: Tx, recipient_ids: Sequence[int], now: int, by: str = "") -> int:
    """Let go what is held, for whatever reason, and what waits for its release time; how many.

    What is held and has a release time still to come waits for that. The days after which mail is given up count
    from here. What a draft decides about goes as a whole, and the draft is filed as sent.
    """
    count, rest = 0, set(recipient_ids)
    for submission in drafts.waiting_of(tx, recipient_ids):
        rest -= set(recipients_of(tx, submission))
        count += drafts.release(tx, submission, now, by)
    submissions = lock_of(tx, sorted(rest))
    if gone := _let_go(tx, _RELEASE, sorted(rest), now, "released", by):
        count += gone
        tx.do(_LIFE_BEGINS, rows=submissions, now=now)
    return count


def hold(tx: Tx, recipient_ids: Sequence[int], now: int, by: str = "") -> int:
    """Keep what waits from being tried until it is released; how many."""
    lock_of(tx, recipient_ids)
    held = [row[0] for row in tx.all(_HOLD, rows=recipient_ids, now=now, reason="operator")]
    if held:
        note(tx, held, QueueState.HELD, now, by)
    return len(held)


def cancel(tx: Tx, recipient_ids: Sequence[int], now: int, by: str = "") -> int:
    """Give up what is not under way, without a bounce; how many."""
    waiting = drafts.waiting_of(tx, recipient_ids)
    count = cancel_rows(tx, recipient_ids, now, by)
    drafts.settle(tx, waiting)
    tx.wake(None, kind=WakeKind.QUEUE)
    return count


def hold_everything(tx: Tx, now: int) -> list[HeldRecipient]:
    """After a restore: what the backup calls open may have been delivered since. All held recipients, for the list."""
    tx.run(_HOLD_ALL, now=now)
    return held(tx)


def held(rx: Rx) -> list[HeldRecipient]:
    """All held recipients in order of acceptance."""
    return [HeldRecipient(*row) for row in rx.all(_HELD)]


def stats(rx: Rx, now: int) -> QueueStats:
    """Counts for metrics: of what is open, so that a day's history costs nothing."""
    states = {QueueState(state): count for state, count in rx.all(_COUNTS)}
    return QueueStats(states, rx.scalar(_DUE_COUNT, now=now), rx.scalar(_OLDEST))


def _let_go(tx: Tx, statement: Stmt, recipient_ids: Sequence[int], now: int, event: str, by: str) -> int:
    changed = [row[0] for row in tx.all(statement, rows=recipient_ids, now=now)]
    if changed:
        note(tx, changed, event, now, by)
        tx.wake(None, kind=WakeKind.QUEUE)
    return len(changed)


def _submission(row: tuple[Any, ...]) -> Submission:
    values = [*row[:5], *map(bool, row[5:8]), *row[8:]]
    return Submission(**dict(zip(_FIELDS, values, strict=True)))


def _recipient(row: tuple[Any, ...]) -> Recipient:
    values = [*row[:4], QueueState(row[4]), *row[5:]]
    return Recipient(*values)
