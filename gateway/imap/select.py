"""SELECT and EXAMINE (RFC 3501 6.3.1, RFC 9051 6.3.2), with CONDSTORE and QRESYNC (RFC 7162 3.1.8 and 3.2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.model import sequence
from gateway.wire import commands as c
from gateway.wire.fetch import ITEMS

from . import access, freshness
from .access import Action
from .capabilities import CONDSTORE
from .fetch import from_memory
from .fetch_plan import plan_of
from .mailbox_commands import find
from .mailbox_names import REV2, tell_place
from .replies import Reply, bad, ok
from .resync import changed_since, last_match, tell_vanished
from .selected import Selected, flag_list

if TYPE_CHECKING:
    from .session import Session

_CLOSED: Final = b"* OK [CLOSED] Previous mailbox is now closed\r\n"
_MISSED: Final = (ITEMS[b"FLAGS"], ITEMS[b"MODSEQ"])


async def select(session: Session, command: c.Select) -> Reply:
    return await _open(session, command, examine=False)


async def examine(session: Session, command: c.Examine) -> Reply:
    return await _open(session, command, examine=True)


async def _open(session: Session, command: c.Select | c.Examine, *, examine: bool) -> Reply:
    """RFC 3501 6.3.1: whatever comes of it, the mailbox that was selected is no longer; but BAD leaves it."""
    if command.resync is not None and "QRESYNC" not in session.enabled:
        return bad("QRESYNC must be enabled first")  # RFC 7162 3.2.3
    if session.selected is not None:
        session.unselect()
        session.channel.send(_CLOSED)  # RFC 7162 3.2.11, whatever is enabled
    if command.condstore:
        session.switch_on(CONDSTORE)
    principal = session.require_principal()
    mailbox = await find(session, command.mailbox)
    access.require(principal, Action.READ, mailbox.role)
    if freshness.wanted(session):
        await freshness.look(session, mailbox.id)
    shared = await session.services.states.open(mailbox)
    read_only = examine or not access.writable(principal, mailbox.role)
    selected = Selected(shared, mailbox, read_only=read_only)
    session.select(selected)
    rev2 = REV2 in session.enabled
    session.channel.send(_described(selected, rev2=rev2, numbers="UIDONLY" not in session.enabled))
    await tell_place(session, mailbox.name, given=command.given, always=True)
    if command.resync is not None:
        await _resynchronise(session, selected, command.resync)
    done = "EXAMINE completed" if examine else "SELECT completed"
    return ok(done, b"READ-ONLY" if read_only else b"READ-WRITE")


def _described(selected: Selected, *, rev2: bool, numbers: bool) -> bytes:
    """The untagged responses. HIGHESTMODSEQ always: each mailbox keeps MODSEQs, so NOMODSEQ is never said."""
    state = selected.shared.state
    flags = flag_list(state)
    lines = [
        b"* FLAGS (%b)\r\n" % flags,
        b"* OK [PERMANENTFLAGS (%b)] Flags permitted\r\n" % (b"" if selected.read_only else flags + b" \\*"),
        b"* %d EXISTS\r\n" % selected.view.length,
    ]
    if not rev2:  # RFC 9051 E: neither RECENT nor UNSEEN
        lines.append(b"* 0 RECENT\r\n")
        unseen = state.first_unseen() if numbers else None  # a message number (RFC 9586 3)
        if unseen is not None:
            lines.append(b"* OK [UNSEEN %d] First unseen\r\n" % (unseen + 1))
    lines.append(b"* OK [UIDVALIDITY %d] UIDs valid\r\n" % state.uidvalidity)
    lines.append(b"* OK [UIDNEXT %d] Predicted next UID\r\n" % state.uidnext)
    lines.append(b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % state.highest_modseq)
    lines.append(b"* OK [MAILBOXID (%b)] Ok\r\n" % selected.mailbox.object_id.encode("ascii"))  # RFC 8474 4.2
    lines.append(b"* OK [URLMECH INTERNAL] Signs URLs\r\n")  # RFC 4467 7
    return b"".join(lines)


async def _resynchronise(session: Session, selected: Selected, resync: c.Resync) -> None:
    """What the client has missed; nothing of it when the UIDVALIDITY is another (RFC 7162 3.2.5)."""
    view, state = selected.view, selected.shared.state
    if resync.uidvalidity != state.uidvalidity:
        return
    ever = ((1, state.uidnext - 1),) if state.uidnext > 1 else ()
    known = ever if resync.known is None else resync.known.resolve(0)
    certain = 0
    if resync.matched is not None:
        numbers, uids = resync.matched
        certain = last_match(view.uids, view.length, numbers.pairs, uids.pairs)
    await tell_vanished(session, selected, known, resync.modseq, certain=certain)
    slices = await changed_since(session, view, view.by_uid(sequence.SequenceSet(known)), resync.modseq)
    await from_memory(session, selected, slices, plan_of(_MISSED, True, session.form))
    selected.modseq_shown = False  # this command has told the HIGHESTMODSEQ
