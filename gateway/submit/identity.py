"""Who may send as whom: MAIL FROM and every author in the header belong to the inboxes that the key opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model.errors import SenderNotAuthorized
from gateway.model.ids import InboxId, MailboxId
from gateway.model.permissions import Principal, SentCopy
from gateway.model.rates import UNSAID, Rates

from .directory import View


@dataclass(frozen=True, slots=True)
class Sender:
    """`author`: the inbox that owns From's first address, where the Sent copy goes; `inbox_id`: where bounces go.

    `sent_copy`: the key's rule, or the author's inbox's where the key has none. `sent`: the mailbox for that copy.
    `rates`: what the author's inbox may send, as far as it says.
    """

    inbox_id: InboxId
    author: InboxId
    sent_copy: SentCopy
    sent: MailboxId | None
    rates: Rates = UNSAID


def owner_of(view: View, principal: Principal, address: str) -> InboxId:
    """The inbox that has `address`, within the key's scope. SenderNotAuthorized, which does not tell why."""
    owner = view.owner(principal, address)
    if owner is None:
        raise SenderNotAuthorized("Sender not authorized")
    return owner


def identify(view: View, principal: Principal, reverse_path: str, authors: Sequence[str]) -> Sender:
    """SenderNotAuthorized when any of them is not the key's. A null reverse-path is allowed: read receipts have it."""
    addresses = dict.fromkeys((*authors, reverse_path) if reverse_path else authors)
    owners = {address: owner_of(view, principal, address) for address in addresses}
    inbox_id = owners[authors[0]]
    author = view.author(inbox_id)
    if author is None:
        raise SenderNotAuthorized("Sender not authorized")
    copy = principal.sent_copy or author.sent_copy
    return Sender(owners.get(reverse_path, inbox_id), inbox_id, copy, author.sent, author.rates)
