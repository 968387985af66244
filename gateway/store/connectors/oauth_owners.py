"""Who has begun a login over HTTP, and for which connector: nobody else finishes it, and nothing else gets its grant.

A row lies beside that of the login (`oauth_logins`), under the same hash of `state`, and ends no later.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.ids import KeyId
from gateway.store.db import Rx, Tx
from gateway.store.statements import Stmt

from .oauth_logins import state_hash

_INSERT = Stmt(
    "INSERT INTO oauth_login_owner (state_hash, key_id, connector, expires_at) VALUES (:hash, :key, :connector,"
    " :expires)"
)
_FIND = Stmt("SELECT key_id, connector, expires_at FROM oauth_login_owner WHERE state_hash = :hash")
_EXPIRED = Stmt("DELETE FROM oauth_login_owner WHERE expires_at <= :now")
_DROP = Stmt("DELETE FROM oauth_login_owner WHERE state_hash = :hash")


@dataclass(frozen=True, slots=True)
class LoginOwner:
    """`connector`: its UUID."""

    key_id: KeyId
    connector: str


def keep(tx: Tx, state: str, owner: LoginOwner, *, expires: int, now: int) -> None:
    """Write down who has begun the login of `state`; those that have expired go."""
    tx.run(_EXPIRED, now=now)
    tx.run(_INSERT, hash=state_hash(state), key=owner.key_id, connector=owner.connector, expires=expires)


def find(rx: Rx, state: str, now: float) -> LoginOwner | None:
    """None when nobody has begun it over HTTP, or not any more."""
    row = rx.one(_FIND, hash=state_hash(state))
    return None if row is None or row[2] <= now else LoginOwner(KeyId(row[0]), row[1])


def drop(tx: Tx, state: str) -> None:
    """The login is over."""
    tx.run(_DROP, hash=state_hash(state))
