"""STORE and UID STORE (RFC 3501 6.4.6), UNCHANGEDSINCE (RFC 7162 3.1.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from gateway.store import messages
from gateway.store.flags import FlagsStored
from gateway.wire import commands as c
from gateway.wire import render

from .access import Action
from .capabilities import CONDSTORE
from .replies import Reply, no, ok
from .selected import Selected
from .settings import CHANGE_CUT, TINY_CHANGE
from .view import ranges_of

if TYPE_CHECKING:
    from .session import Session

_GONE: Final = no("Some messages were expunged by another session", b"EXPUNGEISSUED")


async def store(session: Session, command: c.Store) -> Reply:
    """Durable before its OK; each cut is a unit of its own, so a very large one may be seen half done by others.

    RFC 2180 4.2: messages that another session expunged are left out; by number, the client is told so. RFC 7162 3.1.3:
    those that changed after UNCHANGEDSINCE are left as they are, shown as they are, and named by MODIFIED.
    """
    selected = session.require_selected()
    selected.require(session.require_principal(), Action.FLAG)
    view, shared = selected.view, selected.shared
    slices = view.by_uid(command.messages) if command.uid else view.by_number(command.messages)
    if command.unchanged_since is not None:
        session.switch_on(CONDSTORE)
    targets = view.uids_in(slices)
    gone = view.pending
    if gone:
        targets = type(targets)("I", [uid for uid in targets if uid not in gone])
    complete = len(targets) == sum(stop - start for start, stop in slices)
    modified: list[int] = []
    for start in range(0, len(targets), CHANGE_CUT):
        if start:
            await session.channel.breathe()
        cut = targets[start : start + CHANGE_CUT]
        modified += await _store_cut(session, selected, command, list(cut))
        if shared.gone:
            break
    if modified:
        numbers = modified if command.uid else [view.number_of(uid) for uid in modified]
        code = b"MODIFIED " + render.sequence_set(ranges_of(numbers))
        if not complete and not command.uid:
            return no("Some messages no longer exist", code)  # RFC 7162 3.1.3, example 11
        return ok("Conditional STORE failed", code)
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


async def _store_cut(session: Session, selected: Selected, command: c.Store, uids: list[int]) -> list[int]:
    """One unit, and its responses; the UIDs that UNCHANGEDSINCE kept from being changed."""
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
            unchanged_since=command.unchanged_since,
        ),
        inboxes=(state.inbox_id,),
        quick=len(uids) <= TINY_CHANGE,
        relaxed=True,
    )
    refused = [uid for uid, _ in stored.refused]
    seen = max((modseq for _, modseq in stored.refused), default=0)  # another node's change may not be known here yet
    if stored.modseq is not None or seen:
        await selected.shared.catch_up(max(stored.modseq or 0, seen), rows=len(uids))
    if not command.silent:
        _show(session, selected, uids, by_uid=command.uid)
        return refused
    # RFC 3501 6.4.6: silent about what the client can reckon itself; where somebody else changed the message too,
    # before or meanwhile, what came of both is told.
    own = _own_change(command.action, flags.system | _keyword_mask(state.keywords, flags.keywords))
    reckoned = {uid: mask for uid, mask in stored.changed if own(known.get(uid)) == mask}
    if not session.form.modseqs:
        view.told(reckoned)
        return refused
    _show(session, selected, refused, by_uid=command.uid)
    _show_modseqs(session, selected, uids, reckoned, stored, command.unchanged_since)
    return refused


def _show(session: Session, selected: Selected, uids: Iterable[int], *, by_uid: bool) -> None:
    """The flags of messages as they are now."""
    state, view, form = selected.shared.state, selected.view, session.form
    lines, shown = [], {}
    text = state.flags_text
    for uid in uids:
        index = state.index_of(uid)
        if index is None:
            continue
        mask, modseq = state.masks[index], state.modseqs[index]
        shown[uid] = modseq if form.modseqs else mask
        lines.append(form.stored(view.number_of(uid), uid, text(mask), modseq, by_uid=by_uid))
    if lines:
        session.announce_keywords()
        session.channel.send(b"".join(lines))
        selected.modseq_shown = True
        view.told(shown)


def _show_modseqs(
    session: Session,
    selected: Selected,
    uids: Iterable[int],
    reckoned: Mapping[int, int],
    stored: FlagsStored,
    unchanged_since: int | None,
) -> None:
    """The new MODSEQs of messages whose flags the client reckons itself; after UNCHANGEDSINCE, where nothing had to be
    changed, the old ones too, for each message that passed the test gets a response (RFC 7162 3.1.3)."""
    state, view, form = selected.shared.state, selected.view, session.form
    lines, shown = [], {}
    changed = {uid for uid, _ in stored.changed}
    for uid in uids:
        if uid in reckoned:
            assert stored.modseq is not None
            modseq: int = stored.modseq
            shown[uid] = modseq
        elif unchanged_since is not None and uid not in changed and (index := state.index_of(uid)) is not None:
            modseq = state.modseqs[index]
            if modseq > unchanged_since:  # refused, and shown; or changed since by somebody else, and told with it
                continue
        else:
            continue
        lines.append(form.moved_on(view.number_of(uid), uid, modseq))
    if lines:
        session.channel.send(b"".join(lines))
        selected.modseq_shown = True
        view.told(shown)
