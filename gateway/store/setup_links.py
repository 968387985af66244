"""Links by which a device is set up: each works once and not for long. The store keeps a digest of what they hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from gateway.model.ids import InboxId, KeyId

from .db import Rx, Tx
from .statements import Stmt

_COLUMNS: Final = "inbox_id, key_id, with_key, name"
_INSERT = Stmt(
    "INSERT INTO setup_link (token, inbox_id, key_id, with_key, name, expires_at)"
    " VALUES (:token, :inbox, :key, :with_key, :name, :expires)"
)
_FIND = Stmt(f"SELECT {_COLUMNS} FROM setup_link WHERE token = :token AND expires_at > :now")
_TAKE = Stmt("DELETE FROM setup_link WHERE token = :token")
_OVER = Stmt("DELETE FROM setup_link WHERE expires_at <= :now")


@dataclass(frozen=True, slots=True)
class SetupLink:
    """`key_id`: the key of who made it. `with_key`: opening it makes a key called `name` for the device."""

    inbox_id: InboxId
    key_id: KeyId
    with_key: bool
    name: str


def digest(token: str) -> bytes:
    """A token has 192 random bits, so no slow hash is needed."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def put(tx: Tx, token: str, link: SetupLink, *, now: int, expires_at: int) -> None:
    """Those that are over go at the same time."""
    tx.run(_OVER, now=now)
    tx.run(
        _INSERT, token=digest(token), inbox=link.inbox_id, key=link.key_id, with_key=int(link.with_key),
        name=link.name, expires=expires_at,
    )


def find(rx: Rx, token: str, now: int) -> SetupLink | None:
    """None: there is none, it was used, or its time is over."""
    row = rx.one(_FIND, token=digest(token), now=now)
    return None if row is None else SetupLink(InboxId(row[0]), KeyId(row[1]), bool(row[2]), row[3])


def take(tx: Tx, token: str, now: int) -> SetupLink | None:
    """The same, and nobody gets it again: of two units at once one finds it."""
    found = find(tx, token, now)
    return found if found is not None and tx.run(_TAKE, token=digest(token)) == 1 else None
