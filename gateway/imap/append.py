"""APPEND (RFC 3501 6.3.11, RFC 3502, RFC 4469) and REPLACE (RFC 8508): messages stream in, one unit attaches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gateway.model.errors import GatewayError, MessageGone, NotFound, Unavailable
from gateway.model.ids import ModSeq, Uid
from gateway.model.mailbox import Mailbox
from gateway.store import content, messages
from gateway.store.db import Tx
from gateway.submit.errors import RateExceeded
from gateway.wire import commands as c
from gateway.wire import render

from . import access, outbox
from .access import Action
from .mailbox_commands import find
from .outbox import Fate
from .quota import NEAR
from .replies import Reply, no, ok
from .selected import Selected
from .upload import Refused, Upload

if TYPE_CHECKING:
    from .session import Session

TRYCREATE: Final = no("Folder not found", b"TRYCREATE")
_NO_SUCH: Final = no("There is no such message", b"NONEXISTENT")


async def append(session: Session, command: c.Append) -> Reply:
    """What can be refused is refused before the client sends the message; one that comes anyway is skipped."""
    try:
        target = await _target(session, command.mailbox)
    except BaseException as error:
        session.channel.reader.refuse()
        if isinstance(error, NotFound):
            return TRYCREATE
        raise
    appended = await _receive(session, Upload(session), command, target, None)
    if isinstance(appended, Reply):
        return appended
    session.made(target.id, [made.uid for made in appended])
    await _announce(session, target, appended)
    return ok("APPEND completed", _code(appended))


async def replace(session: Session, command: c.Replace) -> Reply:
    """RFC 8508: the new message is there and the old one is gone, or nothing has happened."""
    selected = session.require_selected()
    view = selected.view
    try:
        slices = view.by_uid(command.message) if command.uid else view.by_number(command.message)
        selected.require(session.require_principal(), Action.REMOVE)
        target = await _target(session, command.mailbox)
    except BaseException as error:
        session.channel.reader.refuse()
        if isinstance(error, NotFound):
            return TRYCREATE
        raise
    uids = view.uids_in(slices)
    if not uids or uids[0] in view.pending:
        session.channel.reader.refuse()
        return _NO_SUCH
    appended = await _receive(session, Upload(session, replaces=True), command, target, (selected, Uid(uids[0])))
    if isinstance(appended, Reply):
        return appended
    session.made(target.id, [made.uid for made in appended])
    # Before EXPUNGE, as RFC 8508 4.3 advises.
    session.channel.send(b"* OK [%b] Replacement message ready\r\n" % _code(appended))
    await selected.shared.catch_up(appended[-1].modseq, rows=2)
    await session.tell(expunge=True, own=True)
    return ok("REPLACE completed")


async def _target(session: Session, mailbox: str) -> Mailbox:
    target = await find(session, mailbox)
    access.require(session.require_principal(), Action.ADD, target.role)
    if not session.services.db.writable:
        raise Unavailable("The store is read-only")
    return target


async def _receive(
    session: Session,
    upload: Upload,
    command: c.Append | c.Replace,
    target: Mailbox,
    replaced: tuple[Selected, Uid] | None,
) -> list[messages.Appended] | Reply:
    try:
        await upload.receive(command.first, command.place)
    except Refused as error:
        await upload.abort()
        return error.reply
    except BaseException:
        await upload.abort()
        raise
    try:
        return await _attach(session, upload, target, replaced)
    except Unavailable:
        raise  # it may have been attached after all: what was staged is the janitor's to judge
    except GatewayError as error:
        await upload.abort()
        if isinstance(error, NotFound):
            return TRYCREATE
        raise


async def _attach(
    session: Session, upload: Upload, target: Mailbox, replaced: tuple[Selected, Uid] | None
) -> list[messages.Appended]:
    """One unit: all contents are complete, have UIDs and are durable, or nothing of them is there (RFC 3502).

    NotFound when the mailbox went while they came in, LimitReached for a keyword too many, MessageGone when the
    replaced message was expunged meanwhile.
    """
    fates = await outbox.fates(session, upload, target)
    try:
        appended = await _write(session, upload, target, replaced, fates)
    except RateExceeded as error:
        fates = outbox.refused(fates, str(error))
        appended = await _write(session, upload, target, replaced, fates)
    outbox.tell(session, fates)
    return appended


async def _write(
    session: Session,
    upload: Upload,
    target: Mailbox,
    replaced: tuple[Selected, Uid] | None,
    fates: Sequence[Fate],
) -> list[messages.Appended]:
    services, now = session.services, int(session.services.clock())

    def unit(tx: Tx) -> list[messages.Appended]:
        if replaced is not None:  # first: only what is used in the end counts for a quota (RFC 8508 3.4)
            source, uid = replaced[0].mailbox, replaced[1]
            gone = messages.expunge(tx, source.inbox_id, source.id, [uid], only_deleted=False, now=now)
            if gone.modseq is None:
                raise MessageGone("The message was expunged by another session")
        done = []
        for message, fate in zip(upload.messages, fates, strict=True):
            content.complete(tx, message.staged, now)
            done.append(
                messages.append(
                    tx,
                    target.id,
                    target.inbox_id,
                    message.staged,
                    internal_date=now if message.date is None else message.date,
                    flags=message.flags.system,
                    keywords=(*message.flags.keywords, *fate.keywords),
                    now=now,
                    email_id=fate.email_id,
                )
            )
            fate.keep(tx)
        return done

    quick = upload.quick and replaced is None and all(fate.plan is None for fate in fates)
    appended = await services.db.write(unit, inboxes=(target.inbox_id,), octets=upload.octets, quick=quick)
    services.metrics.count("imap_appended_octets_total", upload.octets)
    if appended[-1].nearly_full:
        session.channel.send(NEAR)
    return appended


async def _announce(session: Session, target: Mailbox, appended: list[messages.Appended]) -> None:
    selected = session.selected
    if selected is not None and selected.mailbox.id == target.id:
        last: ModSeq = appended[-1].modseq
        await selected.shared.catch_up(last, rows=len(appended))  # RFC 3501 6.3.11: EXISTS at once


def _code(appended: list[messages.Appended]) -> bytes:
    return render.append_uid(appended[0].uidvalidity, render.in_order(made.uid for made in appended))
