"""GETMETADATA and SETMETADATA (RFC 5464), with a mailbox's special use as one of its entries (RFC 6154 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from gateway.model.errors import NotFound
from gateway.model.ids import InboxId, ModSeq
from gateway.model.mailbox import Mailbox
from gateway.store import entries, mailboxes
from gateway.store.db import Rx, Tx
from gateway.store.entries import SERVER, SPECIAL_USE
from gateway.wire import commands as c

from . import access, filters
from .access import Action
from .listing import metadata_line
from .mailbox_names import encoded
from .replies import Reply, no, ok
from .special_use import SUPPORTED

if TYPE_CHECKING:
    from .session import Session

_PRIVATE: Final = "/private/"
_PIECE: Final = 32 * 1024  # octets of a response, about: others get the loop after it
_READ_ONLY: Final = no("The shared annotations of the server cannot be changed", b"NOPERM")
_UNSUPPORTED: Final = no("This special use is not supported", b"USEATTR")


async def getmetadata(session: Session, command: c.GetMetadata) -> Reply:
    """RFC 5464 4.2. An entry without a value is answered with NIL; with DEPTH only what is there is."""
    principal, services = session.require_principal(), session.services
    role, found = await services.db.read(lambda rx: _read(rx, principal.inbox_id, command.mailbox))
    access.require(principal, Action.READ, role)
    values: Mapping[str, bytes] = with_special_use(found, role)
    if not command.mailbox:
        settings = services.settings
        shared = {"/shared/comment": settings.server_comment, "/shared/admin": settings.server_admin}
        values = found | {entry: text.encode() for entry, text in shared.items() if text}
    longest = 0
    name = encoded(session, command.mailbox)
    piece: list[tuple[str, bytes | None]] = []
    octets = 0
    for entry, value in _wanted(command, values):
        if value is not None and command.maxsize is not None and len(value) > command.maxsize:
            longest = max(longest, len(value))
            continue
        piece.append((entry, value))
        octets += len(value or b"")
        if octets > _PIECE:
            session.channel.send(metadata_line(name, piece))
            piece.clear()
            octets = 0
            await session.channel.breathe()
    if piece:
        session.channel.send(metadata_line(name, piece))
    return ok("GETMETADATA completed", b"METADATA LONGENTRIES %d" % longest if longest else None)


def _read(rx: Rx, inbox_id: InboxId, name: str) -> tuple[str | None, dict[str, bytes]]:
    """The role and the entries of a mailbox; names that only hold mailboxes have entries too. NotFound."""
    if not name:
        return None, entries.of_mailbox(rx, inbox_id, SERVER)
    mailbox = mailboxes.by_name(rx, inbox_id, name)
    if mailbox is None:
        raise NotFound("Folder not found")
    return mailbox.role, entries.of_mailbox(rx, inbox_id, mailbox.id)


def with_special_use(found: Mapping[str, bytes], role: str | None) -> Mapping[str, bytes]:
    return found if role is None else {**found, SPECIAL_USE: role.encode("ascii")}


def _wanted(command: c.GetMetadata, values: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | None]]:
    """The entries to answer with, none twice; those asked for by name are spelled as the client did."""
    told: set[str] = set()
    for entry in command.entries:
        folded = entry.lower()
        if folded not in told and (folded in values or command.depth is c.Depth.SELF):
            told.add(folded)
            yield entry, values.get(folded)
        if command.depth is c.Depth.SELF:
            continue
        for name, value in sorted(values.items()):
            below = name[len(folded) + 1 :] if name.startswith(folded + "/") else ""
            if below and name not in told and (command.depth is c.Depth.ALL or "/" not in below):
                told.add(name)
                yield name, value


async def setmetadata(session: Session, command: c.SetMetadata) -> Reply:
    """RFC 5464 4.3: all entries or none. Another mailbox that loses its special use by it is told (RFC 6154 5.4)."""
    principal = session.require_principal()
    access.require(principal, Action.FOLDERS)
    values = dict(command.values)
    if not command.mailbox and not all(entry.startswith(_PRIVATE) for entry in values):
        return _READ_ONLY
    if not command.mailbox:
        filters.check(values)
    uses: list[str | None] = []
    if command.mailbox and SPECIAL_USE in values:
        use = (values.pop(SPECIAL_USE) or b"").decode("ascii", "replace").strip()
        role = SUPPORTED.get(use.lower())
        if use and role is None:
            return _UNSUPPORTED
        uses.append(role)

    def unit(tx: Tx) -> tuple[list[ModSeq], Mailbox | None]:
        mailbox = None
        if command.mailbox:
            mailbox = mailboxes.by_name(tx, principal.inbox_id, command.mailbox)
            if mailbox is None:
                raise NotFound("Folder not found")
            access.require(principal, Action.READ, mailbox.role)
        drawn = [entries.change(tx, principal.inbox_id, mailbox.id if mailbox else SERVER, values)]
        displaced = None
        for role in uses:
            modseq, displaced = mailboxes.set_role(tx, principal.inbox_id, command.mailbox, role)
            drawn.append(modseq)
        return [modseq for modseq in drawn if modseq is not None], displaced

    octets = sum(len(value) for value in values.values() if value is not None)
    modseqs, displaced = await session.services.db.write(unit, inboxes=(principal.inbox_id,), octets=octets)
    if session.metadata_news is not None:
        session.metadata_news.made(modseqs)
    if displaced is not None:
        session.channel.send(metadata_line(encoded(session, displaced.name), [(SPECIAL_USE, None)]))
    return ok("SETMETADATA completed")
