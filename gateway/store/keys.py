"""API keys as rows: who made them for what, their state, and what one key may hand on to another.

The secret and its hash are `auth`'s; here the hash is an opaque text.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from gateway.model.errors import AlreadyExists, InvalidRequest, NoPermission, NotFound
from gateway.model.ids import InboxId, KeyId, PodId
from gateway.model.permissions import ALL_PERMISSIONS, ScopeKind, SentCopy
from gateway.model.rates import UNSAID, Rates

from . import queue
from .db import Rx, Tx, WakeKind
from .inboxes import SENT_COPY, rates_in, rates_stored
from .statements import Stmt
from .texts import storable

MAX_NAME: Final = 200  # characters: it stands in tables and log lines

_COLUMNS: Final = (
    "id, uuid, key_id, hash, name, scope, pod_id, inbox_id, permissions, created_at, expires_at, revoked_at,"
    " last_used_at,"
    " parent, settings"
)
_INSERT = Stmt(
    "INSERT INTO api_key (uuid, key_id, hash, name, scope, pod_id, inbox_id, permissions, created_at, expires_at,"
    " parent,"
    " settings, scram) VALUES (:uuid, :key_id, :hash, :name, :scope, :pod, :inbox, :permissions, :now, :expires,"
    " :parent, :settings, :scram)"
    " ON CONFLICT (key_id) DO NOTHING RETURNING id"
)
_BY_KEY_ID = Stmt(f"SELECT {_COLUMNS} FROM api_key WHERE key_id = :key_id")
_BY_ID = Stmt(f"SELECT {_COLUMNS} FROM api_key WHERE id = :key")
_ALL = Stmt(f"SELECT {_COLUMNS} FROM api_key ORDER BY id")
_OF_POD = Stmt(f"SELECT {_COLUMNS} FROM api_key WHERE pod_id = :pod ORDER BY id")
_OF_INBOX = Stmt(f"SELECT {_COLUMNS} FROM api_key WHERE inbox_id = :inbox ORDER BY id")
_REVOKE = Stmt(
    "UPDATE api_key SET revoked_at = :now WHERE revoked_at IS NULL AND id IN"
    " (WITH RECURSIVE line(id) AS (SELECT CAST(:key AS bigint) UNION SELECT k.id FROM api_key k JOIN line ON k.parent"
    " = line.id)"
    " SELECT id FROM line) RETURNING id"
)
_RENAME = Stmt("UPDATE api_key SET name = :name WHERE id = :key AND revoked_at IS NULL")
_EXISTS = Stmt("SELECT 1 FROM api_key WHERE id = :key")
_TOUCH = Stmt("UPDATE api_key SET last_used_at = :at WHERE id = :key AND (last_used_at IS NULL OR last_used_at < :at)")
_OUTLIVED = Stmt(
    "SELECT id FROM api_key WHERE (revoked_at <= :before OR expires_at <= :before)"
    " AND id NOT IN (SELECT parent FROM api_key WHERE parent IS NOT NULL) ORDER BY id LIMIT :most"
)
_FORGET_PASSKEYS = Stmt("DELETE FROM passkey WHERE key_id IN :LIST(keys)")
_FORGET = Stmt("DELETE FROM api_key WHERE id IN :LIST(keys)")
_SCRAM_SALT = Stmt("SELECT value FROM meta WHERE key = 'scram_salt'")
# What opens everything has no pod, what opens a pod no inbox; living keys first, the newest first.
_VERIFIERS = Stmt(
    "SELECT key_id, scram FROM ("
    " SELECT id, key_id, scram, revoked_at FROM api_key WHERE pod_id IS NULL"
    " UNION ALL SELECT id, key_id, scram, revoked_at FROM api_key WHERE pod_id = :pod AND inbox_id IS NULL"
    " UNION ALL SELECT id, key_id, scram, revoked_at FROM api_key WHERE pod_id = :pod AND inbox_id = :inbox"
    ") AS k WHERE scram IS NOT NULL"
    " ORDER BY CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END, id DESC LIMIT :most"
)
_INBOX_POD = Stmt("SELECT pod_id FROM inbox WHERE id = :inbox AND deleted_at IS NULL")
_POD = Stmt("SELECT 1 FROM pod WHERE id = :pod")


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key. Scope POD and INBOX have `pod_id` (the inbox's pod), only INBOX has `inbox_id`. Times: Unix seconds.

    `sent_copy` None: as the inbox has it. `rates`: what it may send.
    """

    id: KeyId
    uuid: str
    key_id: str
    hash: str
    name: str
    scope: ScopeKind
    pod_id: PodId | None
    inbox_id: InboxId | None
    permissions: frozenset[str]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    parent: KeyId | None
    sent_copy: SentCopy | None
    rates: Rates = UNSAID

    def usable(self, now: float) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def insert_key(
    tx: Tx,
    *,
    key_id: str,
    hash: str,
    name: str,
    scope: ScopeKind,
    permissions: Iterable[str],
    now: int,
    pod_id: PodId | None = None,
    inbox_id: InboxId | None = None,
    expires_at: int | None = None,
    parent: KeyId | None = None,
    sent_copy: SentCopy | None = None,
    rates: Rates = UNSAID,
    scram: str | None = None,
) -> KeyRow:
    """A new key; `scram` is what proves it in SCRAM, opaque here.

    With a `parent` it must lie within that one (`within_parent`), which must be usable.
    Raises InvalidRequest (a scope without its id, an unknown permission, an expiry that is past), NotFound (pod, inbox,
    parent), NoPermission (more than the parent has), AlreadyExists (the random key id: draw another).
    """
    granted = frozenset(permissions)
    if unknown := granted - ALL_PERMISSIONS:
        raise InvalidRequest(f"Unknown permission {min(unknown)}")
    _check_name(name)
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("The key would be expired already")
    if sent_copy is not None and sent_copy not in SENT_COPY:
        raise InvalidRequest(f"sent_copy is one of {', '.join(SENT_COPY)}")
    pod_id, inbox_id = _scope_ids(tx, scope, pod_id, inbox_id)
    if parent is not None:
        above = key_by_id(tx, parent)
        if above is None:
            raise NotFound("No such parent key")
        if not above.usable(now) or not within_parent(
            above, scope=scope, pod_id=pod_id, inbox_id=inbox_id, permissions=granted, expires_at=expires_at
        ):
            raise NoPermission("A key cannot give more than it has")
    row = tx.one(
        _INSERT,
        uuid=str(uuid.uuid4()),
        key_id=key_id,
        hash=hash,
        name=name,
        scope=scope.value,
        pod=pod_id,
        inbox=inbox_id,
        permissions=" ".join(sorted(granted)),
        now=now,
        expires=expires_at,
        parent=parent,
        settings=json.dumps(({} if sent_copy is None else {"sent_copy": sent_copy}) | rates_stored(rates)),
        scram=scram,
    )
    if row is None:
        raise AlreadyExists("There is a key of that id already")
    made = key_by_id(tx, KeyId(row[0]))
    assert made is not None
    return made


