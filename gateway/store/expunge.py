"""Removal of messages: rows go, the expunge is recorded, octets stay an hour for sessions not told yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.flags import DELETED, SEEN
from gateway.model.ids import InboxId, MailboxId, ModSeq
from gateway.model.sequence import Ranges, from_numbers

from . import counters, holds
from .changes import ChangeKind, record
from .db import Rx, Tx
from .statements import Stmt
from .uidsets import CUT, ByUids, as_ranges


@dataclass(frozen=True, slots=True)
class Expunged:
    """`uids` that are gone; `modseq` None when there were none. `since`: the mailbox's HIGHESTMODSEQ before."""

    modseq: ModSeq | None
    uids: Ranges
    since: int = 0


_RETURNING: Final = " RETURNING uid, content_id, size, flags, internal_date, save_date, email_id, thread_id"
_DELETE = ByUids("DELETE FROM message WHERE mailbox_id = :mailbox AND inbox_id = :inbox AND {uids}" + _RETURNING)
_DELETE_FLAGGED = ByUids(
    "DELETE FROM message WHERE mailbox_id = :mailbox AND inbox_id = :inbox AND {uids}"
    f" AND (flags & {DELETED}) <> 0" + _RETURNING
)
_FLAGGED = Stmt(
    "SELECT uid FROM message WHERE mailbox_id = :mailbox AND inbox_id = :inbox"
    f" AND (flags & {DELETED}) <> 0 ORDER BY uid LIMIT :most"
)
_KEEP = Stmt(
    sqlite="INSERT INTO expunged (mailbox_id, uid, content_id, at, size, internal_date, save_date, email_id, thread_id)"
    " SELECT :mailbox, r.value ->> 0, r.value ->> 1, :now, r.value ->> 2, r.value ->> 4, r.value ->> 5, r.value ->> 6,"
    " r.value ->> 7 FROM json_each(:rows) AS r",
    postgresql="INSERT INTO expunged"
    " (mailbox_id, uid, content_id, at, size, internal_date, save_date, email_id, thread_id)"
    " SELECT :mailbox, r.uid, r.content_id, :now, r.size, r.internal, r.saved, r.email, r.thread"
    " FROM unnest(CAST(:uids AS bigint[]), CAST(:contents AS bigint[]), CAST(:sizes AS bigint[]),"
    " CAST(:internal AS bigint[]), CAST(:saved AS bigint[]), CAST(:emails AS text[]), CAST(:threads AS text[]))"
    " AS r (uid, content_id, size, internal, saved, email, thread)",
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
    rows = delete_rows(tx, inbox_id, mailbox_id, ranges, only_deleted=only_deleted)
    if not rows:
        return Expunged(None, ())
    modseq, since = counters.peek_mailbox(tx, inbox_id, mailbox_id)
    octets = sum(row[2] for row in rows)
    counters.apply(tx, inbox_id, modseq, messages=-len(rows), octets=-octets)
    holds.left(tx, inbox_id, (row[6] for row in rows), now)
    return Expunged(modseq, note_expunged(tx, inbox_id, mailbox_id, rows, modseq, now), since)


def delete_rows(
    tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, ranges: Ranges, *, only_deleted: bool
) -> list[tuple[Any, ...]]:
    """(uid, content id, size, flags, …) of the rows deleted, for `note_expunged`. The unit holds the inbox's lock."""
    statement, members = (_DELETE_FLAGGED if only_deleted else _DELETE).over(tx.dialect, ranges)
    return tx.all(statement, mailbox=mailbox_id, inbox=inbox_id, **members)


def note_expunged(
    tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, rows: list[tuple[Any, ...]], modseq: ModSeq, now: int
) -> Ranges:
    """Record deleted rows in the mailbox's counters, the change table and `expunged`; the UIDs as ranges."""
    if tx.dialect == "sqlite":
        tx.do(_KEEP, mailbox=mailbox_id, rows=rows, now=now)
    else:
        uids_, contents, sizes, _flags, internal, saved, emails, threads = map(list, zip(*rows, strict=True))
        tx.do(
            _KEEP, mailbox=mailbox_id, now=now, uids=uids_, contents=contents, sizes=sizes, internal=internal,
            saved=saved, emails=emails, threads=threads,
        )  # fmt: skip
    unseen = sum(1 for row in rows if not row[3] & SEEN)
    octets = sum(row[2] for row in rows)
    counters.apply_mailbox(tx, mailbox_id, modseq, messages=-len(rows), unseen=-unseen, octets=-octets)
    uids = from_numbers(row[0] for row in rows)
    record(tx, inbox_id, modseq, ChangeKind.EXPUNGED, mailbox_id=mailbox_id, uids=uids)
    tx.wake(inbox_id, mailbox_id, modseq=modseq)
    return uids
