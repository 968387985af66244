"""STORE and UID STORE (RFC 3501 6.4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.store import messages
from gateway.wire import commands as c

from .access import Action
from .replies import Reply, no, ok
from .settings import CHANGE_CUT, TINY_CHANGE
from .view import ranges_of

if TYPE_CHECKING:
    from .session import Session

_GONE: Final = no("Some messages were expunged by another session", b"EXPUNGEISSUED")


async def store(session: Session, command: c.Store) -> Reply:
    """Durable before its OK; each cut is a unit of its own, so a very large one may be seen half done by others.

    RFC 2180 4.2: messages that another session expunged are left out; by number, the client is told so.
    """
    selected = session.require_selected()
    selected.require(session.require_principal(), Action.FLAG)
    view, shared = selected.view, selected.shared
    slices = view.by_uid(command.messages) if command.uid else view.by_number(command.messages)
    targets = view.uids_in(slices)
    gone = view.pending
    if gone:
        targets = type(targets)("I", [uid for uid in targets if uid not in gone])
    complete = len(targets) == sum(stop - start for start, stop in slices)
    for start in range(0, len(targets), CHANGE_CUT):
        if start:
            await session.channel.breathe()
        cut = targets[start : start + CHANGE_CUT]
        await _store_cut(session, command, list(cut))
        if shared.gone:
            break
    if not complete and not command.uid:
        return _GONE
    return ok("STORE completed")


async def _store_cut(session: Session, command: c.Store, uids: list[int]) -> None:
    selected = session.require_selected()
    state, view = selected.shared.state, selected.view
    flags = command.flags
    ranges = ranges_of(uids)
    stored = await session.services.db.write(
        lambda tx: messages.store_flags(
            tx,
            state.inbox_id,
            state.mailbox_id,
            ranges,
            command.action.value,
            flags.system,
            flags.keywords,
        ),
        inboxes=(state.inbox_id,),
        quick=len(uids) <= TINY_CHANGE,
    )
    if stored.modseq is not None:
        await selected.shared.catch_up(stored.modseq, rows=len(uids))
    if command.silent:
        # Silent about the client's own change; if somebody else changed the message since, that is told.
        view.told(dict(stored.changed))
        return
    lines, shown = [], {}
    text = state.flags_text
    for uid in uids:
        index = state.index_of(uid)
        if index is None:
            continue
        mask = shown[uid] = state.masks[index]
        if command.uid:
            lines.append(b"* %d FETCH (UID %d FLAGS (%b))\r\n" % (view.number_of(uid), uid, text(mask)))
        else:
            lines.append(b"* %d FETCH (FLAGS (%b))\r\n" % (view.number_of(uid), text(mask)))
    session.announce_keywords()
    session.channel.send(b"".join(lines))
    view.told(shown)
