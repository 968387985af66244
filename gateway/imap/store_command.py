"""STORE and UID STORE (RFC 3501 6.4.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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


def _own_change(action: c.StoreAction, mask: int) -> Callable[[int | None], int | None]:
    """What flags the client knows (None: it does not know all of them) become if nobody else touches them."""
    if action is c.StoreAction.SET:
        return lambda before: mask
    if action is c.StoreAction.ADD:
        return lambda before: None if before is None else before | mask
    return lambda before: None if before is None else before & ~mask


def _keyword_mask(known: Mapping[int, str], names: Iterable[str]) -> int:
    wanted = {name.lower() for name in names}
    return sum(1 << bit for bit, name in known.items() if name.lower() in wanted) if wanted else 0


async def _store_cut(session: Session, command: c.Store, uids: list[int]) -> None:
    selected = session.require_selected()
    state, view = selected.shared.state, selected.view
    flags = command.flags
    ranges = ranges_of(uids)
    known = view.flags_known(uids) if command.silent else {}
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
        # RFC 3501 6.4.6: silent about what the client can reckon itself; where somebody else changed the message
        # too, before or meanwhile, what came of both is told.
        own = _own_change(command.action, flags.system | _keyword_mask(state.keywords, flags.keywords))
        view.told({uid: mask for uid, mask in stored.changed if own(known.get(uid)) == mask})
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
