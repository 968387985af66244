"""Mailboxes of an inbox: what a key sees of them, and changes of their tree. Functions of a transaction or a unit."""

from __future__ import annotations

from gateway.model.errors import NoPermission
from gateway.model.ids import InboxId
from gateway.model.names import validate
from gateway.model.rights import Action, allowed
from gateway.store import counters, mailboxes
from gateway.store.db import Rx, Tx
from gateway.store.listing import Listed

from .caller import Caller, inbox_of
from .sight import Sight, sight


def create(tx: Tx, who: Caller, inbox: str, name: str, *, subscribe: bool, now: int) -> Listed:
    """With its missing parents. NotFound, NoPermission, InvalidName, AlreadyExists, LimitReached, OverQuota."""
    inbox_id = _changing(tx, who, inbox)
    made = mailboxes.create(tx, inbox_id, name, now=now)
    if subscribe:
        mailboxes.subscribe(tx, inbox_id, made.name)
    return sight(tx, who, inbox).mailbox(made.object_id)


def change(
    tx: Tx, who: Caller, inbox: str, reference: str, *, name: str | None, subscribed: bool | None, now: int
) -> Listed:
    """Another name, for all that is below it too, and whether it is subscribed; None: as it is.

    A renamed mailbox keeps its id, messages and role; INBOX keeps all but its messages (RFC 3501 6.3.5). Errors as
    `create`, and CannotChange.
    """
    inbox_id = _changing(tx, who, inbox)
    box = sight(tx, who, inbox).mailbox(reference)
    called = box.name
    if name is not None and name != box.name:
        mailboxes.rename(tx, inbox_id, box.name, name, now=now)
        called = validate(name)
        if box.subscribed:  # RFC 3501 leaves it at the old name, where nobody who renames means it
            mailboxes.unsubscribe(tx, inbox_id, box.name)
            mailboxes.subscribe(tx, inbox_id, called)
    if subscribed is not None:
        (mailboxes.subscribe if subscribed else mailboxes.unsubscribe)(tx, inbox_id, called)
    return sight(tx, who, inbox).mailbox(called)


def delete(tx: Tx, who: Caller, inbox: str, reference: str, *, now: int) -> None:
    """With its messages; a name with children stays for them. NotFound, NoPermission, CannotChange, HasChildren."""
    inbox_id = _changing(tx, who, inbox)
    box = sight(tx, who, inbox).mailbox(reference)
    mailboxes.delete(tx, inbox_id, box.name, now=now)
    mailboxes.unsubscribe(tx, inbox_id, box.name)


def seen(rx: Rx, who: Caller, inbox: str) -> Sight:
    """All that may be read, in the order of names. NotFound, NoPermission."""
    return sight(rx, who, inbox)


def _changing(tx: Tx, who: Caller, inbox: str) -> InboxId:
    found = inbox_of(tx, who, inbox)
    if not allowed(who.permissions, Action.FOLDERS):
        raise NoPermission("The key lacks the permission message_update")
    counters.lock(tx, found.id)
    return found.id
