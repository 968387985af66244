"""What is due, and taking it: pages of due rows to plan with, and claims of chosen rows under a lease.

Who plans keeps numbers in memory and decides what goes next; a claim touches the rows it takes and no others, so it
costs the same however much waits. The truth stays in the rows: one that is somebody else's by now, held or done, is
not claimed, so plans may be old or wrong and several processes may share a queue (PostgreSQL: SKIP LOCKED).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.model.ids import InboxId, SubmissionId

from .db import Rx, Tx
from .queue import QueueItem, QueueState, cancel_deleted, lock_of, note
from .statements import Stmt

DueState = Literal["queued", "deferred"]
INTERRUPTED: Final = "The attempt was interrupted: whether it was delivered is not known"

_DUE_COLUMNS: Final = (
    "SELECT r.next_attempt, r.id, r.submission_id, r.inbox_id, r.address, r.domain, s.mail_from,"
    " s.account_gone, s.gone_fallback"
    " FROM queue_recipient r JOIN submission s ON s.id = r.submission_id"
)
_PAGE = Stmt(
    f"{_DUE_COLUMNS} WHERE r.state = :state AND (r.next_attempt, r.id) > (:at, :id) AND r.next_attempt <= :now"
    " ORDER BY r.next_attempt, r.id LIMIT :most"
)
# The plus keeps SQLite from walking all that is due, as in _CLAIM.
_FRESH = Stmt(
    f"{_DUE_COLUMNS} WHERE r.id > :id AND +r.state = 'queued' AND r.next_attempt <= :now ORDER BY r.id LIMIT :most",
    postgresql=f"{_DUE_COLUMNS} WHERE r.id > :id AND r.state = 'queued' AND r.next_attempt <= :now"
    " ORDER BY r.id LIMIT :most",
)
_LAST = Stmt("SELECT max(id) FROM queue_recipient")
_LAPSED = Stmt(
    f"{_DUE_COLUMNS} WHERE r.state = 'sending' AND r.lease_until <= :now AND r.id > :id ORDER BY r.id LIMIT :most"
)
_EXPIRED = Stmt(
    f"{_DUE_COLUMNS} WHERE s.finished_at IS NULL AND s.created_at <= :before AND COALESCE(s.release_at, 0) <= :before"
    " AND r.state IN ('queued', 'deferred') AND r.next_attempt <= :now LIMIT :most"
)
_CLAIMABLE: Final = (
    "SELECT r.id, r.submission_id, s.uuid, r.inbox_id, s.key_id, s.mail_from, s.content_id, s.envelope_id, s.smtputf8,"
    " s.body8bit, s.bodybinary, s.ret, s.release_at, r.address, r.domain, r.notify, r.orcpt, r.delay_told, r.attempts,"
    " s.created_at, r.state, s.account_gone, s.gone_fallback"
    " FROM queue_recipient r JOIN submission s ON s.id = r.submission_id WHERE r.id IN :LIST(rows)"
    " AND (({state} IN ('queued', 'deferred') AND r.next_attempt <= :now)"
    " OR ({state} = 'sending' AND r.lease_until <= :now))"
    " ORDER BY r.submission_id, r.id"
)
# The plus keeps SQLite from walking all that is due, by the index on states, instead of the rows that are named.
_CLAIM = Stmt(
    sqlite=_CLAIMABLE.format(state="+r.state"),
    postgresql=_CLAIMABLE.format(state="r.state") + " FOR UPDATE OF r SKIP LOCKED",
)
_LEASE = Stmt(
    "UPDATE queue_recipient SET state = 'sending', lease_owner = :owner, lease_until = :until, updated_at = :now"
    " WHERE id IN :LIST(rows)"
)
_RENEW = Stmt(
    "UPDATE queue_recipient SET lease_until = :until WHERE state = 'sending' AND lease_owner = :owner AND id IN"
    " :LIST(rows)"
)
_OURS = Stmt("SELECT id FROM queue_recipient WHERE state = 'sending' AND lease_owner = :owner AND id IN :LIST(rows)")
_UNCLAIM = Stmt(
    "UPDATE queue_recipient SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END, lease_owner = NULL,"
    " lease_until = NULL, updated_at = :now WHERE state = 'sending' AND lease_owner = :owner AND id IN :LIST(rows)"
)
_LAPSE = Stmt("UPDATE queue_recipient SET lease_until = 0 WHERE state = 'sending'")
_LAPSE_OWNER = Stmt("UPDATE queue_recipient SET lease_until = 0 WHERE state = 'sending' AND lease_owner = :owner")
_NEXT_DUE = Stmt(
    "SELECT min(at) FROM ("
    "SELECT min(next_attempt) AS at FROM queue_recipient WHERE state = 'queued' AND next_attempt > :after"
    " UNION ALL SELECT min(next_attempt) FROM queue_recipient WHERE state = 'deferred' AND next_attempt > :after"
    " UNION ALL SELECT min(lease_until) FROM queue_recipient WHERE state = 'sending' AND lease_until > :after"
    ") AS moments"
)
_HELD_BEFORE = Stmt(
    "SELECT DISTINCT recipient_id FROM queue_attempt WHERE state = 'held' AND recipient_id IN :LIST(rows)"
    " AND (text IS NULL OR text <> :clock)"
)


@dataclass(frozen=True, slots=True)
class Due:
    """One due recipient with what decides about its way (`queue_account`). `at`: Unix seconds since when."""

    at: int
    recipient_id: int
    submission_id: SubmissionId
    inbox_id: InboxId
    address: str
    domain: str
    mail_from: str
    account_gone: str | None = None
    gone_fallback: bool = False


def due_page(rx: Rx, state: DueState, now: int, limit: int, after: tuple[int, int] = (-1, 0)) -> list[Due]:
    """Recipients due by `now`, the longest due first; continue with `after` = the last one's (`at`, `recipient_id`)."""
    return [Due(*row) for row in rx.all(_PAGE, state=state, now=now, most=limit, at=after[0], id=after[1])]


