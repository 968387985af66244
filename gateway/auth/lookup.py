"""The two reads of the store that logins and live sessions depend on, and the one rule of who may."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from gateway.model.ids import InboxId, KeyId
from gateway.model.permissions import Principal, ScopeKind
from gateway.store import inboxes, keys
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.store.keys import KeyRow


class Refusal(StrEnum):
    """Why a login fails or a session ends: for logs and metrics; a peer at login is never told which."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - the name of a reason
    REVOKED = "revoked"
    EXPIRED = "expired"
    UNKNOWN_INBOX = "unknown_inbox"
    OUT_OF_SCOPE = "out_of_scope"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the store says of a user name and a key id, both as of one moment."""

    inbox: Inbox | None
    key: KeyRow | None


def credentials(rx: Rx, address: str, key_id: str) -> Credentials:
    """One short read for a login: the inbox of `address` (deleted ones are none) and the key."""
    return Credentials(inboxes.inbox_by_address(rx, address), keys.key_by_key_id(rx, key_id))


def refusal(found: Credentials, now: float) -> Refusal | None:
    """Why a key whose secret is proven may not open the inbox; None: it may.

    The key's own state comes first, so that a dead key learns nothing about addresses.
    """
    key, inbox = found.key, found.inbox
    reason = key_refusal(key, now)
    if reason is not None or key is None:
        return reason
    if inbox is None or inbox.deleted_at is not None:
        return Refusal.UNKNOWN_INBOX
    in_scope = (
        key.scope == ScopeKind.ALL
        or (key.scope == ScopeKind.POD and key.pod_id == inbox.pod_id)
        or (key.scope == ScopeKind.INBOX and key.inbox_id == inbox.id)
    )
    return None if in_scope else Refusal.OUT_OF_SCOPE


def key_refusal(key: KeyRow | None, now: float) -> Refusal | None:
    """Why a key whose secret is proven opens nothing at all; None: it is alive."""
    if key is None:
        return Refusal.UNKNOWN_KEY
    if key.revoked_at is not None:
        return Refusal.REVOKED
    if key.expires_at is not None and key.expires_at <= now:
        return Refusal.EXPIRED
    return None


def principal(key: KeyRow, inbox: Inbox) -> Principal:
    """Who has logged in, after `refusal` found nothing."""
    return Principal(
        key_id=key.id,
        key_name=key.name,
        scope=ScopeKind(key.scope),
        pod_id=None if key.scope == ScopeKind.ALL else inbox.pod_id,
        inbox_id=inbox.id,
        inbox_address=inbox.address,
        permissions=key.permissions,
        expires_at=key.expires_at,
        sent_copy=key.sent_copy,
        rates=key.rates,
    )


def ended(rx: Rx, pairs: Collection[tuple[KeyId, InboxId]], now: float) -> dict[tuple[KeyId, InboxId], Refusal]:
    """Those of the live (key, inbox) pairs that may no longer be open, each with why. One read transaction."""
    key_rows = {row_id: keys.key_by_id(rx, row_id) for row_id in {key for key, _ in pairs}}
    inbox_rows = {row_id: inboxes.inbox_by_id(rx, row_id) for row_id in {inbox for _, inbox in pairs}}
    found: dict[tuple[KeyId, InboxId], Refusal] = {}
    for key_id, inbox_id in pairs:
        inbox = inbox_rows[inbox_id]
        # Deleting an inbox revokes its keys too; whoever was logged in is told the cause. They have proven the secret.
        gone = inbox is None or inbox.deleted_at is not None
        reason = Refusal.UNKNOWN_INBOX if gone else refusal(Credentials(inbox, key_rows[key_id]), now)
        if reason is not None:
            found[key_id, inbox_id] = reason
    return found
