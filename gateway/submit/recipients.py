"""Where a recipient leads: an inbox here, the queue, or a refusal that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.model.ids import InboxId
from gateway.model.recipient import Recipient
from gateway.store.addresses import Local, UnknownLocal

from .directory import View
from .errors import NoRoute, UnknownRecipient

CanRelay = Callable[[str], bool]
"""Whether mail for this domain can be handed to somebody; `delivery`'s routes, wired by `app`."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """Inboxes by rising id, each once however many of its addresses were named; recipients `here`, and elsewhere."""

    inboxes: tuple[InboxId, ...]
    here: tuple[Recipient, ...]
    remote: tuple[Recipient, ...]


def resolve(view: View, address: str, can_relay: CanRelay) -> InboxId | None:
    """The inbox, or None for one that goes into the queue. UnknownRecipient, NoRoute."""
    domain = address.rpartition("@")[2]
    found = view.recipient(address) if domain != address else UnknownLocal()
    if isinstance(found, Local):
        return found.inbox_id
    if isinstance(found, UnknownLocal):
        raise UnknownRecipient("No such mailbox here")
    if not can_relay(domain):
        raise NoRoute("Mail to other domains needs a relay: set host in section relay of the configuration")
    return None


def destinations(view: View, recipients: Sequence[Recipient], can_relay: CanRelay) -> Destinations:
    """All recipients of a message; the errors of `resolve`."""
    inboxes: set[InboxId] = set()
    here: list[Recipient] = []
    remote: list[Recipient] = []
    for recipient in recipients:
        inbox_id = resolve(view, recipient.address, can_relay)
        if inbox_id is None:
            remote.append(recipient)
        else:
            inboxes.add(inbox_id)
            here.append(recipient)
    return Destinations(tuple(sorted(inboxes)), tuple(here), tuple(remote))
