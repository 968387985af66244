"""What was asked and is to be answered within minutes: each is taken once, by whichever node hears the answer.

Who keeps one removes those that have expired, so nobody else has to; and of each kind there are MOST at any time, for
some are kept for whoever asks.
"""

from __future__ import annotations

import hashlib
from typing import Final

from .db import Rx, Tx
from .statements import Stmt

MOST: Final = 10_000
"""Of one kind; beyond it those end that would end first."""
_PIECE: Final = 100

_PUT = Stmt(
    "INSERT INTO short_note (kind, name, value, expires_at) VALUES (:kind, :name, :value, :expires)"
    " ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"
)
_TAKE = Stmt("DELETE FROM short_note WHERE kind = :kind AND name = :name RETURNING value, expires_at")
_EXPIRED = Stmt(
    "DELETE FROM short_note WHERE (kind, name) IN (SELECT kind, name FROM short_note WHERE expires_at <= :now LIMIT"
    f" {_PIECE * 10})"
)
_COUNT = Stmt("SELECT count(*) FROM short_note WHERE kind = :kind")
_FIRST = Stmt(
    "DELETE FROM short_note WHERE kind = :kind AND name IN (SELECT name FROM short_note WHERE kind = :kind"
    f" ORDER BY expires_at LIMIT {_PIECE})"
)


def put(tx: Tx, kind: str, name: bytes, value: str, *, expires: int, now: int, most: int = MOST) -> None:
    """Keep one, in place of one of that name. Of the name a digest is kept."""
    tx.run(_EXPIRED, now=now)
    if count(tx, kind) >= most:
        tx.run(_FIRST, kind=kind)
    tx.run(_PUT, kind=kind, name=_digest(name), value=value, expires=expires)


def take(tx: Tx, kind: str, name: bytes, now: float) -> str | None:
    """What was kept, which is over with it; None when it never was, is over, or was taken."""
    row = tx.one(_TAKE, kind=kind, name=_digest(name))
    return None if row is None or row[1] <= now else str(row[0])


def count(rx: Rx, kind: str) -> int:
    return int(rx.scalar(_COUNT, kind=kind))


def _digest(name: bytes) -> bytes:
    return hashlib.sha256(name).digest()
