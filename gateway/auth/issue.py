"""Making a key: the one moment its text is known. What a key may be, and its parent allows, `store.keys` says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway.model.errors import InvalidRequest
from gateway.model.ids import InboxId, KeyId, PodId
from gateway.model.permissions import ScopeKind, SentCopy
from gateway.model.rates import UNSAID, Rates
from gateway.store import keys
from gateway.store.db import Database, Tx
from gateway.store.keys import KeyRow
from gateway.wire import scram

from .keys import ApiKey, generate, hash_secret


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key to be made. Scope POD names `pod_id`, INBOX names `inbox_id`, ALL neither.

    `permissions` are single names (`model.permissions.expand` turns bundles into them). `expires_at`: Unix seconds.
    With a `parent` the key lies within that one's permissions, scope and time. `sent_copy` None: as the inbox has it.
    `rates`: what it may send.
    """

    name: str
    scope: ScopeKind
    permissions: frozenset[str]
    pod_id: PodId | None = None
    inbox_id: InboxId | None = None
    expires_at: int | None = None
    parent: KeyId | None = None
    sent_copy: SentCopy | None = None
    rates: Rates = UNSAID


@dataclass(frozen=True, slots=True)
class DrawnKey:
    """A key's text with its stored hash and SCRAM verifier, made before the unit that stores them: they take 3 ms."""

    key: ApiKey
    stored: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """`text` is what the owner must keep: it is in no row, no log and no `repr`, and cannot be shown again."""

    row: KeyRow
    text: str = field(repr=False)


async def draw(db: Database) -> DrawnKey:
    """A new random key, and what the store will keep of it. Unavailable."""
    salt = await db.tiny(keys.scram_salt)
    return await asyncio.to_thread(_draw, salt)


def _draw(salt: bytes) -> DrawnKey:
    key = generate()
    verifier = scram.derive(key.text, scram.Parameters(salt, scram.ITERATIONS))
    return DrawnKey(key, hash_secret(key.secret), verifier.text)


def insert(tx: Tx, spec: KeySpec, drawn: DrawnKey, now: int) -> IssuedKey:
    """Store a drawn key inside a unit of the caller's (which may be run again: draw outside it).

    InvalidRequest (a specification that contradicts itself, a key without permissions), NotFound (pod, inbox, parent),
    NoPermission (more than the parent has).
    """
    if not spec.permissions:
        raise InvalidRequest("A key needs at least one permission")
    row = keys.insert_key(
        tx,
        key_id=drawn.key.key_id,
        hash=drawn.stored,
        name=spec.name,
        scope=spec.scope,
        permissions=spec.permissions,
        now=now,
        pod_id=spec.pod_id,
        inbox_id=spec.inbox_id,
        expires_at=spec.expires_at,
        parent=spec.parent,
        sent_copy=spec.sent_copy,
        rates=spec.rates,
        scram=drawn.verifier,
    )
    return IssuedKey(row, drawn.key.text)
