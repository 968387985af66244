"""What the owner of a key sees of an inbox: the mailboxes that it may read, and what it may do in each.

What it may not read does not exist for it, like another's inbox: mailboxes are left out, their messages not found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.model.errors import CannotChange, NoPermission, NotFound
from gateway.model.ids import InboxId, MailboxId
from gateway.model.names import canonical
from gateway.model.rights import Action, allowed
from gateway.store import listing
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.store.listing import Listed

from .caller import Caller, inbox_of

NO_MAILBOX: Final = "No such mailbox"
READS: Final = frozenset({"message_read", "draft_read"})


@dataclass(frozen=True, slots=True)
class Sight:
    """An inbox as a key sees it, in one transaction. `boxes`: mailboxes that it may read, in the order of names."""

    who: Caller
    inbox: Inbox
    boxes: dict[MailboxId, Listed]

    @property
    def inbox_id(self) -> InboxId:
        return self.inbox.id

    def may(self, action: Action, box: Listed) -> bool:
        return allowed(self.who.permissions, action, box.role)

    def need(self, action: Action, box: Listed) -> None:
        """NoPermission."""
        if not self.may(action, box):
            raise NoPermission(f"The key may not {action.value} in {box.name}")

    def mailbox(self, reference: str) -> Listed:
        """The mailbox of an id (`F…`) or a name; NotFound, also for one that may not be read."""
        name = canonical(reference)
        found = None
        for box in self.boxes.values():
            if box.object_id == reference:
                return box
            if box.name == name:
                found = box
        if found is None:
            raise NotFound(NO_MAILBOX)
        return found

    def selectable(self, reference: str) -> Listed:
        """The same where it can hold messages; CannotChange for a name that only holds other mailboxes."""
        found = self.mailbox(reference)
        if found.noselect:
            raise CannotChange("This name only holds other mailboxes")
        return found

    def readable(self, ids: Iterable[MailboxId]) -> list[Listed]:
        return [self.boxes[mailbox] for mailbox in ids if mailbox in self.boxes]


def sight(rx: Rx, who: Caller, inbox: str) -> Sight:
    """NotFound: the inbox is none of the key's. NoPermission: it may read no messages at all."""
    found = readable_inbox(rx, who, inbox)
    return sight_of(who, found, listing.mailboxes(rx, found.id, counters=True, subscribed=True))


def readable_inbox(rx: Rx, who: Caller, inbox: str) -> Inbox:
    """Errors as `sight`."""
    found = inbox_of(rx, who, inbox)
    if not READS & who.permissions:
        raise NoPermission("The key lacks the permission message_read")
    return found


def glimpse(rx: Rx, who: Caller, inbox: Inbox, ids: Collection[MailboxId]) -> Sight:
    """No mailboxes are read but those of `ids`: an inbox may have thousands."""
    return sight_of(who, inbox, listing.some(rx, inbox.id, sorted(ids)) if ids else ())


def glimpse_of(rx: Rx, who: Caller, inbox: Inbox, reference: str) -> Sight:
    """The same of one mailbox, by its id or name; of none where there is no such."""
    found = listing.referred(rx, inbox.id, reference)
    return sight_of(who, inbox, () if found is None else (found,))


def sight_of(who: Caller, inbox: Inbox, boxes: Iterable[Listed]) -> Sight:
    """The inbox as if it had these mailboxes only."""
    seen = [box for box in boxes if allowed(who.permissions, Action.READ, box.role)]
    return Sight(who, inbox, {MailboxId(box.id): box for box in sorted(seen, key=lambda box: box.name)})
