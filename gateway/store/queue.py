"""The delivery queue: accepted submissions, a row a recipient, claimed under a lease and worked off by destination.

A recipient ends `sent`, `bounced` or `cancelled`; until then it is open, and its submission keeps the content alive.
A lease that lapsed means an attempt whose outcome nobody knows: such rows come back with `interrupted` set, and the
runner's policy decides (invariant 6). What people do to the queue is in `queue_admin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import ContentId, InboxId, SubmissionId

from .db import Rx, Tx
from .statements import Stmt

SCAN: Final = 2_000  # due rows looked at by one claim: more of one destination are behind `skip` by then


class QueueState(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    HELD = "held"
    SENT = "sent"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"


OPEN: Final = (QueueState.QUEUED, QueueState.SENDING, QueueState.DEFERRED, QueueState.HELD)
_OPEN_SQL: Final = "state IN ('queued', 'sending', 'deferred', 'held')"
_DUE: Final = (
    "((r.state IN ('queued', 'deferred') AND r.next_attempt <= :now) OR (r.state = 'sending' AND r.lease_until <="
    " :now))"
)

# PostgreSQL finds candidates without a lock and takes those nobody else has: there the second look at _DUE counts.
_CANDIDATES: Final = (
    "SELECT id FROM (SELECT id, next_attempt, row_number() OVER (PARTITION BY domain ORDER BY next_attempt, id) AS"
    " place"
    f" FROM (SELECT r.id, r.domain, r.next_attempt FROM queue_recipient r WHERE {_DUE}"
    " AND NOT (r.domain IN :TEXTS(skip)) ORDER BY r.next_attempt, r.id LIMIT :scan) AS due) AS ranked"
    " WHERE place <= :each ORDER BY next_attempt, id LIMIT :most"
)
_CLAIMABLE: Final = (
    "SELECT r.id, r.submission_id, s.uuid, r.inbox_id, s.key_id, s.mail_from, s.content_id, s.envelope_id, s.smtputf8,"
    " s.body8bit, s.bodybinary, s.ret, s.release_at, r.address, r.domain, r.notify, r.orcpt, r.delay_told, r.attempts,"
    " s.created_at, r.state"
    f" FROM queue_recipient r JOIN submission s ON s.id = r.submission_id WHERE r.id IN ({_CANDIDATES})"
)
_IN_ORDER: Final = "ORDER BY r.submission_id, r.id"
_CLAIM = Stmt(
    sqlite=f"{_CLAIMABLE} {_IN_ORDER}", postgresql=f"{_CLAIMABLE} AND {_DUE} {_IN_ORDER} FOR UPDATE OF r SKIP LOCKED"
)
_LEASE = Stmt(
    "UPDATE queue_recipient SET state = 'sending', lease_owner = :owner, lease_until = :until, updated_at = :now"
    " WHERE id IN :LIST(rows)"
)
_RENEW = Stmt(
    "UPDATE queue_recipient SET lease_until = :until WHERE state = 'sending' AND lease_owner = :owner AND id IN"
    " :LIST(rows)"
)
_UNCLAIM = Stmt(
    "UPDATE queue_recipient SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END, lease_owner = NULL,"
    " lease_until = NULL, updated_at = :now WHERE state = 'sending' AND lease_owner = :owner AND id IN :LIST(rows)"
)
_LAPSE = Stmt("UPDATE queue_recipient SET lease_until = 0 WHERE state = 'sending'")
_LAPSE_OWNER = Stmt("UPDATE queue_recipient SET lease_until = 0 WHERE state = 'sending' AND lease_owner = :owner")
_NEXT_DUE = Stmt(
    "SELECT min(at) FROM (SELECT min(next_attempt) AS at FROM queue_recipient WHERE state = 'queued'"
    " UNION ALL SELECT min(next_attempt) FROM queue_recipient WHERE state = 'deferred'"
    " UNION ALL SELECT min(lease_until) FROM queue_recipient WHERE state = 'sending') AS moments"
)
_SUBMISSION_OF = Stmt("SELECT submission_id FROM queue_recipient WHERE id = :recipient")
_LOCK_SUBMISSION = Stmt(
    "SELECT inbox_id FROM submission WHERE id = :submission",
    postgresql="SELECT inbox_id FROM submission WHERE id = :submission FOR UPDATE",
)
_STATE = Stmt("SELECT state, lease_owner FROM queue_recipient WHERE id = :recipient")
_OUTCOME = Stmt(
    "UPDATE queue_recipient SET state = :state, attempts = attempts + :tried, next_attempt = :next, lease_owner = NULL,"
    " lease_until = NULL, code = :code, enhanced = :enhanced, text = :text, updated_at = :now WHERE id = :recipient"
)
_ATTEMPT = Stmt(
    "INSERT INTO queue_attempt (recipient_id, at, state, code, enhanced, text, remote)"
    " VALUES (:recipient, :now, :state, :code, :enhanced, :text, :remote)"
)
_HELD_BEFORE = Stmt(
    "SELECT DISTINCT recipient_id FROM queue_attempt WHERE state = 'held' AND recipient_id IN :LIST(rows)"
)
_STILL_OPEN = Stmt(f"SELECT 1 FROM queue_recipient WHERE submission_id = :submission AND {_OPEN_SQL} LIMIT 1")
_FINISH = Stmt("UPDATE submission SET finished_at = :now WHERE id = :submission AND finished_at IS NULL")
_RELEASE_CONTENT = Stmt(
    "INSERT INTO garbage (content_id, at) SELECT content_id, CAST(:now AS bigint) FROM submission WHERE id ="
    " :submission"
    " ON CONFLICT DO NOTHING"
)
_OPEN_OF_INBOX = Stmt("SELECT id FROM submission WHERE inbox_id = :inbox AND finished_at IS NULL ORDER BY id")
_CANCEL = Stmt(
    "UPDATE queue_recipient SET state = 'cancelled', next_attempt = NULL, updated_at = :now"
    " WHERE submission_id = :submission AND state IN ('queued', 'deferred', 'held')"
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """`applied` False: the lease was lost meanwhile and nothing was written. `finished`: no recipient is open now."""

    applied: bool
    finished: bool


def domain_of(address: str) -> str:
    """The destination an address is queued under: its domain in lower case."""
    return address.rpartition("@")[2].lower()


def claim_due(
    tx: Tx,
    now: int,
    limit: int,
    lease_s: int,
    owner: str,
    *,
    skip: Sequence[str] = (),
    per_domain: int | None = None,
) -> list[QueueItem]:
    """Take up to `limit` due recipients, the longest due first, for `lease_s` seconds; nobody else gets them till then.

    `skip`: destinations that have as many attempts running as they may; `per_domain`: how many of one destination
    this claim takes at most. With both, a destination that hangs never keeps mail for another one waiting.
    """
    rows = tx.all(_CLAIM, now=now, skip=list(skip), scan=max(SCAN, limit), each=per_domain or limit, most=limit)
    if not rows:
        return []
    tx.run(_LEASE, rows=[row[0] for row in rows], owner=owner, until=now + lease_s, now=now)
    return [_item(row) for row in rows]


def renew_lease(tx: Tx, recipient_ids: Sequence[int], owner: str, until: int) -> int:
    """Keep recipients of a long attempt (a large message to a slow peer); how many are still the owner's."""
    return tx.run(_RENEW, rows=list(recipient_ids), owner=owner, until=until)


