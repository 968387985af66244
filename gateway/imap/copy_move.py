"""COPY and MOVE (RFC 3501 6.4.7, RFC 6851) with COPYUID (RFC 4315 3)."""

from __future__ import annotations

import asyncio
from array import array
from typing import TYPE_CHECKING, Final

from gateway.model.errors import NotFound
from gateway.model.mailbox import Mailbox
from gateway.model.sequence import SequenceSet, numbers_of
from gateway.store import messages
from gateway.wire import commands as c
from gateway.wire import render

from . import access, outbox
from .access import Action
from .mailbox_commands import find
from .outbox import OUTBOX
from .quota import NEAR
from .replies import Reply, no, ok
from .selected import Selected
from .settings import CHANGE_CUT

if TYPE_CHECKING:
    from .session import Session

TRYCREATE: Final = no("Folder not found", b"TRYCREATE")


async def copy(session: Session, command: c.Copy) -> Reply:
    """One unit whatever its size: all or nothing (RFC 3501 6.4.7). MessageGone when one of them has vanished."""
    selected = session.require_selected()
    uids = _resolve(selected, command.uid, command.messages)
    principal, services = session.require_principal(), session.services
    if command.mailbox == OUTBOX and await outbox.held_by(session, selected, uids):
        return outbox.NO_COPY
    try:
        target = await find(session, command.mailbox)
        access.require(principal, Action.ADD, target.role)
        if not uids:
            return ok("COPY completed, no messages")
        source, now = selected.mailbox, int(services.clock())
        wanted = uids.tolist()
        copied = await services.db.write(
            lambda tx: messages.copy(tx, source.inbox_id, source.id, wanted, target.id, now=now),
            inboxes=(source.inbox_id,),
        )
    except NotFound:
        return TRYCREATE
    if copied.modseq is not None:
        session.made(target.id, numbers_of(copied.dst_uids))
        await _follow(session, target, copied.modseq, len(wanted))
    if copied.nearly_full:
        session.channel.send(NEAR)
    if len(copied.src_uids) <= CHANGE_CUT:
        return ok("COPY completed", _copyuid(copied))
    return ok("COPY completed", await asyncio.to_thread(_copyuid, copied))  # 100,000 UIDs take 50-80 ms to write


async def move(session: Session, command: c.Move) -> Reply:
    """Cut by cut: untagged COPYUID, then the EXPUNGEs of that cut (RFC 6851 4.3)."""
    selected = session.require_selected()
    uids = _resolve(selected, command.uid, command.messages)
    principal = session.require_principal()
    selected.require(principal, Action.REMOVE)
    if command.mailbox == OUTBOX and uids and not (uids := await outbox.send(session, selected, uids)):
        return ok("MOVE completed")
    try:
        target = await find(session, command.mailbox)
        access.require(principal, Action.ADD, target.role)
        for start in range(0, len(uids), CHANGE_CUT):
            if start:
                await session.channel.breathe()
            cut = uids[start : start + CHANGE_CUT].tolist()
            await _move_cut(session, selected, cut, target)
    except NotFound:
        return TRYCREATE
    return ok("MOVE completed")


async def _move_cut(session: Session, selected: Selected, cut: list[int], target: Mailbox) -> None:
    source, now = selected.mailbox, int(session.services.clock())
    moved = await session.services.db.write(
        lambda tx: messages.move(tx, source.inbox_id, source.id, cut, target.id, now=now),
        inboxes=(source.inbox_id,),
    )
    if moved.modseq is None:
        return
    session.made(target.id, numbers_of(moved.dst_uids))
    session.channel.send(b"* OK [%b] Moved\r\n" % _copyuid(moved))
    await selected.shared.catch_up(moved.modseq, rows=len(cut))
    await session.tell(expunge=True, own=True)


def _resolve(selected: Selected, uid: bool, numbers: SequenceSet) -> array[int]:
    """The messages meant, in the order of their numbers, also those another session has expunged."""
    view = selected.view
    return view.uids_in(view.by_uid(numbers) if uid else view.by_number(numbers))


def _copyuid(copied: messages.Copied) -> bytes:
    return render.copy_uid(copied.uidvalidity, copied.src_uids, numbers_of(copied.dst_uids))


async def _follow(session: Session, target: Mailbox, modseq: int, rows: int) -> None:
    """A copy into the selected mailbox itself is announced with this command."""
    selected = session.selected
    if selected is not None and selected.mailbox.id == target.id:
        await selected.shared.catch_up(modseq, rows=rows)
