"""Where a recipient leads: an inbox here, the queue, or a refusal that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.model.ids import InboxId
from gateway.model.recipient import Recipient
from gateway.store.addresses import Local, UnknownLocal

from .directory import View
from .errors import NoRoute, UnknownRecipient

NotCarried = Callable[[InboxId | None, str, str], NoRoute | UnknownRecipient | None]
"""(who sends, reverse-path, recipient): why nothing takes mail there, None when something does.

`delivery`'s ways, by `app`. Who sends is None only where a null reverse-path leaves it open until the header is there.
"""


@dataclass(frozen=True, slots=True)
class Destinations:
    """Inboxes by rising id, each once however many of its addresses were named; recipients `here`, and elsewhere.

    `homes`: the inbox of each of those here.
    """

    inboxes: tuple[InboxId, ...]
    here: tuple[Recipient, ...]
    homes: tuple[InboxId, ...]
    remote: tuple[Recipient, ...]


def resolve(
    view: View, sender: InboxId | None, reverse_path: str, address: str, not_carried: NotCarried
) -> InboxId | None:
    """The inbox, or None for one that goes into the queue. UnknownRecipient, NoRoute."""
    domain = address.rpartition("@")[2]
    found = view.recipient(address) if domain != address else UnknownLocal()
    if isinstance(found, Local):
        return found.inbox_id
    if isinstance(found, UnknownLocal):
        raise UnknownRecipient("No such mailbox here")
    if (refusal := not_carried(sender, reverse_path, address)) is not None:
        raise refusal
    return None


def destinations(
    view: View, sender: InboxId, reverse_path: str, recipients: Sequence[Recipient], not_carried: NotCarried
) -> Destinations:
    """All recipients of a message; the errors of `resolve`."""
    homes: list[InboxId] = []
    here: list[Recipient] = []
    remote: list[Recipient] = []
    for recipient in recipients:
        inbox_id = resolve(view, sender, reverse_path, recipient.address, not_carried)
        if inbox_id is None:
            remote.append(recipient)
        else:
            homes.append(inbox_id)
            here.append(recipient)
    return Destinations(tuple(sorted(set(homes))), tuple(here), tuple(homes), tuple(remote))
