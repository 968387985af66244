"""Logins that somebody has begun: what is needed when the browser comes back, perhaps to another process.

The row is found by the hash of `state` and taken once; its verifier is sealed, so that a copy of the store alone does
not finish anybody's login.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.store.db import Rx, Tx
from gateway.store.sealing import Place
from gateway.store.statements import Stmt

MOST: Final = 1_000
"""Logins that are under way; beyond it the oldest ones end."""

_COLUMNS: Final = (
    "state_hash, app_id, grant_id, account, identities, scopes, redirect, verifier_sealed, nonce, created_at,"
    " expires_at"
)
_INSERT = Stmt(
    f"INSERT INTO oauth_login ({_COLUMNS}) VALUES (:hash, :app, :grant, :account, :identities, :scopes, :redirect,"
    " :verifier, :nonce, :now, :expires)"
)
_TAKE = Stmt(f"DELETE FROM oauth_login WHERE state_hash = :hash RETURNING {_COLUMNS}")
_PEEK = Stmt(f"SELECT {_COLUMNS} FROM oauth_login WHERE state_hash = :hash")
_EXPIRED = Stmt("DELETE FROM oauth_login WHERE expires_at <= :now")
_OLDEST = Stmt(
    "DELETE FROM oauth_login WHERE state_hash IN (SELECT state_hash FROM oauth_login ORDER BY expires_at DESC"
    " LIMIT :most OFFSET :kept)"
)


@dataclass(frozen=True, slots=True)
class LoginRow:
    """`identities`: who may consent for `account`. `grant_id`: which grant it renews. `redirect` "": a device code."""

    hash: str
    app_id: int
    grant_id: int | None
    account: str
    identities: tuple[str, ...]
    scopes: str
    redirect: str
    verifier_sealed: bytes = field(repr=False)
    nonce: str = field(repr=False)
    created_at: int
    expires_at: int


def state_hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def verifier_place(hash: str) -> Place:
    return Place("oauth_login", hash, "verifier_sealed")


def begin(tx: Tx, login: LoginRow) -> None:
    """Keep one; those that have expired go."""
    tx.run(_EXPIRED, now=login.created_at)
    tx.run(_OLDEST, most=MOST, kept=MOST - 1)
    tx.run(
        _INSERT, hash=login.hash, app=login.app_id, grant=login.grant_id, account=login.account,
        identities=json.dumps(login.identities), scopes=login.scopes, redirect=login.redirect,
        verifier=login.verifier_sealed, nonce=login.nonce, now=login.created_at, expires=login.expires_at,
    )  # fmt: skip


def peek(rx: Rx, state: str, now: float) -> LoginRow | None:
    """None when there is no such login, or not any more."""
    return _login(rx.one(_PEEK, hash=state_hash(state)), now)


def take(tx: Tx, state: str, now: float) -> LoginRow | None:
    """The login is the caller's, and nobody else's again. None as `peek`."""
    return _login(tx.one(_TAKE, hash=state_hash(state)), now)


def _login(row: tuple[Any, ...] | None, now: float) -> LoginRow | None:
    if row is None or row[10] <= now:
        return None
    values = [*row[:4], tuple(json.loads(row[4])), *row[5:7], bytes(row[7]), *row[8:]]
    return LoginRow(*values)
