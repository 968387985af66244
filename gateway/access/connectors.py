"""Connectors within a key's scope: a connector belongs to an inbox, so that decides."""

from __future__ import annotations

import re
from typing import Final

from gateway.model.errors import InvalidName, NotFound
from gateway.model.permissions import ScopeKind
from gateway.store import inboxes, pods
from gateway.store.connectors import accounts
from gateway.store.connectors.rows import ConnectorRow
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox

from .caller import NO_INBOX, Caller

NO_CONNECTOR: Final = "No such connector"
PAGE: Final = 500
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def connector_of(rx: Rx, who: Caller, reference: str) -> ConnectorRow:
    """By id (a UUID), name or the account's address. NotFound: there is none, or it is not the key's; Ambiguous."""
    try:
        found = accounts.find(rx, reference, who.pod_id)
    except NotFound:
        raise NotFound(NO_CONNECTOR) from None
    inbox = inboxes.inbox_by_id(rx, found.inbox_id)
    masked = is_uuid(reference) and found.uuid != reference.lower()  # another one is *called* so
    if inbox is None or inbox.deleted_at is not None or masked or not who.covers(inbox):
        raise NotFound(NO_CONNECTOR)
    return found


def connectors_of(rx: Rx, who: Caller, inbox: Inbox | None = None) -> list[ConnectorRow]:
    """All within the key's scope, or those of an inbox of it, by number. A connector of a deleted inbox is gone."""
    if inbox is None and who.scope == ScopeKind.INBOX:
        inbox = own_inbox(rx, who)
    found: list[ConnectorRow] = []
    after = 0
    while page := accounts.page(
        rx, pod_id=who.pod_id, inbox_id=None if inbox is None else inbox.id, after=after, limit=PAGE
    ):
        found += page
        after = page[-1].id
    if inbox is not None:
        return found
    living = {each.id for each in inboxes.inboxes(rx, who.pod_id)}
    return [row for row in found if row.inbox_id in living]


def own_inbox(rx: Rx, who: Caller) -> Inbox:
    """The inbox of a key that opens one. NotFound: it was deleted."""
    assert who.inbox_id is not None
    found = inboxes.inbox_by_id(rx, who.inbox_id)
    if found is None or found.deleted_at is not None:
        raise NotFound(NO_INBOX)
    return found


def pod_name(rx: Rx, row: ConnectorRow) -> str:
    """The pod that a connector is in, as operations name it."""
    pod = pods.pod_by_id(rx, row.pod_id)
    assert pod is not None
    return pod.name


def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text.strip()) is not None


def require_name(name: str) -> None:
    """InvalidName: whoever calls a connector like another one's id would be asked in its place."""
    if is_uuid(name):
        raise InvalidName("A connector's name cannot look like an id")
