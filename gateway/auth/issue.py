"""Making a key: what it may be, what its parent allows, and the one moment its text is known."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.model.errors import InvalidRequest, NoPermission, NotFound
from gateway.model.ids import InboxId, KeyId, PodId
from gateway.model.permissions import ALL_PERMISSIONS, ScopeKind
from gateway.store import inboxes, keys
from gateway.store.db import Database, Rx, Tx
from gateway.store.keys import KeyRow

from .keys import ApiKey, generate, hash_secret

MAX_NAME = 200  # characters; it stands in lists and logs


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key to be made. Scope POD names `pod_id`, INBOX names `inbox_id`, ALL neither. Times are Unix seconds."""

    name: str
    scope: ScopeKind
    permissions: frozenset[str]
    pod_id: PodId | None = None
    inbox_id: InboxId | None = None
    expires_at: int | None = None
    parent: KeyId | None = None


@dataclass(frozen=True, slots=True)
class DrawnKey:
    """A key's text and its stored hash, made before the unit that stores them (hashing takes 1.7 ms)."""

    key: ApiKey
    stored: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """`text` is what the owner must keep: it is in no row, no log and no `repr`, and cannot be shown again."""

    row: KeyRow
    text: str = field(repr=False)


def draw() -> DrawnKey:
    """A new random key and its hash."""
    key = generate()
    return DrawnKey(key, hash_secret(key.secret))


def check(spec: KeySpec, now: float) -> None:
    """InvalidRequest when the specification contradicts itself."""
    if len(spec.name) > MAX_NAME or any(ord(char) < 32 for char in spec.name):
        raise InvalidRequest(f"A key's name has {MAX_NAME} characters at most and no control characters")
    if (spec.scope == ScopeKind.POD) != (spec.pod_id is not None):
        raise InvalidRequest("A key names a pod exactly when its scope is a pod")
    if (spec.scope == ScopeKind.INBOX) != (spec.inbox_id is not None):
        raise InvalidRequest("A key names an inbox exactly when its scope is an inbox")
    if not spec.permissions:
        raise InvalidRequest("A key needs at least one permission")
    unknown = spec.permissions - ALL_PERMISSIONS
    if unknown:
        raise InvalidRequest(f"Unknown permissions: {', '.join(sorted(unknown))}")
    if spec.expires_at is not None and spec.expires_at <= now:
        raise InvalidRequest("The key would have expired already")


def check_parent(spec: KeySpec, parent: KeyRow, inbox_pod: PodId | None, now: float) -> None:
    """NoPermission when the key would exceed its parent in life, permissions, time or scope.

    `inbox_pod`: the pod of the inbox that `spec` names, else None.
    """
    if parent.revoked_at is not None or (parent.expires_at is not None and parent.expires_at <= now):
        raise NoPermission("The parent key is revoked or expired")
    if "api_key_create" not in parent.permissions:
        raise NoPermission("The parent key may not make keys")
    beyond = spec.permissions - parent.permissions
    if beyond:
        raise NoPermission(f"The parent key lacks {', '.join(sorted(beyond))}")
    if parent.expires_at is not None and (spec.expires_at is None or spec.expires_at > parent.expires_at):
        raise NoPermission("The key would live longer than its parent")
    if parent.scope == ScopeKind.POD:
        inside = (spec.pod_id or inbox_pod) == parent.pod_id
    elif parent.scope == ScopeKind.INBOX:
        inside = spec.inbox_id == parent.inbox_id and spec.inbox_id is not None
    else:
        inside = True
    if not inside:
        raise NoPermission("The key would reach beyond its parent's scope")


def insert(tx: Tx, spec: KeySpec, drawn: DrawnKey, now: int) -> KeyRow:
    """Store a drawn key inside a unit. InvalidRequest, NoPermission; NotFound for a missing inbox or parent."""
    check(spec, now)
    inbox_pod = _inbox_pod(tx, spec)
    if spec.parent is not None:
        parent = keys.key_by_id(tx, spec.parent)
        if parent is None:
            raise NotFound("There is no such parent key")
        check_parent(spec, parent, inbox_pod, now)
    return keys.insert_key(
        tx,
        key_id=drawn.key.key_id,
        hash=drawn.stored,
        name=spec.name,
        scope=spec.scope,
        pod_id=spec.pod_id,
        inbox_id=spec.inbox_id,
        permissions=spec.permissions,
        expires_at=spec.expires_at,
        parent=spec.parent,
        now=now,
    )


def _inbox_pod(rx: Rx, spec: KeySpec) -> PodId | None:
    if spec.inbox_id is None:
        return None
    inbox = inboxes.inbox_by_id(rx, spec.inbox_id)
    if inbox is None or inbox.deleted_at is not None:
        raise NotFound("There is no such inbox")
    return inbox.pod_id


async def create_key(db: Database, spec: KeySpec, now: int) -> IssuedKey:
    """Draw and store a key; its text is in the result and nowhere else."""
    check(spec, now)
    drawn = draw()
    row = await db.write(lambda tx: insert(tx, spec, drawn, now))
    return IssuedKey(row, drawn.key.text)
