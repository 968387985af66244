"""Removal of messages: rows go, the expunge is recorded, octets stay an hour for sessions not told yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.flags import DELETED, SEEN
from gateway.model.ids import InboxId, MailboxId, ModSeq
from gateway.model.sequence import Ranges, from_numbers, from_rising

from . import counters, holds
from .changes import ChangeKind, record
from .db import Rx, Tx
from .statements import Stmt
from .uidsets import CUT, FLAGS, ByUids, as_ranges


@dataclass(frozen=True, slots=True)
class Expunged:
    """`uids` that are gone; `modseq` None when there were none. `since`: the mailbox's HIGHESTMODSEQ before."""

    modseq: ModSeq | None
    uids: Ranges
    since: int = 0


Gone = tuple[int, int, int, str]
"""(uid, size, flags, EMAILID) of a message that was removed"""

_FIND = ByUids(
    f"SELECT m.uid, m.size, {FLAGS}, m.email_id FROM message AS m"
    " WHERE m.mailbox_id = :mailbox AND m.inbox_id = :inbox AND {uids} ORDER BY m.uid",
    "m.uid",
)
_WHICH: Final = "FROM message WHERE mailbox_id = :mailbox AND {uids}"
_KEEP = ByUids(
    "INSERT INTO expunged (mailbox_id, uid, content_id, at, size, internal_date, save_date, email_id, thread_id,"
    " arrived, came)"
    " SELECT mailbox_id, uid, content_id, CAST(:now AS bigint), size, internal_date, save_date, email_id, thread_id,"
    " arrived, came"
    f" {_WHICH}"
)
_DELETE: Final = (
    ByUids(f"DELETE {_WHICH}"),
    ByUids("DELETE FROM message_flags WHERE mailbox_id = :mailbox AND {uids}"),
)
"""The flags last: it is their rows that say which UIDs of a set there are."""
# PostgreSQL takes as long to look up the flags of each row it reads as to read and remove it: flags are read by
# themselves, and rows once.
_THEIR_FLAGS: Final = {
    only_deleted: ByUids(
        f"SELECT uid, flags FROM message_flags WHERE mailbox_id = :mailbox AND {{uids}}{condition}", portable=False
    )
    for only_deleted, condition in ((False, ""), (True, f" AND (flags & {DELETED}) <> 0"))
}
_TAKE = ByUids(
    "WITH gone AS (DELETE FROM message WHERE mailbox_id = :mailbox AND inbox_id = :inbox AND {uids} RETURNING *),"
    " kept AS (INSERT INTO expunged"
    "  (mailbox_id, uid, content_id, at, size, internal_date, save_date, email_id, thread_id,"
    "  arrived, came)"
    "  SELECT mailbox_id, uid, content_id, CAST(:now AS bigint), size, internal_date, save_date, email_id, thread_id,"
    "  arrived, came"
    "  FROM gone)"
    " SELECT uid, size, email_id FROM gone ORDER BY uid",
    portable=False,
)
_FLAGGED = Stmt(
    "SELECT uid FROM message_flags WHERE mailbox_id = (SELECT id FROM mailbox WHERE id = :mailbox AND"
    f" inbox_id = :inbox) AND (flags & {DELETED}) <> 0 ORDER BY uid LIMIT :most"
)


def deleted_uids(rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId, most: int = CUT) -> list[int]:
    """The first `most` UIDs that bear \\Deleted."""
    return [row[0] for row in rx.all(_FLAGGED, mailbox=mailbox_id, inbox=inbox_id, most=most)]


def expunge(
    tx: Tx,
    inbox_id: InboxId,
    mailbox_id: MailboxId,
    uids: Ranges | Sequence[int] | None,
    *,
    only_deleted: bool = True,
    now: int,
) -> Expunged:
    """Remove messages of `uids`, with `only_deleted` those that bear \\Deleted (RFC 4315 2.1).

    `uids` None: the first CUT messages with \\Deleted; call again until nothing is removed.
    """
    counters.lock(tx, inbox_id)
    if uids is None:
        uids, only_deleted = deleted_uids(tx, inbox_id, mailbox_id), True
    ranges = as_ranges(uids)
    if not ranges:
        return Expunged(None, ())
    rows = take_out(tx, inbox_id, mailbox_id, ranges, only_deleted=only_deleted, now=now)
    if not rows:
        return Expunged(None, ())
    modseq, since = counters.peek_mailbox(tx, inbox_id, mailbox_id)
    octets = sum(row[1] for row in rows)
    counters.apply(tx, inbox_id, modseq, messages=-len(rows), octets=-octets)
    holds.left(tx, inbox_id, (row[3] for row in rows), now)
    return Expunged(modseq, note_expunged(tx, inbox_id, mailbox_id, rows, modseq), since)


def take_out(
    tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, ranges: Ranges, *, only_deleted: bool, now: int
) -> list[Gone]:
    """The messages removed, rising, for `note_expunged`; what the untold may fetch is kept.

    The unit holds the inbox's lock, so that all statements see the same messages.
    """
    if tx.dialect == "postgresql":
        return _take_out_at_once(tx, inbox_id, mailbox_id, ranges, only_deleted=only_deleted, now=now)
    statement, members = _FIND.over(tx.dialect, ranges)
    rows: list[Gone] = tx.all(statement, mailbox=mailbox_id, inbox=inbox_id, **members)
    if only_deleted:  # mostly all of them: who asks has looked
        rows = [row for row in rows if row[2] & DELETED]
    if rows:
        gone = from_rising([row[0] for row in rows])
        statement, members = _KEEP.over(tx.dialect, gone)
        tx.do(statement, now=now, mailbox=mailbox_id, **members)
        for delete in _DELETE:
            statement, members = delete.over(tx.dialect, gone)
            tx.do(statement, mailbox=mailbox_id, **members)
    return rows


def _take_out_at_once(
    tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, ranges: Ranges, *, only_deleted: bool, now: int
) -> list[Gone]:
    statement, members = _THEIR_FLAGS[only_deleted].over(tx.dialect, ranges)
    flags: dict[int, int] = dict(tx.all(statement, mailbox=mailbox_id, **members))
    if not flags:
        return []
    statement, members = _TAKE.over(tx.dialect, from_numbers(flags))
    found = tx.all(statement, now=now, mailbox=mailbox_id, inbox=inbox_id, **members)
    rows: list[Gone] = [(uid, size, flags[uid], email_id) for uid, size, email_id in found]
    if rows:
        statement, members = _DELETE[-1].over(tx.dialect, from_rising([row[0] for row in rows]))
        tx.do(statement, mailbox=mailbox_id, **members)
    return rows


def note_expunged(tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, rows: list[Gone], modseq: ModSeq) -> Ranges:
    """Record what was taken out in the mailbox's counters and the change table; the UIDs as ranges."""
    unseen = sum(1 for row in rows if not row[2] & SEEN)
    octets = sum(row[1] for row in rows)
    counters.apply_mailbox(tx, mailbox_id, modseq, messages=-len(rows), unseen=-unseen, octets=-octets)
    uids = from_rising([row[0] for row in rows])
    record(tx, inbox_id, modseq, ChangeKind.EXPUNGED, mailbox_id=mailbox_id, uids=uids)
    tx.wake(inbox_id, mailbox_id, modseq=modseq)
    return uids
