"""Commands that show mailboxes: LIST, LSUB, STATUS, NAMESPACE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.model.errors import CannotChange, NotFound
from gateway.model.ids import InboxId
from gateway.store import entries, mailboxes
from gateway.store import listing as rows
from gateway.store.db import Rx
from gateway.store.listing import Listed
from gateway.wire import commands as c
from gateway.wire.pattern import Matcher

from . import access, listing, metadata
from .access import Action
from .listing import DELETED_ITEMS, Catalogue, Rules, status_values
from .mailbox_names import encoded
from .replies import Reply, ok

if TYPE_CHECKING:
    from .session import Session


async def list_(session: Session, command: c.List) -> Reply:
    """RFC 3501 6.3.8 and RFC 5258 with the roles of RFC 6154 and the child marks of RFC 3348 in every form of it."""
    if not command.extended and command.patterns == ("",):
        session.channel.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return ok("LIST completed")
    principal = session.require_principal()
    _note_modseqs(session, command.status)
    catalogue = await session.services.db.read(lambda rx: _catalogue(rx, principal.inbox_id, command))
    rules = Rules(
        name=lambda name: encoded(session, name),
        status=_values(session, command.status) if command.status else None,
        readable=lambda role: access.allowed(principal, Action.READ, role),
        metadata=_metadata(session, command.metadata) if command.metadata else None,
    )
    first = True
    for piece in listing.responses(command, catalogue, rules):
        if not first:
            await session.channel.breathe()
        first = False
        session.channel.send(piece)
    return ok("LIST completed")


def _catalogue(rx: Rx, inbox_id: InboxId, command: c.List) -> Catalogue:
    """All that the answer needs, from one snapshot and a statement each."""
    deleted = not DELETED_ITEMS.isdisjoint(command.status)
    found = rows.mailboxes(rx, inbox_id, counters=bool(command.status), deleted=deleted)
    subscribed = frozenset[str]()
    if "SUBSCRIBED" in command.selection:
        subscribed = frozenset(mailboxes.subscriptions(rx, inbox_id))
    noted: Mapping[int, Mapping[str, bytes]] = {}
    if command.metadata:
        noted = entries.of_mailboxes(rx, inbox_id, [entry.lower() for entry in command.metadata])
    return Catalogue(found, subscribed, noted)


def _values(session: Session, items: tuple[str, ...]) -> listing.StatusValues:
    return status_values(items, session.services.settings.max_message_size)


def _metadata(session: Session, wanted: tuple[str, ...]) -> listing.MetadataLine:
    """RFC 9590 3: as GETMETADATA of each mailbox would answer."""

    def line(row: Listed, found: Mapping[str, bytes]) -> bytes:
        values = metadata.with_special_use(found, row.role)
        return listing.metadata_line(
            encoded(session, row.name), [(entry, values.get(entry.lower())) for entry in wanted]
        )

    return line


def _note_modseqs(session: Session, items: tuple[str, ...]) -> None:
    """RFC 7162 3.1: STATUS (HIGHESTMODSEQ) is a CONDSTORE enabling command."""
    if "HIGHESTMODSEQ" in items:
        session.switch_on(("CONDSTORE",))


async def lsub(session: Session, command: c.Lsub) -> Reply:
    """RFC 3501 6.3.9: subscribed names, whether their mailboxes exist or not; with `%` the parents of deeper ones."""
    if not command.pattern:
        session.channel.send(b'* LSUB (\\Noselect) "/" ""\r\n')
        return ok("LSUB completed")
    inbox_id = session.require_principal().inbox_id
    subscribed = await session.services.db.read(lambda rx: mailboxes.subscriptions(rx, inbox_id))
    for place in listing.recursive(subscribed, [Matcher(command.reference, command.pattern)]):
        if place is None:
            await session.channel.breathe()
            continue
        name, is_subscribed, _ = place
        session.channel.send(
            b'* LSUB (%b) "/" %b\r\n' % (b"" if is_subscribed else b"\\Noselect", encoded(session, name))
        )
    return ok("LSUB completed")


async def status(session: Session, command: c.Status) -> Reply:
    """RFC 3501 6.3.10, from the row's exact counters; allowed on the selected mailbox too."""
    principal, db = session.require_principal(), session.services.db
    deleted = not DELETED_ITEMS.isdisjoint(command.items)
    # A mailbox may hold any number of messages with \Deleted: they are added up in a thread.
    read = db.read if deleted else db.tiny
    row = await read(lambda rx: rows.mailbox(rx, principal.inbox_id, command.mailbox, deleted=deleted))
    if row is None:
        raise NotFound("Folder not found")
    if row.noselect:
        raise CannotChange("This name only holds other mailboxes")
    access.require(principal, Action.READ, row.role)
    _note_modseqs(session, command.items)
    values = _values(session, command.items)
    session.channel.send(b"* STATUS %b %b\r\n" % (encoded(session, row.name), values(row)))
    return ok("STATUS completed")


async def namespace(session: Session, command: c.Namespace) -> Reply:
    """RFC 2342: one personal namespace, the root."""
    session.channel.send(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return ok("NAMESPACE completed")