def unclaim(tx: Tx, recipient_ids: Sequence[int], owner: str, now: int) -> int:
    """Give back what was claimed and not begun (stopping): due again at once, without counting as an attempt."""
    return tx.run(_UNCLAIM, rows=list(recipient_ids), owner=owner, now=now)


def lapse_leases(tx: Tx, owner: str | None = None) -> int:
    """End leases before their time: all of a store that had one process, which is gone, or one owner's."""
    return tx.run(_LAPSE) if owner is None else tx.run(_LAPSE_OWNER, owner=owner)


def held_before(rx: Rx, recipient_ids: Sequence[int]) -> frozenset[int]:
    """Those whose attempt once ended `held`: when they are due again, somebody has let them go."""
    return frozenset(row[0] for row in rx.all(_HELD_BEFORE, rows=list(recipient_ids)))


def next_due(rx: Rx) -> int | None:
    """Unix seconds at which something is due (may be past), None when nothing ever will be by itself."""
    found: int | None = rx.scalar(_NEXT_DUE)
    return found


def outcome(
    tx: Tx,
    recipient_id: int,
    state: str,
    code: int | None,
    enhanced: str | None,
    text: bytes | None,
    next_attempt: int | None,
    now: int,
    *,
    owner: str | None = None,
    remote: str | None = None,
) -> Outcome:
    """Write down how an attempt ended: `sent`, `deferred` (with `next_attempt`), `bounced`, `held` or `cancelled`.

    With `owner`, only while that owner holds the lease. When the last open recipient ends, the submission is finished
    and its content released. `text` is the peer's reply, `remote` who gave it. NotFound for an unknown recipient.
    """
    state = QueueState(state)
    if state in {QueueState.QUEUED, QueueState.SENDING} or (state is QueueState.DEFERRED) != (next_attempt is not None):
        raise InvalidRequest("An outcome is sent, deferred until a time, bounced, held or cancelled")
    submission = tx.scalar(_SUBMISSION_OF, recipient=recipient_id)
    if submission is None:
        raise NotFound("No such recipient in the queue")
    lock_submission(tx, SubmissionId(submission))  # two last recipients that end at once must see each other
    row = tx.one(_STATE, recipient=recipient_id)
    held_by = None if row is None else row[1]
    if row is None or row[0] not in OPEN or (owner is not None and held_by != owner):
        return Outcome(False, False)
    tried = state in {QueueState.SENT, QueueState.DEFERRED, QueueState.BOUNCED}
    reply = {"state": state.value, "code": code, "enhanced": enhanced, "text": text}
    tx.run(_OUTCOME, recipient=recipient_id, tried=int(tried), next=next_attempt, now=now, **reply)
    tx.run(_ATTEMPT, recipient=recipient_id, now=now, remote=remote, **reply)
    return Outcome(True, finish_if_done(tx, SubmissionId(submission), now))