def fresh(rx: Rx, now: int, limit: int, after: int) -> list[Due]:
    """Due recipients that were queued after number `after`, by number; continue with the last one's."""
    return [Due(*row) for row in rx.all(_FRESH, now=now, most=limit, id=after)]


def last_number(rx: Rx) -> int:
    """The highest number that a recipient has; 0: there is none."""
    return rx.scalar(_LAST) or 0


def lapsed(rx: Rx, now: int, limit: int, after: int = 0) -> list[Due]:
    """Recipients whose lease is over without an outcome, by number; continue with the last one's."""
    return [Due(*row) for row in rx.all(_LAPSED, now=now, most=limit, id=after)]


def expired(rx: Rx, before: int, now: int, limit: int) -> list[Due]:
    """Due recipients of submissions that were accepted, or were to be released, at or before `before`."""
    return [Due(*row) for row in rx.all(_EXPIRED, before=before, now=now, most=limit)]


def claim(tx: Tx, recipient_ids: Sequence[int], now: int, lease_s: int, owner: str) -> list[QueueItem]:
    """Take those of the rows that are still due, for `lease_s` seconds; nobody else gets them till then.

    Those whose lease had lapsed come with `interrupted`, and their history says so. Ordered by submission.
    """
    rows = tx.all(_CLAIM, rows=list(recipient_ids), now=now)
    if not rows:
        return []
    tx.do(_LEASE, rows=[row[0] for row in rows], owner=owner, until=now + lease_s, now=now)
    items = [_item(row) for row in rows]
    if interrupted := [item.recipient_id for item in items if item.interrupted]:
        note(tx, interrupted, "interrupted", now, INTERRUPTED)
    return items


def _item(row: tuple[Any, ...]) -> QueueItem:
    values = [*row[:8], *map(bool, row[8:11]), *row[11:20], row[20] == QueueState.SENDING, row[21], bool(row[22])]
    return QueueItem(*values)


def renew_lease(tx: Tx, recipient_ids: Sequence[int], owner: str, until: int) -> int:
    """Keep recipients of a long attempt (a large message to a slow peer); how many are still the owner's."""
    return tx.run(_RENEW, rows=list(recipient_ids), owner=owner, until=until)


def keep_leases(tx: Tx, recipient_ids: Sequence[int], owner: str, until: int) -> frozenset[int]:
    """As `renew_lease`, of what waits to be begun; those that are still the owner's: nobody else begins them."""
    renew_lease(tx, recipient_ids, owner, until)
    return frozenset(row[0] for row in tx.all(_OURS, rows=list(recipient_ids), owner=owner))


def unclaim(tx: Tx, recipient_ids: Sequence[int], owner: str, now: int) -> int:
    """Give back what was claimed and not begun: due as before, without counting as an attempt."""
    submissions = lock_of(tx, recipient_ids)
    count = tx.run(_UNCLAIM, rows=list(recipient_ids), owner=owner, now=now)
    if count:
        cancel_deleted(tx, submissions, now)
    return count


def lapse_leases(tx: Tx, owner: str | None = None) -> int:
    """End leases before their time: all of a store that had one process, which is gone, or one owner's."""
    return tx.run(_LAPSE) if owner is None else tx.run(_LAPSE_OWNER, owner=owner)


def next_due(rx: Rx, after: int = -1) -> int | None:
    """Unix seconds, later than `after`, at which something becomes due or a lease ends; None: nothing by itself."""
    found: int | None = rx.scalar(_NEXT_DUE, after=after)
    return found


def held_before(rx: Rx, recipient_ids: Sequence[int]) -> frozenset[int]:
    """Those that were once held: when they are due again, somebody has let them go.

    A scheduled draft is let go by its writer or the clock, who decide nothing.
    """
    return frozenset(row[0] for row in rx.all(_HELD_BEFORE, rows=list(recipient_ids), clock=b"scheduled"))
