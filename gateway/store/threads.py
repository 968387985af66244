"""THREADID of arrivals (RFC 8474 5.2): by Message-ID and the ids a message refers to, inside one inbox.

Each arrival leaves `hash of an id -> thread` for its own Message-ID and for each id in In-Reply-To and References, so
a parent that comes late joins its replies. Threads found to be one later stay two, as the RFC demands.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from gateway.model.ids import InboxId

from .db import Tx
from .statements import Stmt

MAX_REFERENCES: Final = 20
"""Ids of a message that are looked at, the nearest ancestors: each is a row in the store."""

_ONE = Stmt(
    "INSERT INTO thread_ref (inbox_id, hash, thread) VALUES (:inbox, :hash, :thread)"
    " ON CONFLICT (inbox_id, hash) DO UPDATE SET thread = thread_ref.thread RETURNING thread"
)
# CROSS JOIN holds SQLite to this order: the list outside, a look-up by key inside; left to itself it walks the inbox.
_SEVERAL = Stmt(
    sqlite="INSERT INTO thread_ref (inbox_id, hash, thread)"
    " SELECT :inbox, h.value, coalesce((SELECT r.thread FROM json_each(:hashes) AS o"
    " CROSS JOIN thread_ref AS r ON r.inbox_id = :inbox AND r.hash = o.value ORDER BY o.key LIMIT 1), :thread)"
    " FROM json_each(:hashes) AS h WHERE true"
    " ON CONFLICT (inbox_id, hash) DO UPDATE SET thread = thread_ref.thread RETURNING hash, thread"
)


def id_hash(message_id: bytes) -> int:
    """A signed 64-bit number for a msg-id (case counts, RFC 5322 3.6.4)."""
    return int.from_bytes(blake2b(message_id, digest_size=8).digest(), "big", signed=True)


def thread_hashes(message_id: bytes | None, in_reply_to: Sequence[bytes], references: Sequence[bytes]) -> list[int]:
    """Hashes without repeats: the message's own id, then the ancestors, nearest first."""
    ids: list[bytes] = [message_id] if message_id else []
    ids += references[: -MAX_REFERENCES - 1 : -1]
    ids += in_reply_to[:MAX_REFERENCES]
    if len(ids) == 1:
        return [id_hash(ids[0])]
    return [id_hash(each) for each in dict.fromkeys(ids)]


def assign(tx: Tx, inbox_id: InboxId, hashes: list[int], fresh: str) -> str:
    """The thread of an arrival: that of the first id already known, else `fresh`; all unknown ids join it. SQLite."""
    if not hashes:
        return fresh
    if len(hashes) == 1:
        return str(tx.scalar(_ONE, inbox=inbox_id, hash=hashes[0], thread=fresh))
    rows = tx.all(_SEVERAL, inbox=inbox_id, hashes=hashes, thread=fresh)
    return str(dict(rows)[hashes[0]])
