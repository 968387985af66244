"""Commands that change mailboxes or leave one: UNSELECT, CHECK, CREATE, DELETE, RENAME, SUBSCRIBE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.model import names
from gateway.model.errors import CannotChange, NotFound
from gateway.model.mailbox import DELIMITER, INBOX, Mailbox
from gateway.store import mailboxes
from gateway.wire import commands as c

from . import access
from .access import Action
from .mailbox_names import tell_place
from .replies import Reply, no, ok
from .special_use import SUPPORTED

if TYPE_CHECKING:
    from .session import Session

async def find(session: Session, name: str) -> Mailbox:
    """The mailbox row by its canonical name; NotFound, or CannotChange for a name that only holds children."""
    inbox_id = session.require_principal().inbox_id
    mailbox = await session.services.db.tiny(lambda rx: mailboxes.by_name(rx, inbox_id, name))
    if mailbox is None:
        raise NotFound("Folder not found")
    if mailbox.noselect:
        raise CannotChange("This name only holds other mailboxes")
    return mailbox


async def unselect(session: Session, command: c.Unselect) -> Reply:
    """RFC 3691: CLOSE without its expunge."""
    session.unselect()
    return ok("UNSELECT completed")


async def check(session: Session, command: c.Check) -> Reply:
    """RFC 3501 6.4.1: nothing to do, every change is durable before its OK."""
    return ok("CHECK completed")


async def create(session: Session, command: c.Create) -> Reply:
    """RFC 3501 6.3.3, with a use (RFC 6154 3) and the MAILBOXID (RFC 8474 4.1)."""
    principal, services = session.require_principal(), session.services
    access.require(principal, Action.FOLDERS)
    if command.special_use:
        unknown = [use for use in command.special_use if use.lower() not in SUPPORTED]
        if unknown or len(command.special_use) > 1:
            return no("This special use is not supported", b"USEATTR")  # RFC 6154 3
    role = command.special_use[0] if command.special_use else None
    name = names.validate(command.mailbox)
    now = int(services.clock())
    made = await services.db.write(
        lambda tx: mailboxes.create(tx, principal.inbox_id, name, now=now, role=role), inboxes=(principal.inbox_id,)
    )
    session.expect(dict.fromkeys((made.name, *names.parents(made.name)), True))
    await tell_place(session, made.name, given=command.given)
    return ok("CREATE completed", b"MAILBOXID (%b)" % made.object_id.encode("ascii"))


async def delete(session: Session, command: c.Delete) -> Reply:
    principal, services = session.require_principal(), session.services
    access.require(principal, Action.FOLDERS)
    now = int(services.clock())
    session.deleting = True
    try:
        await services.db.write(
            lambda tx: mailboxes.delete(tx, principal.inbox_id, command.mailbox, now=now),
            inboxes=(principal.inbox_id,),
        )
        if session.selected is not None:
            # RFC 2180 3: the one who deletes the mailbox it has selected is not thrown out.
            await session.selected.shared.settle()
    finally:
        session.deleting = False
    if session.notify is not None:
        parent = command.mailbox.rpartition(DELIMITER)[0]
        session.expect({command.mailbox: False, parent: session.notify.exists(parent)})
    await tell_place(session, command.mailbox, given=command.given, gone=True)
    return ok("DELETE completed")


async def rename(session: Session, command: c.Rename) -> Reply:
    principal, services = session.require_principal(), session.services
    access.require(principal, Action.FOLDERS)
    new = names.validate(command.new)
    now = int(services.clock())
    await services.db.write(
        lambda tx: mailboxes.rename(tx, principal.inbox_id, command.old, new, now=now), inboxes=(principal.inbox_id,)
    )
    session.expect(dict.fromkeys((new, *names.parents(new)), True) | {command.old: command.old == INBOX})
    await tell_place(session, new, given=command.given)
    return ok("RENAME completed")


async def subscribe(session: Session, command: c.Subscribe) -> Reply:
    """RFC 3501 6.3.6: a name, whether a mailbox bears it now or not."""
    principal = session.require_principal()
    access.require(principal, Action.FOLDERS)
    name = names.validate(command.mailbox)
    await session.services.db.write(
        lambda tx: mailboxes.subscribe(tx, principal.inbox_id, name), inboxes=(principal.inbox_id,)
    )
    session.expect({}, {name: True})
    return ok("SUBSCRIBE completed")


async def unsubscribe(session: Session, command: c.Unsubscribe) -> Reply:
    principal = session.require_principal()
    access.require(principal, Action.FOLDERS)
    await session.services.db.write(
        lambda tx: mailboxes.unsubscribe(tx, principal.inbox_id, command.mailbox), inboxes=(principal.inbox_id,)
    )
    session.expect({}, {command.mailbox.removesuffix(DELIMITER): False})
    return ok("UNSUBSCRIBE completed")
