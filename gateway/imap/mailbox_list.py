"""Commands that show mailboxes: LIST, LSUB, STATUS, NAMESPACE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from gateway.model.errors import CannotChange, NotFound
from gateway.model.ids import InboxId
from gateway.store import entries, mailboxes
from gateway.store import listing as rows
from gateway.store.db import Database, Rx
from gateway.store.listing import Listed
from gateway.wire import commands as c
from gateway.wire.pattern import Matcher

from . import access, freshness, listing, metadata
from .access import Action
from .list_cache import Question, Recording, question_of
from .listing import DELETED_ITEMS, Catalogue, Rules, status_values
from .mailbox_commands import find
from .mailbox_names import encoded, encoder, in_utf8
from .replies import Reply, ok

if TYPE_CHECKING:
    from .session import Session

FEW: Final = 3000  # mailboxes that are read on the loop: 2-3 ms of it, where a thread takes as long again


async def list_(session: Session, command: c.List) -> Reply:
    """RFC 3501 6.3.8 and RFC 5258 with the roles of RFC 6154 and the child marks of RFC 3348 in every form of it."""
    if not command.extended and command.patterns == ("",):
        session.channel.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return ok("LIST completed")
    principal, services = session.require_principal(), session.services
    question = question_of(principal.inbox_id, in_utf8(session), command)
    if question is not None and await _send_kept(session, question):
        return ok("LIST completed")
    _note_modseqs(session, command.status)
    catalogue = await _read(services.db, principal.inbox_id, command)
    rules = Rules(
        name=encoder(session),
        status=_values(session, command.status) if command.status else None,
        readable=lambda role: access.allowed(principal, Action.READ, role),
        metadata=_metadata(session, command.metadata) if command.metadata else None,
    )
    recording = Recording(services.lists, question, catalogue.version)
    await _send(session, listing.responses(command, catalogue, rules), recording)
    return ok("LIST completed")


async def _send_kept(session: Session, question: Question) -> bool:
    """Send the answer that was kept, if it still holds."""
    services = session.services
    version = await services.db.tiny(lambda rx: rows.tree_version(rx, question.inbox_id))
    answer = services.lists.get(question, version)
    if answer is not None:
        session.channel.send(answer)
    return answer is not None


async def _send(session: Session, pieces: Iterable[bytes], recording: Recording) -> None:
    """Others get the loop between the pieces."""
    first = True
    for piece in pieces:
        if not first:
            await session.channel.breathe()
        first = False
        session.channel.send(piece)
        recording.add(piece)
    recording.keep()


async def _read(db: Database, inbox_id: InboxId, command: c.List) -> Catalogue:
    """On the loop what takes a few milliseconds of it: the rows of an inbox with FEW mailboxes."""
    if DELETED_ITEMS.isdisjoint(command.status) and not command.metadata and "SUBSCRIBED" not in command.selection:
        found = await db.tiny(lambda rx: _catalogue(rx, inbox_id, command, most=FEW))
        if len(found.mailboxes) < FEW:
            return found
    return await db.read(lambda rx: _catalogue(rx, inbox_id, command))


def _catalogue(rx: Rx, inbox_id: InboxId, command: c.List, most: int = rows.MAX_MAILBOXES) -> Catalogue:
    """All that the answer needs, from one snapshot and a statement each."""
    deleted = not DELETED_ITEMS.isdisjoint(command.status)
    found = rows.mailboxes(
        rx,
        inbox_id,
        subscribed="SUBSCRIBED" in command.returns,
        counters=bool(command.status),
        deleted=deleted,
        most=most,
    )
    subscribed = frozenset[str]()
    if "SUBSCRIBED" in command.selection:
        subscribed = frozenset(mailboxes.subscriptions(rx, inbox_id))
    noted: Mapping[int, Mapping[str, bytes]] = {}
    if command.metadata:
        noted = entries.of_mailboxes(rx, inbox_id, [entry.lower() for entry in command.metadata])
    return Catalogue(found, subscribed, noted, rows.tree_version(rx, inbox_id))


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
    if "HIGHESTMODSEQ" in items and "CONDSTORE" not in session.enabled:
        session.switch_on(("CONDSTORE",))


async def lsub(session: Session, command: c.Lsub) -> Reply:
    """RFC 3501 6.3.9: subscribed names, whether their mailboxes exist or not; with `%` the parents of deeper ones."""
    if not command.pattern:
        session.channel.send(b'* LSUB (\\Noselect) "/" ""\r\n')
        return ok("LSUB completed")
    services, inbox_id = session.services, session.require_principal().inbox_id
    question = question_of(inbox_id, in_utf8(session), command)
    if question is not None and await _send_kept(session, question):
        return ok("LSUB completed")
    version, subscribed = await services.db.read(
        lambda rx: (rows.tree_version(rx, inbox_id), mailboxes.subscriptions(rx, inbox_id))
    )
    places = listing.recursive(subscribed, [Matcher(command.reference, command.pattern)])
    await _send(session, listing.lsub_lines(places, encoder(session)), Recording(services.lists, question, version))
    return ok("LSUB completed")


async def status(session: Session, command: c.Status) -> Reply:
    """RFC 3501 6.3.10, from the row's exact counters; allowed on the selected mailbox too."""
    principal, db = session.require_principal(), session.services.db
    if freshness.wanted(session):
        mailbox = await find(session, command.mailbox)
        access.require(principal, Action.READ, mailbox.role)
        await freshness.look(session, mailbox.id)
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
