"""How far each webhook was told of each inbox: the cursors that make the change log a durable queue.

Whoever delivers has a cursor under a lease, and moves it in the unit that enters the attempt: what was delivered and
not written down, for a crash came between, goes again. A lease that was taken over, or ended by somebody who sets the
cursor elsewhere, is noticed at the next move, which does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .db import Rx, Tx, WakeKind
from .statements import Stmt
from .webhooks import Tried, note, of_a_webhook

_SCOPE: Final = (
    "(w.scope = 'all' OR (w.scope = 'pod' AND i.pod_id = w.pod_id) OR (w.scope = 'inbox' AND i.id = w.inbox_id))"
)
_DUE: Final = (
    f"SELECT w.id, i.id FROM webhook w JOIN inbox i ON {_SCOPE}"
    " LEFT JOIN webhook_cursor c ON c.webhook_id = w.id AND c.inbox_id = i.id"
    " WHERE w.enabled = 1 AND i.deleted_at IS NULL AND i.modseq > COALESCE(c.modseq, 0)"
    " AND COALESCE(c.not_before, 0) <= :now AND COALESCE(c.owned_until, 0) <= :now"
)
_DUE_ALL = Stmt(f"{_DUE} ORDER BY c.not_before, w.id, i.id LIMIT :most")
_DUE_OF = Stmt(f"{_DUE} AND i.id IN :LIST(inboxes) ORDER BY w.id, i.id LIMIT :most")
_NEXT = Stmt(
    "SELECT min(c.not_before) FROM webhook_cursor c JOIN webhook w ON w.id = c.webhook_id AND w.enabled = 1"
    " WHERE c.not_before > :now"
)
_CLAIM = of_a_webhook(
    "INSERT INTO webhook_cursor (webhook_id, inbox_id, modseq, position, owner, owned_until)"
    " SELECT w.id, i.id, 0, '0-99-0-0', CAST(:owner AS text), CAST(:until AS bigint) FROM webhook w JOIN inbox i"
    " ON i.id = :inbox AND i.deleted_at IS NULL WHERE w.id = :webhook",
    " ON CONFLICT (webhook_id, inbox_id) DO UPDATE SET owner = excluded.owner, owned_until = excluded.owned_until"
    " WHERE webhook_cursor.owned_until <= :now AND webhook_cursor.not_before <= :now RETURNING position, attempts",
)
_MOVE = Stmt(
    "UPDATE webhook_cursor SET modseq = :modseq, position = :position, attempts = 0, not_before = 0,"
    " owned_until = :until WHERE webhook_id = :webhook AND inbox_id = :inbox AND owner = :owner"
)
_LATER = Stmt(
    "UPDATE webhook_cursor SET attempts = attempts + 1, not_before = :at, owner = NULL, owned_until = 0"
    " WHERE webhook_id = :webhook AND inbox_id = :inbox AND owner = :owner"
)
_RELEASE = Stmt(
    "UPDATE webhook_cursor SET owner = NULL, owned_until = 0 WHERE webhook_id = :webhook AND inbox_id = :inbox"
    " AND owner = :owner"
)
_RELEASE_ALL: Final = tuple(
    Stmt(f"UPDATE {table} SET owner = NULL, owned_until = 0 WHERE owner IS NOT NULL")
    for table in ("webhook_cursor", "webhook_once")
)
_SET = of_a_webhook(
    "INSERT INTO webhook_cursor (webhook_id, inbox_id, modseq, position) SELECT w.id, CAST(:inbox AS bigint),"
    " CAST(:modseq AS bigint), CAST(:position AS text) FROM webhook w WHERE w.id = :webhook",
    " ON CONFLICT (webhook_id, inbox_id) DO UPDATE SET modseq = excluded.modseq, position = excluded.position,"
    " attempts = 0, not_before = 0, owner = NULL, owned_until = 0",
)
_WELL = Stmt("UPDATE webhook SET failing_since = NULL, reason = NULL WHERE id = :webhook AND failing_since IS NOT NULL")
_ILL = Stmt(
    "UPDATE webhook SET failing_since = COALESCE(failing_since, :now), reason = :reason WHERE id = :webhook"
    " RETURNING failing_since"
)
_OFF = Stmt("UPDATE webhook SET enabled = 0, reason = :reason, updated_at = :now WHERE id = :webhook")
_ONCE_DUE = Stmt(
    "SELECT o.id, o.webhook_id, o.inbox_id, o.event_id, o.type, o.payload, o.attempts FROM webhook_once o"
    " JOIN webhook w ON w.id = o.webhook_id AND w.enabled = 1 WHERE o.not_before <= :now AND o.owned_until <= :now"
    " ORDER BY o.id LIMIT :most"
)
_ONCE_NEXT = Stmt(
    "SELECT min(o.not_before) FROM webhook_once o JOIN webhook w ON w.id = o.webhook_id AND w.enabled = 1"
    " WHERE o.not_before > :now"
)
_ONCE_CLAIM = Stmt(
    "UPDATE webhook_once SET owner = :owner, owned_until = :until WHERE id = :once AND owned_until <= :now"
)
_ONCE_DONE = Stmt("DELETE FROM webhook_once WHERE id = :once AND owner = :owner")
_ONCE_LATER = Stmt(
    "UPDATE webhook_once SET attempts = attempts + 1, not_before = :at, owner = NULL, owned_until = 0"
    " WHERE id = :once AND owner = :owner"
)
_STANDING = Stmt(
    "SELECT c.inbox_id, c.position, c.attempts, c.not_before FROM webhook_cursor c WHERE c.webhook_id = :webhook"
    " AND c.attempts > 0 ORDER BY c.inbox_id LIMIT :most"
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """`position`: as `access.events_place` writes it, without the epoch. `attempts`: of what is next, made before."""

    webhook_id: int
    inbox_id: int
    position: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Once:
    """An event that is to go by itself."""

    id: int
    webhook_id: int
    inbox_id: int
    event_id: str
    type: str
    payload: str
    attempts: int


def release_all(tx: Tx) -> None:
    """At the start of the only process of a store: leases of before are nobody's."""
    for statement in _RELEASE_ALL:
        tx.run(statement)


