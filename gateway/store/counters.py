"""The inbox's counter and its lock: where every change of mail begins.

Every change takes MODSEQ = highest + 1 of its *inbox* under the inbox row's lock, so that MODSEQ order is commit order
and a cursor never misses what commits later (architecture.md, invariant 2). A unit draws one value an inbox,
however much it changes, and only when it really changes something.
"""

from __future__ import annotations

from gateway.model.errors import NotFound
from gateway.model.ids import InboxId, MailboxId, ModSeq, UidValidity

from .db import Tx
from .statements import Stmt

_LOCK = Stmt("SELECT id FROM inbox WHERE id IN :LIST(inboxes) ORDER BY id FOR UPDATE")
_MODSEQ = Stmt("SELECT modseq FROM inbox WHERE id = :inbox")
_MODSEQS = Stmt(
    "SELECT i.modseq, m.highest_modseq FROM inbox AS i LEFT JOIN mailbox AS m ON m.id = :mailbox AND m.inbox_id = i.id"
    " WHERE i.id = :inbox"
)
_FLAGS = Stmt(
    "SELECT i.modseq, m.highest_modseq, m.flag_record, m.flag_floor FROM inbox AS i"
    " LEFT JOIN mailbox AS m ON m.id = :mailbox AND m.inbox_id = i.id WHERE i.id = :inbox"
)
_APPLY = Stmt(
    "UPDATE inbox SET modseq = :modseq, messages = messages + :messages, octets = octets + :octets WHERE id = :inbox"
)
_APPLY_MAILBOX = Stmt(
    "UPDATE mailbox SET highest_modseq = :modseq, messages = messages + :messages, unseen = unseen + :unseen,"
    " octets = octets + :octets WHERE id = :mailbox"
)
_APPLY_FLAGS = Stmt(
    "UPDATE mailbox SET highest_modseq = :modseq, unseen = unseen + :unseen, flag_record = :record,"
    " flag_floor = :floor WHERE id = :mailbox"
)
_UIDVALIDITY = Stmt(
    "UPDATE inbox SET last_uidvalidity = CASE WHEN last_uidvalidity >= :now THEN last_uidvalidity + 1 ELSE :now END"
    " WHERE id = :inbox RETURNING last_uidvalidity"
)


_RELAXED = Stmt("SELECT 1 FROM meta WHERE key = 'relaxed'")
_SKIP = Stmt("UPDATE inbox SET modseq = modseq + 1000000")
_SET_RELAXED = Stmt("INSERT INTO meta (key, value) VALUES ('relaxed', '1') ON CONFLICT (key) DO NOTHING")
_UNSET_RELAXED = Stmt("DELETE FROM meta WHERE key = 'relaxed'")


def begin_relaxed(tx: Tx, relaxed: bool) -> None:
    """A server starts, with `relaxed` units or without.

    After a run that had them a million MODSEQs of each inbox are left out: a power failure may have undone changes
    that clients were told of, and their MODSEQs must not be given to others (RFC 7162 3.1.2.1 asks that they rise).
    """
    if tx.scalar(_RELAXED):
        tx.run(_SKIP)
    tx.run(_SET_RELAXED if relaxed else _UNSET_RELAXED)


def lock(tx: Tx, *inboxes: InboxId) -> None:
    """Hold the rows of `inboxes` till commit. Call it before reading what the unit will change.

    A statement of its own on PostgreSQL: all parts of one statement share a snapshot taken before the lock was got,
    and would bring back what another unit just expunged. SQLite's only writer needs none.
    """
    if tx.dialect == "sqlite":
        return
    missing = [inbox for inbox in inboxes if inbox not in tx.locked]
    if missing:
        tx.do(_LOCK, inboxes=missing)
        tx.locked.update(missing)


def peek(tx: Tx, inbox_id: InboxId) -> ModSeq:
    """The MODSEQ this unit's changes of the inbox get, to be written into rows before it is known whether any
    changes; it counts only once `apply` was called. Locks the inbox. NotFound when there is no such inbox."""
    drawn = tx.modseqs.get(inbox_id)
    if drawn is not None:
        return drawn
    lock(tx, inbox_id)
    last = tx.scalar(_MODSEQ, inbox=inbox_id)
    if last is None:
        raise NotFound("Inbox does not exist")
    return ModSeq(last + 1)


def peek_mailbox(tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId) -> tuple[ModSeq, ModSeq]:
    """`peek`, and the mailbox's HIGHESTMODSEQ now: who knows it up to there knows all but this unit's own change.

    0 for a mailbox that is gone.
    """
    lock(tx, inbox_id)
    found = tx.one(_MODSEQS, inbox=inbox_id, mailbox=mailbox_id)
    if found is None:
        raise NotFound("Inbox does not exist")
    last, highest = found
    return tx.modseqs.get(inbox_id) or ModSeq(last + 1), ModSeq(highest or 0)


def peek_flags(tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId) -> tuple[ModSeq, ModSeq, str, int]:
    """`peek_mailbox`, and the mailbox's `flag_record` and its floor."""
    lock(tx, inbox_id)
    found = tx.one(_FLAGS, inbox=inbox_id, mailbox=mailbox_id)
    if found is None:
        raise NotFound("Inbox does not exist")
    last, highest, record, floor = found
    return tx.modseqs.get(inbox_id) or ModSeq(last + 1), ModSeq(highest or 0), record or "", floor or 0


def apply(tx: Tx, inbox_id: InboxId, modseq: ModSeq, *, messages: int = 0, octets: int = 0) -> None:
    """Take the value that `peek` showed, and count what was added or removed."""
    if messages or octets or inbox_id not in tx.modseqs:
        tx.do(_APPLY, inbox=inbox_id, modseq=modseq, messages=messages, octets=octets)
    tx.modseqs[inbox_id] = modseq


def draw(tx: Tx, inbox_id: InboxId) -> ModSeq:
    """`peek` and `apply` for a unit that certainly changes something."""
    modseq = peek(tx, inbox_id)
    apply(tx, inbox_id, modseq)
    return modseq


def apply_mailbox(
    tx: Tx, mailbox_id: MailboxId, modseq: ModSeq, *, messages: int = 0, unseen: int = 0, octets: int = 0
) -> None:
    """Note a change of `mailbox_id`: its HIGHESTMODSEQ and the differences of its counters."""
    tx.do(_APPLY_MAILBOX, mailbox=mailbox_id, modseq=modseq, messages=messages, unseen=unseen, octets=octets)


def apply_flags(tx: Tx, mailbox_id: MailboxId, modseq: ModSeq, *, unseen: int, record: str, floor: int) -> None:
    """`apply_mailbox` for a change of flags, which goes on record."""
    tx.do(_APPLY_FLAGS, mailbox=mailbox_id, modseq=modseq, unseen=unseen, record=record, floor=floor)


def draw_uidvalidity(tx: Tx, inbox_id: InboxId, now: int) -> UidValidity:
    """max(Unix seconds, last one + 1): unique in the inbox for ever, also for a name that is made again at once."""
    lock(tx, inbox_id)
    value = tx.scalar(_UIDVALIDITY, inbox=inbox_id, now=now)
    if value is None:
        raise NotFound("Inbox does not exist")
    return UidValidity(value)
