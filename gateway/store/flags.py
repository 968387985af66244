"""Flags and keywords of stored messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.model.errors import LimitReached
from gateway.model.flags import FIRST_KEYWORD_BIT, MAX_KEYWORDS, SEEN, SYSTEM_BY_FOLDED
from gateway.model.ids import InboxId, MailboxId, ModSeq
from gateway.model.sequence import Ranges

from . import counters, flag_record
from .db import Tx
from .keywords import keywords_of
from .statements import Stmt
from .uidsets import ByUids, as_ranges

FlagOperation = Literal["set", "add", "remove"]


@dataclass(frozen=True, slots=True)
class FlagsStored:
    """What the operation did: `count` rows really changed, by `mask`, and have `modseq`, which is None when none did.

    Which ones is not said: who knows the mailbox up to `since`, its HIGHESTMODSEQ before, can reckon it, and for all
    others it is the rows with that MODSEQ. `keywords`: the table bit -> name where the operation named some.
    `refused`: (uid, MODSEQ) of rows left alone because they changed after `unchanged_since`, rising.
    """

    modseq: ModSeq | None = None
    since: int = 0
    mask: int = 0
    count: int = 0
    keywords: Mapping[int, str] | None = None
    refused: Sequence[tuple[int, int]] = ()


_ADD_KEYWORD = Stmt("INSERT INTO keyword (mailbox_id, bit, name, folded) VALUES (:mailbox, :bit, :name, :folded)")

_NEW_FLAGS: Final[dict[FlagOperation, str]] = {
    "set": "CAST(:mask AS bigint)",
    "add": "(flags | CAST(:mask AS bigint))",
    "remove": "(flags & ~CAST(:mask AS bigint))",
}
_STORE: Final = {
    operation: ByUids(
        f"UPDATE message_flags SET flags = {new}, modseq = :modseq"
        f" WHERE mailbox_id = :mailbox AND {{uids}} AND flags <> {new} AND modseq <= :since"
    )
    for operation, new in _NEW_FLAGS.items()
}
_COUNT_SEEN = ByUids(
    "SELECT count(*) FROM message_flags WHERE mailbox_id = :mailbox AND {uids} AND (flags & 1) = :seen"
    " AND modseq <= :since"
)
_CHANGED_SINCE = ByUids(
    "SELECT uid, modseq FROM message_flags WHERE mailbox_id = :mailbox AND {uids} AND modseq > :since ORDER BY uid"
)
_EVER: Final = 2**63 - 1


def flag_mask(tx: Tx, mailbox_id: MailboxId, names: Sequence[str], *, create: bool = True) -> int:
    """The mask of flag `names` in a mailbox. Unknown keywords get the next bit, or are left out without `create`.

    The unit holds the inbox's lock (`counters.lock`). LimitReached beyond 58 keywords.
    """
    mask = 0
    keywords: list[str] = []
    for name in names:
        system = SYSTEM_BY_FOLDED.get(name.lower())
        if system is None:
            keywords.append(name)
        else:
            mask |= system
    if not keywords:
        return mask
    known = {name.lower(): bit for bit, name in keywords_of(tx, mailbox_id).items()}
    for name in keywords:
        folded = name.lower()
        if folded not in known:
            if not create:
                continue
            if len(known) >= MAX_KEYWORDS:
                raise LimitReached(f"A mailbox can have {MAX_KEYWORDS} keywords")
            known[folded] = FIRST_KEYWORD_BIT + len(known)  # bits are never freed, so the count is the next one
            tx.do(_ADD_KEYWORD, mailbox=mailbox_id, bit=known[folded], name=name, folded=folded)
        mask |= 1 << known[folded]
    return mask


def store_flags(
    tx: Tx,
    inbox_id: InboxId,
    mailbox_id: MailboxId,
    uids: Ranges | Sequence[int],
    op: FlagOperation,
    system_mask: int,
    keywords: Sequence[str] = (),
    *,
    unchanged_since: int | None = None,
) -> FlagsStored:
    """Set, add or remove flags of messages that exist; at most 5 * CUT of them a unit.

    Only rows that really change get the unit's MODSEQ (RFC 7162 3.1.3), and of those only the ones whose MODSEQ is not
    above `unchanged_since`: looked at under the inbox's lock, so of two who ask for the same only one gets it.
    LimitReached as `flag_mask`.
    """
    ranges = as_ranges(uids)
    modseq, since, record, floor = counters.peek_flags(tx, inbox_id, mailbox_id)
    if not ranges or not since:  # rows of flags do not name their inbox: a mailbox that is not of this one has none
        return FlagsStored()
    refused: list[tuple[int, int]] = []
    if unchanged_since is not None:
        statement, members = _CHANGED_SINCE.over(tx.dialect, ranges)
        refused = tx.all(statement, mailbox=mailbox_id, since=unchanged_since, **members)
    mask = system_mask | flag_mask(tx, mailbox_id, keywords, create=op != "remove")
    if op != "set" and not mask:
        return FlagsStored(since=since, refused=refused)
    limit = _EVER if unchanged_since is None else unchanged_since
    unseen = _unseen_difference(tx, mailbox_id, ranges, op, mask, limit)
    statement, members = _STORE[op].over(tx.dialect, ranges)
    # Without RETURNING: ten thousand rows as values take as long as the update.
    count = tx.run(statement, mailbox=mailbox_id, mask=mask, modseq=modseq, since=limit, **members)
    if not count:
        return FlagsStored(since=since, refused=refused)
    counters.apply(tx, inbox_id, modseq)
    record, floor = flag_record.noted(record, floor, modseq, ranges)
    counters.apply_flags(tx, mailbox_id, modseq, unseen=unseen, record=record, floor=floor)
    tx.wake(inbox_id, mailbox_id, modseq=modseq)
    return FlagsStored(modseq, since, mask, count, keywords_of(tx, mailbox_id) if keywords else None, refused)


def _unseen_difference(
    tx: Tx, mailbox_id: MailboxId, ranges: Ranges, op: FlagOperation, mask: int, since: int
) -> int:
    """How the mailbox's count of unseen messages will change."""
    if op != "set" and not mask & SEEN:
        return 0
    becomes_seen = bool(mask & SEEN) and op != "remove"
    statement, members = _COUNT_SEEN.over(tx.dialect, ranges)
    count: int = tx.scalar(statement, mailbox=mailbox_id, seen=int(not becomes_seen), since=since, **members)
    return -count if becomes_seen else count
