"""What the janitor removes, in small pieces: orphaned staging rows, contents nobody refers to, old records.

Each function does at most `limit` things and says how many it did, so the caller can stop between pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.model.ids import BodyId, InboxId

from .content import CHUNK_BITS
from .db import Tx
from .statements import Stmt

GRACE_SECONDS: Final = 3600
"""Expunged messages stay readable this long for sessions that were not told (RFC 2180 4.1)."""
CHANGES_KEPT: Final = 10_000
"""Change rows kept an inbox; older expunges are answered by comparing UIDs."""

_OLD_STAGING = Stmt("SELECT body_id FROM staging WHERE started_at < :before ORDER BY started_at LIMIT :most")
_UNSTAGE = Stmt("DELETE FROM staging WHERE body_id IN :LIST(bodies)")
_OLD_EXPUNGED = Stmt(
    "SELECT mailbox_id, uid, content_id FROM expunged WHERE at < :before ORDER BY at, mailbox_id, uid LIMIT :most"
)
_FORGET_EXPUNGED = Stmt("DELETE FROM expunged WHERE mailbox_id = :mailbox AND uid IN :LIST(uids)")
_OLD_GARBAGE = Stmt("SELECT content_id FROM garbage WHERE at < :before ORDER BY at LIMIT :most")
_FORGET_GARBAGE = Stmt("DELETE FROM garbage WHERE content_id IN :LIST(contents)")
_DELETE_META = Stmt(
    "DELETE FROM content_meta WHERE id IN :LIST(contents)"
    " AND NOT EXISTS (SELECT 1 FROM message AS m WHERE m.content_id = content_meta.id)"
    " AND NOT EXISTS (SELECT 1 FROM expunged AS e WHERE e.content_id = content_meta.id)"
    " AND NOT EXISTS (SELECT 1 FROM submission AS s WHERE s.content_id = content_meta.id)"
    " RETURNING id, body_id"
)
_DELETE_FETCH = Stmt("DELETE FROM content_fetch WHERE id IN :LIST(contents)")
_DELETE_HEADER = Stmt("DELETE FROM content_header WHERE id IN :LIST(contents)")
_BODIES_LEFT = Stmt("SELECT DISTINCT body_id FROM content_meta WHERE body_id IN :LIST(bodies)")
_DELETE_CHUNKS = Stmt("DELETE FROM content_chunk WHERE id BETWEEN :first AND :last")
_LAST_PRUNED = Stmt("SELECT modseq FROM change WHERE inbox_id = :inbox ORDER BY modseq DESC LIMIT 1 OFFSET :keep")
_PRUNE_CHANGES = Stmt("DELETE FROM change WHERE inbox_id = :inbox AND modseq <= :modseq")
_NOTE_PRUNED = Stmt(
    "UPDATE mailbox SET pruned_modseq = CASE WHEN highest_modseq < :modseq THEN highest_modseq ELSE :modseq END"
    " WHERE inbox_id = :inbox AND pruned_modseq < :modseq"
)


def collect_staging(tx: Tx, before: int, limit: int) -> int:
    """Delete bodies whose arrival began before `before` (Unix seconds) and never ended."""
    bodies = [row[0] for row in tx.all(_OLD_STAGING, before=before, most=limit)]
    _delete_bodies(tx, bodies)
    if bodies:
        tx.do(_UNSTAGE, bodies=bodies)
    return len(bodies)


def collect_expunged(tx: Tx, before: int, limit: int) -> int:
    """Forget messages expunged before `before`, and their contents if nothing else refers to them."""
    rows = tx.all(_OLD_EXPUNGED, before=before, most=limit)
    by_mailbox: dict[int, list[int]] = {}
    for mailbox, uid, _content in rows:
        by_mailbox.setdefault(mailbox, []).append(uid)
    for mailbox, uids in by_mailbox.items():
        tx.do(_FORGET_EXPUNGED, mailbox=mailbox, uids=uids)
    _delete_unreferenced(tx, list({row[2] for row in rows}))
    return len(rows)


def collect_garbage(tx: Tx, before: int, limit: int) -> int:
    """Look at contents released before `before`; delete those that nothing refers to."""
    contents = [row[0] for row in tx.all(_OLD_GARBAGE, before=before, most=limit)]
    if contents:
        tx.do(_FORGET_GARBAGE, contents=contents)
    _delete_unreferenced(tx, contents)
    return len(contents)


def prune_changes(tx: Tx, inbox_id: InboxId, keep: int = CHANGES_KEPT) -> int:
    """Drop all but about the `keep` newest change rows of an inbox; its mailboxes note up to where."""
    modseq = tx.scalar(_LAST_PRUNED, inbox=inbox_id, keep=keep)
    if modseq is None:
        return 0
    tx.do(_NOTE_PRUNED, inbox=inbox_id, modseq=modseq)
    return tx.run(_PRUNE_CHANGES, inbox=inbox_id, modseq=modseq)


def _delete_unreferenced(tx: Tx, contents: Sequence[int]) -> None:
    if not contents:
        return
    gone = tx.all(_DELETE_META, contents=contents)
    if not gone:
        return
    ids = [row[0] for row in gone]
    tx.do(_DELETE_FETCH, contents=ids)
    tx.do(_DELETE_HEADER, contents=ids)
    bodies = {row[1] for row in gone}
    left = {row[0] for row in tx.all(_BODIES_LEFT, bodies=list(bodies))}
    _delete_bodies(tx, sorted(bodies - left))


def _delete_bodies(tx: Tx, bodies: Sequence[BodyId]) -> None:
    for body in bodies:
        first = body << CHUNK_BITS
        tx.do(_DELETE_CHUNKS, first=first, last=first | (1 << CHUNK_BITS) - 1)
