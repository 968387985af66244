"""STORE and UID STORE (RFC 3501 6.4.6), UNCHANGEDSINCE (RFC 7162 3.1.3)."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from gateway.model.sequence import Ranges
from gateway.wire import commands as c
from gateway.wire import render

from . import own_change
from .access import Action
from .capabilities import CONDSTORE
from .replies import Reply, no, ok
from .selected import Selected
from .settings import CHANGE_CUT, STORE_CUT
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
    cut_at = STORE_CUT if command.silent and not session.form.modseqs else CHANGE_CUT  # else it is an answer too
    for start in range(0, len(targets), cut_at):
        if start:
            await session.channel.breathe()
        cut = targets[start : start + cut_at]
        modified += await _store_cut(session, selected, command, cut)
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


async def _store_cut(session: Session, selected: Selected, command: c.Store, uids: array[int]) -> list[int]:
    """One unit, and its responses; the UIDs that UNCHANGEDSINCE kept from being changed."""
    view, form, flags = selected.view, session.form, command.flags
    ranges = ranges_of(uids)
    flags_known = view.flags_known(ranges) if command.silent else dict
    stored = await own_change.store_flags(
        session,
        selected,
        ranges,
        len(uids),
        command.action.value,
        flags.system,
        flags.keywords,
        unchanged_since=command.unchanged_since,
    )
    refused = [uid for uid, _ in stored.refused]
    knows_all = view.knows_own(stored.since, stored.modseq)
    if not command.silent:
        _show(session, selected, ranges, by_uid=command.uid, knows_all=knows_all)
        return refused
    if knows_all and not form.modseqs:
        session.announce_keywords()
        return refused
    # RFC 3501 6.4.6: silent about what the client can reckon itself; where somebody else changed the message too,
    # before or meanwhile, what came of both is told.
    known = flags_known()
    change = own_change.effect(command.action.value, stored.mask)
    rows = view.rows(ranges)
    reckoned: dict[int, int] = {}
    for _, uid, mask, modseq in rows:
        before = known.get(uid, None if change.keep else 0)
        if modseq == stored.modseq and before is not None and change.of(before) == mask:
            reckoned[uid] = mask
    if not form.modseqs:
        view.told(reckoned)
        return refused
    _show(session, selected, ranges_of(refused), by_uid=command.uid, knows_all=knows_all)
    # The new MODSEQs of messages whose flags the client reckons itself; after UNCHANGEDSINCE, where nothing had to be
    # changed, the old ones too, for each message that passed the test gets a response (RFC 7162 3.1.3). All others were
    # refused, and shown; or somebody else changed them, and what came of it is told.
    limit = 0 if command.unchanged_since is None else command.unchanged_since
    moved = [
        (number, uid, modseq)
        for number, uid, mask, modseq in rows
        if uid in reckoned or (modseq <= limit and modseq != stored.modseq and known.get(uid) == mask)
    ]
    if moved:
        session.channel.send(form.moved_on(moved))
        selected.modseq_shown = True
        if not knows_all:
            view.told({uid: modseq for _, uid, modseq in moved})
    session.announce_keywords()
    return refused


def _show(session: Session, selected: Selected, uids: Ranges, *, by_uid: bool, knows_all: bool) -> None:
    """The flags of messages as they are now; `knows_all`: with them nothing is news to the client."""
    view, form = selected.view, session.form
    rows = view.rows(uids)
    if rows:
        session.announce_keywords()
        session.channel.send(form.stored(rows, selected.shared.state.flags_text, by_uid=by_uid))
        selected.modseq_shown = True
        if not knows_all:
            view.told({uid: modseq if form.modseqs else mask for _, uid, mask, modseq in rows})
