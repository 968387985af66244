"""Passkeys (WebAuthn credentials): each logs in as the key that was logged in when it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.model.errors import AlreadyExists, LimitReached, NotFound
from gateway.model.ids import KeyId

from .db import Rx, Tx
from .statements import Stmt

MOST: Final = 20
"""Passkeys of one key."""

_COLUMNS: Final = "SELECT id, credential, key_id, public_key, sign_count, name, created_at, used_at FROM passkey"
_BY_CREDENTIAL = Stmt(f"{_COLUMNS} WHERE credential = :credential")
_OF_KEY = Stmt(f"{_COLUMNS} WHERE key_id = :key ORDER BY id")
_INSERT = Stmt(
    "INSERT INTO passkey (credential, key_id, public_key, sign_count, name, created_at)"
    " VALUES (:credential, :key, :public, :count, :name, :now) ON CONFLICT (credential) DO NOTHING"
)
_USED = Stmt(
    "UPDATE passkey SET sign_count = :count, used_at = :now WHERE id = :id AND (sign_count < :count OR :count = 0)"
)
_DELETE = Stmt("DELETE FROM passkey WHERE id = :id AND key_id = :key")
_COUNT = Stmt("SELECT count(*) FROM passkey WHERE key_id = :key")


@dataclass(frozen=True, slots=True)
class Passkey:
    """`sign_count`: what its device counted at the last login; 0 for those that do not count."""

    id: int
    credential: bytes
    key_id: KeyId
    public_key: bytes
    sign_count: int
    name: str
    created_at: int
    used_at: int | None


def add(tx: Tx, key_id: KeyId, credential: bytes, public_key: bytes, sign_count: int, name: str, now: int) -> None:
    """AlreadyExists, LimitReached."""
    if tx.scalar(_COUNT, key=key_id) >= MOST:
        raise LimitReached(f"A key has {MOST} passkeys at most")
    made = tx.run(
        _INSERT, credential=credential, key=key_id, public=public_key, count=sign_count, name=name, now=now
    )
    if made == 0:
        raise AlreadyExists("This passkey is known already")


def of_key(rx: Rx, key_id: KeyId) -> list[Passkey]:
    return [_passkey(row) for row in rx.all(_OF_KEY, key=key_id)]


def by_credential(rx: Rx, credential: bytes) -> Passkey | None:
    row = rx.one(_BY_CREDENTIAL, credential=credential)
    return None if row is None else _passkey(row)


def used(tx: Tx, passkey_id: int, sign_count: int, now: int) -> bool:
    """Note a login; False when the device's count did not rise, which is what a copy of it would show."""
    return tx.run(_USED, id=passkey_id, count=sign_count, now=now) > 0


def delete(tx: Tx, passkey_id: int, key_id: KeyId) -> None:
    """NotFound."""
    if tx.run(_DELETE, id=passkey_id, key=key_id) == 0:
        raise NotFound("No such passkey")


def _passkey(row: tuple[Any, ...]) -> Passkey:
    number, credential, key_id, public_key, count, name, created_at, used_at = row
    return Passkey(number, bytes(credential), KeyId(key_id), bytes(public_key), count, name, created_at, used_at)