def within_parent(
    parent: KeyRow,
    *,
    scope: ScopeKind,
    pod_id: PodId | None,
    inbox_id: InboxId | None,
    permissions: frozenset[str],
    expires_at: int | None,
) -> bool:
    """Whether a key with these values would open nothing its parent doesn't, and live no longer.

    `pod_id` is the inbox's pod for scope INBOX.
    """
    reaches = {
        ScopeKind.ALL: True,
        ScopeKind.POD: scope is not ScopeKind.ALL and pod_id == parent.pod_id,
        ScopeKind.INBOX: scope is ScopeKind.INBOX and inbox_id == parent.inbox_id,
    }
    lives = parent.expires_at is None or (expires_at is not None and expires_at <= parent.expires_at)
    return reaches[parent.scope] and permissions <= parent.permissions and lives


def key_by_key_id(rx: Rx, key_id: str) -> KeyRow | None:
    """By the ten characters that a key shows of itself; revoked and expired ones too."""
    return _key(rx.one(_BY_KEY_ID, key_id=key_id)) if storable(key_id) else None


def key_by_id(rx: Rx, key: KeyId) -> KeyRow | None:
    return _key(rx.one(_BY_ID, key=key))


def keys(
    rx: Rx, *, pod_id: PodId | None = None, inbox_id: InboxId | None = None, include_revoked: bool = True
) -> list[KeyRow]:
    """In order of birth: all, those of a pod (its inboxes' keys too) or those of one inbox."""
    if inbox_id is not None:
        rows = rx.all(_OF_INBOX, inbox=inbox_id)
    elif pod_id is not None:
        rows = rx.all(_OF_POD, pod=pod_id)
    else:
        rows = rx.all(_ALL)
    found = [key for row in rows if (key := _key(row)) is not None]
    return [key for key in found if include_revoked or key.revoked_at is None]


