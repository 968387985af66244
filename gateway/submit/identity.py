"""Who may send as whom: MAIL FROM and every author in the header belong to the inboxes that the key opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model.errors import SenderNotAuthorized
from gateway.model.ids import InboxId
from gateway.model.permissions import Principal, SentCopy
from gateway.store import inboxes
from gateway.store.addresses import may_send_as
from gateway.store.db import Rx


@dataclass(frozen=True, slots=True)
class Sender:
    """`author`: the inbox that owns From's first address, where the Sent copy goes; `inbox_id`: where bounces go.

    `sent_copy`: the key's rule, or the author's inbox's where the key has none.
    """

    inbox_id: InboxId
    author: InboxId
    sent_copy: SentCopy


def owner_of(rx: Rx, principal: Principal, address: str) -> InboxId:
    """The inbox that has `address`, within the key's scope. SenderNotAuthorized, which does not tell why."""
    owner = may_send_as(rx, principal.scope, principal.pod_id, principal.inbox_id, address)
    if owner is None:
        raise SenderNotAuthorized("Sender not authorized")
    return owner


def identify(rx: Rx, principal: Principal, reverse_path: str, authors: Sequence[str]) -> Sender:
    """SenderNotAuthorized when any of them is not the key's. A null reverse-path is allowed: read receipts have it."""
    addresses = dict.fromkeys((*authors, reverse_path) if reverse_path else authors)
    owners = {address: owner_of(rx, principal, address) for address in addresses}
    author = owners[authors[0]]
    inbox = inboxes.inbox_by_id(rx, author)
    if inbox is None or inbox.deleted_at is not None:
        raise SenderNotAuthorized("Sender not authorized")
    return Sender(owners.get(reverse_path, author), author, principal.sent_copy or inbox.settings.sent_copy)
