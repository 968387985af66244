"""Who asks: a key with its scope and permissions, and the one rule of what lies within them.

What is outside of a key's scope does not exist for it: NotFound, the same as for what really does not exist, so that
nobody learns of another's ids. What is inside and not permitted is NoPermission, for then there is nothing to hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model.errors import NoPermission, NotFound
from gateway.model.ids import InboxId, KeyId, PodId
from gateway.model.permissions import ScopeKind
from gateway.store import inboxes, pods
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.store.keys import KeyRow
from gateway.store.pods import Pod

NO_INBOX: Final = "No such inbox"
NO_POD: Final = "No such pod"


@dataclass(frozen=True, slots=True)
class Caller:
    """A key whose secret was proven. Its row is as of the request: expiry and revocation were looked at."""

    key_id: KeyId
    public_id: str
    """The part of the key that is no secret, by which it is listed and revoked."""
    uuid: str
    name: str
    scope: ScopeKind
    pod_id: PodId | None
    inbox_id: InboxId | None
    permissions: frozenset[str]
    expires_at: int | None

    @property
    def may_all(self) -> bool:
        """An administrator's key: nothing is out of its scope."""
        return self.scope == ScopeKind.ALL

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    def need(self, *permissions: str) -> None:
        """NoPermission names the first that is missing."""
        for permission in permissions:
            if permission not in self.permissions:
                raise NoPermission(f"The key lacks the permission {permission}")

    def covers(self, inbox: Inbox) -> bool:
        """Whether the inbox lies within the key's scope."""
        if self.scope == ScopeKind.INBOX:
            return inbox.id == self.inbox_id
        return self.scope == ScopeKind.ALL or inbox.pod_id == self.pod_id


def caller(key: KeyRow) -> Caller:
    """Who asks with this key, after it was found usable."""
    return Caller(
        key.id, key.key_id, key.uuid, key.name, ScopeKind(key.scope), key.pod_id, key.inbox_id,
        key.permissions, key.expires_at,
    )  # fmt: skip


def inbox_of(rx: Rx, who: Caller, reference: str) -> Inbox:
    """The inbox of an address, or of an id (a UUID). NotFound: there is none, it is deleted, or it is not the key's."""
    found = inboxes.inbox_by_address(rx, reference) if "@" in reference else inboxes.inbox_by_uuid(rx, reference)
    if found is None or found.deleted_at is not None or not who.covers(found):
        raise NotFound(NO_INBOX)
    return found


def inboxes_of(rx: Rx, who: Caller) -> list[Inbox]:
    """All inboxes within the key's scope, by address."""
    if who.scope == ScopeKind.INBOX:
        assert who.inbox_id is not None
        one = inboxes.inbox_by_id(rx, who.inbox_id)
        return [one] if one is not None and one.deleted_at is None else []
    return inboxes.inboxes(rx, who.pod_id)


def pod_of(rx: Rx, who: Caller, reference: str) -> Pod:
    """The pod of an id (a UUID) or name. NotFound: there is none, or it is not the key's."""
    found = pods.pod_by_name(rx, reference) or pods.pod_by_uuid(rx, reference)
    if found is None or not (who.may_all or (who.scope == ScopeKind.POD and found.id == who.pod_id)):
        raise NotFound(NO_POD)
    return found
