"""Requests that were carried out lately, by the key their sender gave them, with their answers.

The unit that carries one out takes its key. The primary key decides between two units, also of two processes: who
comes second waits for the first one's commit, finds the row, and is undone. A crash before the commit leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model.errors import GatewayError

from .db import Rx, Tx
from .statements import Stmt

_TAKE = Stmt(
    "INSERT INTO idempotency (digest, body, at, status, answer) VALUES (:digest, :body, :now, :status, :answer)"
    " ON CONFLICT (digest) DO UPDATE SET body = excluded.body, at = excluded.at, status = excluded.status,"
    " answer = excluded.answer WHERE idempotency.at <= :since RETURNING 1"
)
_FOUND = Stmt("SELECT body, status, answer FROM idempotency WHERE digest = :digest AND at > :since")
_OLD: Final = "SELECT digest FROM idempotency WHERE at <= :before ORDER BY at LIMIT :most"
_PURGE = Stmt(f"DELETE FROM idempotency WHERE digest IN ({_OLD})")

LIFETIME_S: Final = 86_400
"""For so long a key is known."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a request was answered with; `body`: SHA-256 of its body."""

    body: bytes
    status: int
    answer: bytes


class DoneBefore(GatewayError):
    """Another request with this key was carried out meanwhile: this unit is undone, and `find` has the answer."""


def find(rx: Rx, digest: bytes, now: int) -> Done | None:
    row = rx.one(_FOUND, digest=digest, since=now - LIFETIME_S)
    return None if row is None else Done(bytes(row[0]), row[1], bytes(row[2]))


def take(tx: Tx, digest: bytes, done: Done, now: int) -> None:
    """In the unit that carries the request out. DoneBefore."""
    taken = tx.one(
        _TAKE, digest=digest, body=done.body, status=done.status, answer=done.answer, now=now, since=now - LIFETIME_S
    )
    if taken is None:
        raise DoneBefore("The request was carried out before")


def purge(tx: Tx, before: int, limit: int) -> int:
    """Forget keys taken at or before `before`; how many, at most `limit`."""
    return tx.run(_PURGE, before=before, most=limit)
