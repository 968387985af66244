"""Logins of people in a browser: a random token in a cookie, of which the store keeps a digest, and the key behind it.

Nothing of what the key may is copied: each request reads the key, so a revoked one ends its browsers at once.
"""

from __future__ import annotations

import hashlib
from typing import Final

from gateway.model.ids import KeyId

from .db import Rx, Tx
from .statements import Stmt

LIFE: Final = 14 * 86400
"""Seconds until somebody logs in again, whatever they do."""
IDLE: Final = 3 * 86400
"""Seconds after which a browser that was not seen has to log in again."""
SEEN_EVERY: Final = 300
"""Seconds between two notes that it was seen: not one write a request."""

_INSERT = Stmt(
    "INSERT INTO web_session (token, key_id, created_at, seen_at, expires_at)"
    " VALUES (:token, :key, :now, :now, :expires)"
)
_FIND = Stmt(
    "SELECT key_id, seen_at FROM web_session WHERE token = :token AND expires_at > :now AND seen_at > :idle"
)
_SEEN = Stmt("UPDATE web_session SET seen_at = :now WHERE token = :token")
_END = Stmt("DELETE FROM web_session WHERE token = :token")
_END_ALL = Stmt("DELETE FROM web_session WHERE key_id = :key")
_OVER: Final = "expires_at <= :now OR seen_at <= :idle"
_ANY_OVER = Stmt(f"SELECT 1 FROM web_session WHERE {_OVER} LIMIT 1")
_FORGET = Stmt(f"DELETE FROM web_session WHERE {_OVER}")


def digest(token: str) -> bytes:
    """What the store keeps of a cookie's token: it has 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).digest()


def begin(tx: Tx, token: str, key_id: KeyId, now: int) -> None:
    tx.run(_INSERT, token=digest(token), key=key_id, now=now, expires=now + LIFE)


def find(rx: Rx, token: str, now: int) -> tuple[KeyId, bool] | None:
    """The key of a login, and whether it is time to note that it was seen; None when it is none, or over."""
    row = rx.one(_FIND, token=digest(token), now=now, idle=now - IDLE)
    return None if row is None else (KeyId(row[0]), row[1] <= now - SEEN_EVERY)


def seen(tx: Tx, token: str, now: int) -> None:
    tx.run(_SEEN, token=digest(token), now=now)


def end(tx: Tx, token: str) -> None:
    tx.run(_END, token=digest(token))


def end_all(tx: Tx, key_id: KeyId) -> int:
    """Log out every browser of a key; how many."""
    return tx.run(_END_ALL, key=key_id)


def any_over(rx: Rx, now: int) -> bool:
    """Whether `forget` would find something."""
    return rx.one(_ANY_OVER, now=now, idle=now - IDLE) is not None


def forget(tx: Tx, now: int) -> int:
    """Remove the rows of logins that are over."""
    return tx.run(_FORGET, now=now, idle=now - IDLE)