def due(rx: Rx, now: int, most: int, inboxes: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """(webhook, inbox) where there may be something to tell; of these inboxes only, if any are named."""
    if inboxes is None:
        return [(row[0], row[1]) for row in rx.all(_DUE_ALL, now=now, most=most)]
    return [(row[0], row[1]) for row in rx.all(_DUE_OF, now=now, most=most, inboxes=list(inboxes))]


def next_time(rx: Rx, now: int) -> int | None:
    """When something that was put off is due."""
    times = [rx.scalar(_NEXT, now=now), rx.scalar(_ONCE_NEXT, now=now)]
    return min((at for at in times if at is not None), default=None)


def claim(tx: Tx, webhook_id: int, inbox_id: int, owner: str, now: int, until: int) -> Claimed | None:
    """None: somebody else has it, it is to wait, or one of the two is gone meanwhile."""
    row = tx.one(_CLAIM, webhook=webhook_id, inbox=inbox_id, owner=owner, now=now, until=until)
    return None if row is None else Claimed(webhook_id, inbox_id, row[0], row[1])


def move(
    tx: Tx, held: Claimed, owner: str, modseq: int, position: str, until: int, tried: Tried | None = None
) -> bool:
    """All up to there was told, with `tried` as its last attempt. False: the lease is lost, and nothing was done."""
    if not tx.run(
        _MOVE, webhook=held.webhook_id, inbox=held.inbox_id, owner=owner, modseq=modseq, position=position, until=until
    ):
        return False
    if tried is not None:
        note(tx, tried)
        tx.run(_WELL, webhook=held.webhook_id)
    return True


def put_off(tx: Tx, held: Claimed, owner: str, at: int, tried: Tried) -> int | None:
    """The attempt failed: again at `at`. Since when the webhook fails; None: the lease is lost."""
    if not tx.run(_LATER, webhook=held.webhook_id, inbox=held.inbox_id, owner=owner, at=at):
        return None
    return _failed(tx, tried)


def release(tx: Tx, held: Claimed, owner: str) -> None:
    tx.run(_RELEASE, webhook=held.webhook_id, inbox=held.inbox_id, owner=owner)


def set_cursor(tx: Tx, webhook_id: int, inbox_id: int, modseq: int, position: str) -> None:
    """Tell of what is behind there, whatever was told already. Whoever delivers just now stops."""
    tx.run(_SET, webhook=webhook_id, inbox=inbox_id, modseq=modseq, position=position)
    tx.wake(None, kind=WakeKind.WEBHOOK)


def switch_off(tx: Tx, webhook_id: int, reason: str, now: int) -> None:
    tx.run(_OFF, webhook=webhook_id, reason=reason, now=now)
    tx.wake(None, kind=WakeKind.WEBHOOK)


def once_due(rx: Rx, now: int, most: int) -> list[Once]:
    return [Once(*row) for row in rx.all(_ONCE_DUE, now=now, most=most)]


def once_claim(tx: Tx, once: Once, owner: str, now: int, until: int) -> bool:
    return bool(tx.run(_ONCE_CLAIM, once=once.id, owner=owner, now=now, until=until))


def once_done(tx: Tx, once: Once, owner: str, tried: Tried) -> None:
    if tx.run(_ONCE_DONE, once=once.id, owner=owner):
        note(tx, tried)
        if tried.ok:
            tx.run(_WELL, webhook=once.webhook_id)


def once_later(tx: Tx, once: Once, owner: str, at: int, tried: Tried) -> int | None:
    """As `put_off`."""
    if not tx.run(_ONCE_LATER, once=once.id, owner=owner, at=at):
        return None
    return _failed(tx, tried)


def standing(rx: Rx, webhook_id: int, most: int) -> list[tuple[int, str, int, int]]:
    """(inbox, position, attempts, not before) where the next event has failed."""
    return [(row[0], row[1], row[2], row[3]) for row in rx.all(_STANDING, webhook=webhook_id, most=most)]


def _failed(tx: Tx, tried: Tried) -> int:
    note(tx, tried)
    since: int = tx.scalar(_ILL, webhook=tried.webhook_id, now=tried.at, reason=tried.failure) or tried.at
    return since
