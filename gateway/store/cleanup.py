"""What the janitor takes away, in small pieces: each function is one unit of about `limit` rows and says how many.

0 means nothing of that kind is left for now. The pieces are short because each holds the writer; nothing here has to
happen at once. Contents go in two steps: first their rows, once nothing refers to them, then their bodies by way of
`staging`, so that a body of 64 MiB is deleted like one that never arrived, a few pieces a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.model.ids import BodyId, InboxId, MailboxId

from . import counters, messages
from .content import chunk_id
from .db import Rx, Tx
from .statements import Stmt

MAX_PIECES: Final = (1 << 16) - 1

_STAGED = Stmt("SELECT body_id FROM staging WHERE started_at <= :before ORDER BY started_at, body_id LIMIT 1")
_PIECES = Stmt("SELECT id FROM content_chunk WHERE id BETWEEN :first AND :last ORDER BY id LIMIT :most")
_DELETE_PIECES = Stmt("DELETE FROM content_chunk WHERE id BETWEEN :first AND :last")
_UNSTAGE = Stmt("DELETE FROM staging WHERE body_id = :body")

_OLD_EXPUNGED: Final = (
    "SELECT mailbox_id, uid, content_id, at FROM expunged WHERE at <= :before ORDER BY at, mailbox_id, uid LIMIT :most"
)
_EXPUNGED_TO_GARBAGE = Stmt(
    f"INSERT INTO garbage (content_id, at) SELECT DISTINCT content_id, at FROM ({_OLD_EXPUNGED}) AS old"
    " WHERE content_id > 0 ON CONFLICT DO NOTHING"
)
_FORGET_EXPUNGED = Stmt(
    f"DELETE FROM expunged WHERE (mailbox_id, uid) IN (SELECT mailbox_id, uid FROM ({_OLD_EXPUNGED}) AS old)"
)

_GARBAGE: Final = "SELECT content_id FROM garbage WHERE at <= :before ORDER BY at, content_id LIMIT :most"
_TAKE_GARBAGE = Stmt(_GARBAGE, postgresql=f"{_GARBAGE} FOR UPDATE SKIP LOCKED")
_DEAD = Stmt(
    "SELECT id FROM content_meta c WHERE c.id IN :LIST(rows)"
    " AND NOT EXISTS (SELECT 1 FROM message m WHERE m.content_id = c.id)"
    " AND NOT EXISTS (SELECT 1 FROM expunged e WHERE e.content_id = c.id)"
    " AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.content_id = c.id AND s.finished_at IS NULL)"
)
_FREE_BODIES = Stmt(
    "INSERT INTO staging (body_id, started_at) SELECT DISTINCT c.body_id, 0 FROM content_meta c WHERE c.id IN"
    " :LIST(rows)"
    " AND c.size > c.header_size AND NOT EXISTS (SELECT 1 FROM content_meta o WHERE o.body_id = c.body_id"
    " AND NOT (o.id IN :LIST(rows))) ON CONFLICT DO NOTHING"
)
_FREE_TEXTS = Stmt(
    "INSERT INTO staging (body_id, started_at) SELECT t.body_id, 0 FROM content_text t WHERE t.id IN :LIST(rows)"
    " AND t.body_id IS NOT NULL ON CONFLICT DO NOTHING"
)
_DELETE_CONTENT: Final = tuple(
    Stmt(f"DELETE FROM {table} WHERE id IN :LIST(rows)")
    for table in (
        "content_fetch",
        "content_header",
        "content_fields",
        "content_text",
        "content_sort",
        "text_due",
        "content_meta",
    )
)
_FORGET_SOURCES = Stmt("DELETE FROM local_source WHERE content_id IN :LIST(rows)")
_DELETE_GARBAGE = Stmt("DELETE FROM garbage WHERE content_id IN :LIST(rows)")
_ORPHANS = Stmt(
    "INSERT INTO garbage (content_id, at) SELECT c.id, 0 FROM content_meta c"
    " WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.content_id = c.id)"
    " AND NOT EXISTS (SELECT 1 FROM expunged e WHERE e.content_id = c.id)"
    " AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.content_id = c.id AND s.finished_at IS NULL)"
    " AND NOT EXISTS (SELECT 1 FROM garbage g WHERE g.content_id = c.id)"
)
_ORPHAN_BODIES = Stmt(
    "INSERT INTO staging (body_id, started_at) SELECT DISTINCT p.id >> 16, 0 FROM content_chunk p WHERE NOT EXISTS"
    " (SELECT 1 FROM content_meta c WHERE c.body_id = p.id >> 16) AND NOT EXISTS"
    " (SELECT 1 FROM content_text t WHERE t.body_id = p.id >> 16) ON CONFLICT DO NOTHING"
)
_HALVES: Final = tuple(
    Stmt(f"DELETE FROM {table} WHERE id NOT IN (SELECT id FROM content_meta)")
    for table in ("content_fetch", "content_header", "content_fields", "content_text", "content_sort", "text_due")
)

_LONG_RECORDS = Stmt(
    "SELECT inbox_id, mailbox_id FROM change WHERE kind = 'expunged' GROUP BY inbox_id, mailbox_id"
    " HAVING count(*) > :keep ORDER BY inbox_id, mailbox_id LIMIT :most"
)
_FIRST_KEPT = Stmt(
    "SELECT modseq FROM change WHERE inbox_id = :inbox AND mailbox_id = :mailbox AND kind = 'expunged'"
    " ORDER BY modseq DESC LIMIT 1 OFFSET :keep"
)
_OLDEST = Stmt(
    "SELECT modseq FROM change WHERE inbox_id = :inbox AND mailbox_id = :mailbox AND kind = 'expunged'"
    " ORDER BY modseq LIMIT :most"
)
_PRUNE = Stmt(
    "DELETE FROM change WHERE inbox_id = :inbox AND mailbox_id = :mailbox AND kind = 'expunged' AND modseq <= :modseq"
)
_PRUNED = Stmt(
    "UPDATE mailbox SET pruned_modseq = :modseq WHERE id = :mailbox AND inbox_id = :inbox AND pruned_modseq < :modseq"
)
_SUPERSEDED = Stmt(
    "SELECT inbox_id, mailbox_id, kind, max(modseq) FROM change"
    " WHERE kind NOT IN ('expunged', 'submitted', 'attempted')"
    " GROUP BY inbox_id, mailbox_id, kind HAVING count(*) > 1 LIMIT :most"
)
_DROP_OLDER = Stmt(
    "DELETE FROM change WHERE inbox_id = :inbox AND mailbox_id = :mailbox AND kind = :kind AND modseq < :modseq"
)

_BY_ROLE = Stmt(
    "SELECT b.inbox_id, b.id FROM mailbox b JOIN inbox i ON i.id = b.inbox_id AND i.deleted_at IS NULL"
    " WHERE b.role = :role AND b.messages > 0 AND b.id > :after ORDER BY b.id LIMIT :most"
)
_SAVED_BEFORE = Stmt(
    "SELECT uid FROM message WHERE mailbox_id = :mailbox AND save_date <= :before ORDER BY uid LIMIT :most"
)


def drop_staged(tx: Tx, before: int, limit: int) -> int:
    """Pieces of a body whose arrival began at or before `before` and will never end, or whose content is gone."""
    body = tx.scalar(_STAGED, before=before)
    if body is None:
        return 0
    first, last = chunk_id(BodyId(body), 0), chunk_id(BodyId(body), MAX_PIECES)
    pieces = tx.all(_PIECES, first=first, last=last, most=max(limit, 1))
    if pieces:
        tx.run(_DELETE_PIECES, first=first, last=pieces[-1][0])
    if len(pieces) < max(limit, 1):
        tx.run(_UNSTAGE, body=body)
    return len(pieces) + 1


def forget_expunged(tx: Tx, before: int, limit: int) -> int:
    """Expunge records of `before` or earlier: their messages can no longer be fetched (then NO [EXPUNGEISSUED])."""
    tx.run(_EXPUNGED_TO_GARBAGE, before=before, most=limit)
    return tx.run(_FORGET_EXPUNGED, before=before, most=limit)


def collect_contents(tx: Tx, before: int, limit: int) -> int:
    """Look at contents that lost a reference at or before `before`; those without any other go. How many it saw.

    Nobody can gain a reference to a content that has none: messages are copied from messages, under the inbox's lock.
    """
    looked = [row[0] for row in tx.all(_TAKE_GARBAGE, before=before, most=limit)]
    if not looked:
        return 0
    dead = [row[0] for row in tx.all(_DEAD, rows=looked)]
    if dead:
        tx.run(_FREE_BODIES, rows=dead)
        tx.run(_FREE_TEXTS, rows=dead)
        for statement in (_FORGET_SOURCES, *_DELETE_CONTENT):
            tx.run(statement, rows=dead)
    tx.run(_DELETE_GARBAGE, rows=looked)
    return len(looked)


def find_orphans(tx: Tx) -> int:
    """Hand contents that belong to nothing to the janitor; only a defect leaves any, so only a repair asks."""
    found = tx.run(_ORPHANS) + sum(tx.run(statement) for statement in _HALVES)
    return found + tx.run(_ORPHAN_BODIES)


def long_records(rx: Rx, keep: int, limit: int) -> list[tuple[InboxId, MailboxId]]:
    """Mailboxes with more than `keep` expunges on record."""
    return [(InboxId(row[0]), MailboxId(row[1])) for row in rx.all(_LONG_RECORDS, keep=keep, most=limit)]


def prune_record(tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, keep: int, limit: int) -> int:
    """Forget the oldest expunges of a mailbox down to `keep`, and note up to which MODSEQ: a client that comes with
    an older one is told so and compares UIDs instead of missing an expunge."""
    counters.lock(tx, inbox_id)
    newest = tx.scalar(_FIRST_KEPT, inbox=inbox_id, mailbox=mailbox_id, keep=keep)
    if newest is None:
        return 0
    oldest = tx.all(_OLDEST, inbox=inbox_id, mailbox=mailbox_id, most=max(limit, 1))
    last = min(newest, oldest[-1][0])
    tx.run(_PRUNED, inbox=inbox_id, mailbox=mailbox_id, modseq=last)
    return tx.run(_PRUNE, inbox=inbox_id, mailbox=mailbox_id, modseq=last)


def superseded(rx: Rx, limit: int) -> list[tuple[int, int, str, int]]:
    """(inbox, mailbox, kind, MODSEQ of the last) where changes of a name or subscription stand that a later one of the
    same kind makes needless to know."""
    return [(row[0], row[1], row[2], row[3]) for row in rx.all(_SUPERSEDED, most=limit)]


def drop_superseded(tx: Tx, rows: Sequence[tuple[int, int, str, int]]) -> int:
    """Drop what `superseded` found."""
    return sum(
        tx.run(_DROP_OLDER, inbox=inbox, mailbox=mailbox, kind=kind, modseq=modseq)
        for inbox, mailbox, kind, modseq in rows
    )


def mailboxes_of_role(rx: Rx, role: str, after: int, limit: int) -> list[tuple[InboxId, MailboxId]]:
    """Non-empty mailboxes of `role` in all inboxes, by id."""
    return [(InboxId(row[0]), MailboxId(row[1])) for row in rx.all(_BY_ROLE, role=role, after=after, most=limit)]


def expire(tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, before: int, now: int, limit: int) -> int:
    """Expunge messages that came into the mailbox at or before `before`; sessions learn of it like of any expunge."""
    counters.lock(tx, inbox_id)
    uids = [row[0] for row in tx.all(_SAVED_BEFORE, mailbox=mailbox_id, before=before, most=limit)]
    if not uids:
        return 0
    messages.expunge(tx, inbox_id, mailbox_id, uids, only_deleted=False, now=now)
    return len(uids)
