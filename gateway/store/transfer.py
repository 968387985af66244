"""COPY and MOVE: rows are duplicated by one INSERT … SELECT, octets are shared.

EMAILID and THREADID stay (RFC 8474 4), keywords are carried to the bits they have in the
destination, the save date is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.model.errors import LimitReached, MessageGone, NotFound
from gateway.model.flags import SYSTEM_MASK, names_of
from gateway.model.ids import MAX_UID, InboxId, MailboxId, ModSeq, UidValidity
from gateway.model.mailbox import SENT
from gateway.model.sequence import Ranges, from_numbers

from . import counters, holds, quota, sent
from .db import Tx
from .expunge import note_expunged, take_out
from .flags import flag_mask, store_flags
from .keywords import keywords_of
from .statements import Stmt


@dataclass(frozen=True, slots=True)
class Copied:
    """For COPYUID (RFC 4315 3): `src_uids` in the order of `dst_uids`, which are one run of new UIDs.

    `modseq` is of both mailboxes, None when nothing was there to move. `nearly_full`: as in `append.Appended`.
    """

    uidvalidity: UidValidity
    src_uids: list[int]
    dst_uids: Ranges
    modseq: ModSeq | None
    nearly_full: bool = False


_SQLITE_SOURCE: Final = (
    " FROM json_each(:uids) AS o CROSS JOIN message AS m"
    " WHERE m.mailbox_id = :src AND m.uid = o.value AND m.inbox_id = :inbox"
)
_POSTGRESQL_SOURCE: Final = (
    " FROM unnest(CAST(:uids AS bigint[])) WITH ORDINALITY AS o (uid, number)"
    " JOIN message AS m ON m.mailbox_id = :src AND m.uid = o.uid AND m.inbox_id = :inbox"
)


def _over_source(select: str, ending: str = "") -> Stmt:
    return Stmt(sqlite=select + _SQLITE_SOURCE + ending, postgresql=select + _POSTGRESQL_SOURCE + ending)


_SUMS = _over_source(
    "SELECT count(*), CAST(coalesce(sum(m.size), 0) AS bigint),"
    " CAST(coalesce(sum(1 - (m.flags & 1)), 0) AS bigint), coalesce(max(m.flags), 0)"
)
_PRESENT = _over_source("SELECT m.uid")
_MASKS = _over_source("SELECT DISTINCT m.flags")
_TAKE_UIDS = Stmt(
    "UPDATE mailbox SET uidnext = uidnext + :count, highest_modseq = :modseq, messages = messages + :count,"
    " unseen = unseen + :unseen, octets = octets + :octets WHERE id = :dst AND inbox_id = :inbox AND noselect = 0"
    " RETURNING uidnext - :count, uidvalidity, role"
)
_TARGET = Stmt("SELECT uidvalidity FROM mailbox WHERE id = :dst AND inbox_id = :inbox AND noselect = 0")
_INTO: Final = (
    "INSERT INTO message (mailbox_id, uid, inbox_id, content_id, modseq, internal_date, save_date, flags, size,"
    " email_id, thread_id) SELECT :dst, {uid}, m.inbox_id, m.content_id, :modseq, m.internal_date, :now, {flags},"
    " m.size, m.email_id, m.thread_id"
)
_SQLITE_UID: Final = "CAST(:first AS bigint) + o.key"
_POSTGRESQL_UID: Final = ":first + o.number - 1"
_INSERT = Stmt(
    sqlite=_INTO.format(uid=_SQLITE_UID, flags="m.flags") + _SQLITE_SOURCE,
    postgresql=_INTO.format(uid=_POSTGRESQL_UID, flags="m.flags") + _POSTGRESQL_SOURCE,
)
_INSERT_MAPPED = Stmt(
    sqlite=_INTO.format(
        uid=_SQLITE_UID, flags="(SELECT f.value ->> 1 FROM json_each(:masks) AS f WHERE f.value ->> 0 = m.flags)"
    )
    + _SQLITE_SOURCE,
    postgresql=_INTO.format(
        uid=_POSTGRESQL_UID,
        flags="(SELECT f.new FROM unnest(CAST(:old AS bigint[]), CAST(:new AS bigint[])) AS f (old, new)"
        " WHERE f.old = m.flags)",
    )
    + _POSTGRESQL_SOURCE,
)


def copy(tx: Tx, inbox_id: InboxId, src: MailboxId, uids: Sequence[int], dst: MailboxId, *, now: int) -> Copied:
    """Copy all of `uids`, in their order, or nothing (RFC 3501 6.4.7), in one unit whatever their number.

    Raises MessageGone when one of them was expunged, NotFound when the destination is no mailbox, LimitReached
    (keywords of the destination), OverQuota.
    """
    counters.lock(tx, inbox_id)
    wanted = list(dict.fromkeys(uids))
    copied, size = _duplicate(tx, inbox_id, src, wanted, dst, now, all_or_nothing=True)
    if copied.modseq is not None:
        counters.apply(tx, inbox_id, copied.modseq, messages=len(copied.src_uids), octets=size)
        if quota.near(tx, inbox_id):
            copied = replace(copied, nearly_full=True)
    return copied


def move(tx: Tx, inbox_id: InboxId, src: MailboxId, uids: Sequence[int], dst: MailboxId, *, now: int) -> Copied:
    """Move those of `uids` that still exist (RFC 6851 3.3); at most CUT a unit.

    Errors as `copy`, but MessageGone and OverQuota: the inbox holds as much as before.
    """
    counters.lock(tx, inbox_id)
    wanted = list(dict.fromkeys(uids))
    copied, _size = _duplicate(tx, inbox_id, src, wanted, dst, now, all_or_nothing=False)
    if copied.modseq is not None:
        counters.apply(tx, inbox_id, copied.modseq)
        rows = take_out(tx, inbox_id, src, from_numbers(copied.src_uids), only_deleted=False, now=now)
        note_expunged(tx, inbox_id, src, rows, copied.modseq)
        if gone := holds.left(tx, inbox_id, (row[3] for row in rows), now):
            first = copied.dst_uids[0][0]
            plain = [first + copied.src_uids.index(row[0]) for row in rows if row[3] in gone]
            store_flags(tx, inbox_id, dst, plain, "remove", 0, (holds.PENDING, holds.SCHEDULED))
    return copied


def _duplicate(
    tx: Tx, inbox_id: InboxId, src: MailboxId, uids: list[int], dst: MailboxId, now: int, *, all_or_nothing: bool
) -> tuple[Copied, int]:
    """The copies and the octets they count."""
    source: dict[str, Any] = {"src": src, "inbox": inbox_id, "uids": uids}
    count, size, unseen, highest_mask = tx.all(_SUMS, **source)[0]
    if count != len(uids):
        if all_or_nothing:
            raise MessageGone("Some of the messages were expunged")
        present = {row[0] for row in tx.all(_PRESENT, **source)}
        source["uids"] = uids = [uid for uid in uids if uid in present]
    if not uids:
        uidvalidity = tx.scalar(_TARGET, dst=dst, inbox=inbox_id)
        if uidvalidity is None:
            raise NotFound("Mailbox does not exist")
        return Copied(uidvalidity, [], (), None), 0
    modseq = counters.peek(tx, inbox_id)
    target = tx.one(_TAKE_UIDS, dst=dst, inbox=inbox_id, count=count, modseq=modseq, unseen=unseen, octets=size)
    if target is None:
        raise NotFound("Mailbox does not exist")
    first, uidvalidity, role = target
    last = first + count - 1
    if last > MAX_UID:
        raise LimitReached("This mailbox has used up its UIDs")
    masks = _carried_masks(tx, src, dst, source) if highest_mask > SYSTEM_MASK and src != dst else {}
    into: dict[str, Any] = {"dst": dst, "first": first, "modseq": modseq, "now": now, **source}
    if all(old == new for old, new in masks.items()):
        tx.do(_INSERT, **into)
    elif tx.dialect == "sqlite":
        tx.do(_INSERT_MAPPED, masks=list(masks.items()), **into)
    else:
        tx.do(_INSERT_MAPPED, old=list(masks), new=list(masks.values()), **into)
    tx.wake(inbox_id, dst)
    counters.apply(tx, inbox_id, modseq)
    if role == SENT:
        sent.transferred(tx, inbox_id, dst, first, last, now=now)
    return Copied(uidvalidity, uids, ((first, last),), modseq), size


def _carried_masks(tx: Tx, src: MailboxId, dst: MailboxId, source: dict[str, Any]) -> dict[int, int]:
    """Each mask of the source rows -> the mask of the same flag names in the destination."""
    names = keywords_of(tx, src)
    return {
        mask: mask & SYSTEM_MASK | flag_mask(tx, dst, names_of(mask & ~SYSTEM_MASK, names))
        for (mask,) in tx.all(_MASKS, **source)
    }
