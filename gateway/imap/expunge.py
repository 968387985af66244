"""EXPUNGE, UID EXPUNGE (RFC 4315 2.1) and CLOSE: removing what carries \\Deleted."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from gateway.model.flags import DELETED
from gateway.wire import commands as c

from . import access, own_change
from .access import Action
from .replies import Reply, ok
from .settings import CHANGE_CUT
from .view import Slices, ranges_of

if TYPE_CHECKING:
    from .session import Session


async def expunge(session: Session, command: c.Expunge) -> Reply:
    """Takes only what this session has been told of; the EXPUNGE responses go out cut by cut."""
    selected = session.require_selected()
    selected.require(session.require_principal(), Action.REMOVE)
    view = selected.view
    slices = [(0, view.length)] if command.uids is None else view.by_uid(command.uids)
    await _remove(session, slices, tell=True)
    return ok("EXPUNGE completed")


async def close(session: Session, command: c.Close) -> Reply:
    """RFC 3501 6.4.2: expunge without a word, then no mailbox is selected. After EXAMINE nothing is removed."""
    selected = session.require_selected()
    if not selected.read_only and access.allowed(session.require_principal(), Action.REMOVE, selected.mailbox.role):
        await _remove(session, [(0, selected.view.length)], tell=False)
    session.unselect()
    return ok("CLOSE completed")


async def _remove(session: Session, slices: Slices, *, tell: bool) -> None:
    selected = session.require_selected()
    view = selected.view
    doomed = array("I")
    for start, stop in slices:
        masks = view.masks_of(start, stop)
        doomed.extend(
            [uid for uid, mask in zip(view.uids[start:stop], masks, strict=True) if mask & DELETED]
        )
    for start in range(0, len(doomed), CHANGE_CUT):
        if start:
            await session.channel.breathe()
        cut = doomed[start : start + CHANGE_CUT]
        await own_change.expunge(session, selected, ranges_of(cut), len(cut))
        if tell:
            await session.tell(expunge=True, own=True)