def scram_salt(rx: Rx) -> bytes:
    """The salt of all this store's SCRAM verifiers, drawn when the store was made (`gateway.wire.scram` says why)."""
    return bytes.fromhex(rx.scalar(_SCRAM_SALT))


def scram_verifiers(rx: Rx, pod_id: PodId | None, inbox_id: InboxId | None, limit: int) -> list[tuple[str, str]]:
    """(key id, what `insert_key` got as `scram`) of the keys that open an inbox, revoked and expired ones too.

    Without an inbox those that open everything, by the same statement. Keys of before SCRAM have none.
    """
    pod, inbox = (-1, -1) if pod_id is None or inbox_id is None else (pod_id, inbox_id)
    return [(row[0], row[1]) for row in rx.all(_VERIFIERS, pod=pod, inbox=inbox, most=limit)]


def revoke(tx: Tx, key: KeyId, now: int) -> list[KeyId]:
    """Revoke a key and all that descend from it; those that were not revoked before. NotFound for an unknown key.

    Mail that they have put off is held.
    """
    revoked = [KeyId(row[0]) for row in tx.all(_REVOKE, key=key, now=now)]
    if not revoked and tx.one(_EXISTS, key=key) is None:
        raise NotFound("No such key")
    if revoked:
        queue.hold_put_off(tx, revoked, now)
        tx.wake(None, kind=WakeKind.KEYS)
    return revoked


def rename(tx: Tx, key: KeyId, name: str) -> None:
    """NotFound, also for one that is revoked; InvalidRequest."""
    _check_name(name)
    if tx.run(_RENAME, key=key, name=name) == 0:
        raise NotFound("No such key")


def outlived(rx: Rx, before: int, limit: int) -> list[KeyId]:
    """Keys that were revoked or had expired at `before` (Unix seconds). A parent stays until its children have gone.

    What is in it stays so: nothing revives a key or gives it another child.
    """
    return [KeyId(row[0]) for row in rx.all(_OUTLIVED, before=before, most=limit)]


def forget(tx: Tx, key_ids: Iterable[KeyId]) -> int:
    """Remove the rows of keys that `outlived` named, and passkeys that log in as one; how many keys there were."""
    rows = list(key_ids)
    tx.run(_FORGET_PASSKEYS, keys=rows)
    return tx.run(_FORGET, keys=rows)


def touch(tx: Tx, used: Mapping[KeyId, int]) -> None:
    """Note when keys were last used (Unix seconds), gathered over some seconds: not one write a login."""
    for key, at in sorted(used.items()):  # in one order: two nodes never wait for each other
        tx.do(_TOUCH, key=key, at=at)


def _check_name(name: str) -> None:
    """InvalidRequest."""
    if len(name) > MAX_NAME or not name.isprintable():
        raise InvalidRequest(f"A key's name has at most {MAX_NAME} printable characters")


def _scope_ids(
    rx: Rx, scope: ScopeKind, pod_id: PodId | None, inbox_id: InboxId | None
) -> tuple[PodId | None, InboxId | None]:
    """The ids that a key of this scope is stored with."""
    if scope is ScopeKind.ALL:
        if pod_id is not None or inbox_id is not None:
            raise InvalidRequest("A key for everything names no pod and no inbox")
        return None, None
    if scope is ScopeKind.POD:
        if pod_id is None or inbox_id is not None:
            raise InvalidRequest("A pod's key names a pod and no inbox")
        if rx.one(_POD, pod=pod_id) is None:
            raise NotFound("No such pod")
        return pod_id, None
    if inbox_id is None:
        raise InvalidRequest("An inbox's key names an inbox")
    found = rx.scalar(_INBOX_POD, inbox=inbox_id)
    if found is None or (pod_id is not None and pod_id != found):
        raise NotFound("No such inbox")
    return PodId(found), inbox_id


@lru_cache(maxsize=1024)
def _permissions(text: str) -> frozenset[str]:
    """One set for all who have the same: each session and listener holds its own key, and 1.6 KB of it were these."""
    return frozenset(text.split())


def _key(row: tuple[Any, ...] | None) -> KeyRow | None:
    if row is None:
        return None
    settings = json.loads(row[14])
    copy = settings.get("sent_copy")
    own = (copy if copy in SENT_COPY else None, rates_in(settings))
    values = [*row[:5], ScopeKind(row[5]), *row[6:8], _permissions(row[8]), *row[9:14], *own]
    return KeyRow(*values)
