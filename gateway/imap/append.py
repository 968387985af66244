"""APPEND (RFC 3501 6.3.11): the message streams into the store while it comes in, and one unit attaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError, NotFound, TooBig, Unavailable
from gateway.model.mailbox import Mailbox
from gateway.store import content, messages
from gateway.store.db import Tx
from gateway.wire import commands as c
from gateway.wire import render
from gateway.wire.events import AppendEnd, Fatal, LiteralData, LiteralEnd, Rejected

from . import access
from .access import Action
from .channel import Closed
from .mailbox_commands import find
from .replies import Reply, bad, no, ok

if TYPE_CHECKING:
    from gateway.ingest.writer import ContentWriter

    from .session import Session

TRYCREATE: Final = no("Folder not found", b"TRYCREATE")
_CONTINUE: Final = b"+ Ready for literal data\r\n"


async def append(session: Session, command: c.Append) -> Reply:
    """What can be refused is refused before the client sends the message; one that comes anyway is drained."""
    channel, services = session.channel, session.services
    if command.utf8 and "UTF8=ACCEPT" not in session.enabled:
        channel.reader.refuse()
        return no("Enable UTF8=ACCEPT first")
    if command.binary and not command.utf8:
        channel.reader.refuse()
        return bad("A literal8 needs the BINARY extension")
    try:
        target = await _target(session, command)
    except NotFound:
        channel.reader.refuse()
        return TRYCREATE
    except BaseException:
        channel.reader.refuse()
        raise
    if command.synchronising:
        channel.send(_CONTINUE)
    writer = services.ingest.writer(max_size=services.settings.max_message_size)
    try:
        refusal = await _receive(session, writer, b")" if command.utf8 else b"")
        if refusal is not None:
            await writer.abort()
            return refusal
        staged = await writer.finish()
    except BaseException:
        channel.reader.refuse()
        await writer.abort()
        raise
    try:
        return await _attach(session, command, target, staged)
    except Unavailable:
        raise  # it may have been attached after all: what was staged is the janitor's to judge
    except GatewayError as error:
        await writer.abort()
        if isinstance(error, NotFound):
            return TRYCREATE
        raise


async def _target(session: Session, command: c.Append) -> Mailbox:
    target = await find(session, command.mailbox)
    access.require(session.require_principal(), Action.ADD, target.role)
    if command.size > session.services.settings.max_message_size:
        raise TooBig("Message is too big")
    if not session.services.db.writable:
        raise Unavailable("The store is read-only")
    return target


async def _receive(session: Session, writer: ContentWriter, after: bytes) -> Reply | None:
    """All octets of the literal into `writer`, and the command's end, which is `after`; the reply when that fails."""
    while True:
        event = await session.channel.next_event()
        if isinstance(event, LiteralData):
            session.heard()
            await writer.write(event.data)
        elif isinstance(event, AppendEnd):
            return None if event.text == after else bad("Unexpected text after the message")
        elif isinstance(event, Rejected):
            return bad(event.text)
        elif isinstance(event, Fatal):
            session.bye(no(event.text).text)
            raise Closed
        elif not isinstance(event, LiteralEnd):
            # RFC 3502 MULTIAPPEND is not advertised: another literal in the command is no APPEND we know.
            session.channel.reader.refuse()
            return bad("One message at a time")


async def _attach(
    session: Session, command: c.Append, target: Mailbox, staged: content.StagedContent
) -> Reply:
    """One unit: the content is complete, has a UID and is durable, or nothing of it is there.

    NotFound when the mailbox went while the message came in, LimitReached for a keyword too many.
    """
    services, now = session.services, int(session.services.clock())

    def unit(tx: Tx) -> messages.Appended:
        content.complete(tx, staged, now)
        return messages.append(
            tx,
            target.id,
            target.inbox_id,
            staged,
            internal_date=now if command.date is None else command.date,
            flags=command.flags.system,
            keywords=command.flags.keywords,
            now=now,
        )

    appended = await services.db.write(unit, inboxes=(target.inbox_id,), octets=staged.size, quick=staged.quick)
    selected = session.selected
    if selected is not None and selected.mailbox.id == target.id:
        await selected.shared.catch_up(appended.modseq, rows=1)  # RFC 3501 6.3.11: EXISTS at once
    services.metrics.count("imap_appended_octets_total", staged.size)
    code = render.append_uid(appended.uidvalidity, [(appended.uid, appended.uid)])
    return ok("APPEND completed", code)