def _item(row: tuple[Any, ...]) -> QueueItem:
    values = [*row[:8], *map(bool, row[8:11]), *row[11:20], row[20] == QueueState.SENDING]
    return QueueItem(*values)


def lock_submission(tx: Tx, submission_id: SubmissionId) -> InboxId:
    """Hold a submission's row till commit; the inbox it came from. NotFound when there is none."""
    inbox_id = tx.scalar(_LOCK_SUBMISSION, submission=submission_id)
    if inbox_id is None:
        raise NotFound("No such submission")
    return InboxId(inbox_id)


def finish_if_done(tx: Tx, submission_id: SubmissionId, now: int) -> bool:
    """Under the submission's lock: finish it and release its content if no recipient is open."""
    if tx.one(_STILL_OPEN, submission=submission_id) is not None:
        return False
    if tx.run(_FINISH, submission=submission_id, now=now):
        tx.run(_RELEASE_CONTENT, submission=submission_id, now=now)
    return True


def cancel_open(tx: Tx, submission_id: SubmissionId, now: int) -> int:
    """Cancel what is not under way; how many recipients. One that is being sent ends by its attempt's outcome."""
    lock_submission(tx, submission_id)
    count = tx.run(_CANCEL, submission=submission_id, now=now)
    finish_if_done(tx, submission_id, now)
    return count


def cancel_inbox(tx: Tx, inbox_id: InboxId, now: int) -> int:
    """Cancel all open submissions of an inbox that is being deleted; how many recipients."""
    open_rows = tx.all(_OPEN_OF_INBOX, inbox=inbox_id)
    return sum(cancel_open(tx, SubmissionId(row[0]), now) for row in open_rows)


def purge_finished(tx: Tx, before: int, limit: int) -> int:
    """Forget submissions finished at or before `before`; how many (at most `limit`)."""
    rows = [row[0] for row in tx.all(_OLD, before=before, most=limit)]
    if rows:
        for statement in _PURGE:
            tx.run(statement, rows=rows)
    return len(rows)
