"""COPY and MOVE: rows are duplicated by one INSERT … SELECT a table, octets are shared.

EMAILID and THREADID stay (RFC 8474 4), keywords are carried to the bits they have in the
destination, the save date is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from gateway.model.errors import LimitReached, MessageGone, NotFound
from gateway.model.flags import SYSTEM_MASK, names_of
from gateway.model.ids import MAX_UID, InboxId, MailboxId, ModSeq, UidValidity
from gateway.model.mailbox import SENT
from gateway.model.sequence import Ranges, from_numbers

from . import counters, holds, quota, sent
from .db import Tx
from .event_log import Came
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


_FORMS: Final[tuple[dict[str, str], ...]] = (
    {
        "asked": "json_each(:uids) AS o CROSS JOIN {table} WHERE {name}.uid = o.value",
        "uid": "CAST(:first AS bigint) + o.key",
        "mapped": "(SELECT k.value ->> 1 FROM json_each(:masks) AS k WHERE k.value ->> 0 = f.flags)",
    },
    {
        "asked": "unnest(CAST(:uids AS bigint[])) WITH ORDINALITY AS o (uid, number) CROSS JOIN {table}"
        " WHERE {name}.uid = o.uid",
        "uid": ":first + o.number - 1",
        "mapped": "(SELECT k.new FROM unnest(CAST(:old AS bigint[]), CAST(:new AS bigint[])) AS k (old, new)"
        " WHERE k.old = f.flags)",
    },
)
"""How SQLite and PostgreSQL say which messages are asked for, their new UIDs, and their flags by other bits."""


class _Over:
    """A statement over the messages that are asked for: one text for a run of UIDs, one for a list of them.

    {asked} is where they come from, {uid} what each is to be.
    """

    def __init__(self, text: str, name: Literal["m", "f"]) -> None:
        """`name`: m for a statement on `message`, f for one on their flags."""
        table = {"m": "message AS m", "f": "message_flags AS f"}[name]
        run = {
            "asked": "{table} WHERE {name}.uid BETWEEN :low AND :high",
            "uid": "CAST(:first AS bigint) + {name}.uid - :low",
        }

        def said(form: dict[str, str]) -> str:
            return text.format_map({key: part.format(table=table, name=name) for key, part in form.items()})

        self._list = Stmt(sqlite=said(_FORMS[0]), postgresql=said(_FORMS[1]))
        self._run = Stmt(sqlite=said(_FORMS[0] | run), postgresql=said(_FORMS[1] | run))

    def over(self, uids: Sequence[int]) -> tuple[Stmt, dict[str, Any]]:
        """The statement for `uids`, each named once, and what it binds beside `first`."""
        if uids and uids == list(range(uids[0], uids[0] + len(uids))):
            return self._run, {"low": uids[0], "high": uids[-1]}
        return self._list, {"uids": uids}


_MESSAGES: Final = "FROM {asked} AND m.mailbox_id = :src AND m.inbox_id = :inbox"
_FLAGS: Final = "FROM {asked} AND f.mailbox_id = :src"

_SIZES = _Over(f"SELECT count(*), CAST(coalesce(sum(m.size), 0) AS bigint) {_MESSAGES}", "m")
_PRESENT = _Over(f"SELECT m.uid {_MESSAGES}", "m")
_UNSEEN = _Over(
    f"SELECT CAST(coalesce(sum(1 - (f.flags & 1)), 0) AS bigint), coalesce(max(f.flags), 0) {_FLAGS}", "f"
)
_MASKS = _Over(f"SELECT DISTINCT f.flags {_FLAGS}", "f")
_TAKE_UIDS = Stmt(
    "UPDATE mailbox SET uidnext = uidnext + :count, highest_modseq = :modseq, messages = messages + :count,"
    " unseen = unseen + :unseen, octets = octets + :octets WHERE id = :dst AND inbox_id = :inbox AND noselect = 0"
    " RETURNING uidnext - :count, uidvalidity, role"
)
_TARGET = Stmt("SELECT uidvalidity FROM mailbox WHERE id = :dst AND inbox_id = :inbox AND noselect = 0")
_INSERT = _Over(
    "INSERT INTO message (mailbox_id, uid, inbox_id, content_id, internal_date, save_date, size, email_id, thread_id,"
    " arrived, came)"
    " SELECT :dst, {uid}, m.inbox_id, m.content_id, m.internal_date, :now, m.size, m.email_id, m.thread_id,"
    " :modseq, :came"
    f" {_MESSAGES}",
    "m",
)
_INTO_FLAGS: Final = "INSERT INTO message_flags (mailbox_id, uid, flags, modseq) SELECT :dst, {uid}"
_INSERT_FLAGS = _Over(f"{_INTO_FLAGS}, f.flags, :modseq {_FLAGS}", "f")
_INSERT_MAPPED = _Over(f"{_INTO_FLAGS}, {{mapped}}, :modseq {_FLAGS}", "f")


def copy(tx: Tx, inbox_id: InboxId, src: MailboxId, uids: Sequence[int], dst: MailboxId, *, now: int) -> Copied:
    """Copy all of `uids`, in their order, or nothing (RFC 3501 6.4.7), in one unit whatever their number.

    Raises MessageGone when one of them was expunged, NotFound when the destination is no mailbox, LimitReached
    (keywords of the destination), OverQuota.
    """
    counters.lock(tx, inbox_id)
    wanted = list(dict.fromkeys(uids))
    copied, size = _duplicate(tx, inbox_id, src, wanted, dst, now, Came.COPIED)
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
    copied, _size = _duplicate(tx, inbox_id, src, wanted, dst, now, Came.MOVED)
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
    tx: Tx, inbox_id: InboxId, src: MailboxId, uids: list[int], dst: MailboxId, now: int, came: Came
) -> tuple[Copied, int]:
    """The copies and the octets they count: of all or nothing where they are copied, of those there are where moved."""
    statement, asked = _SIZES.over(uids)
    count, size = tx.all(statement, src=src, inbox=inbox_id, **asked)[0]
    if count != len(uids):
        if came is Came.COPIED:
            raise MessageGone("Some of the messages were expunged")
        statement, asked = _PRESENT.over(uids)
        present = {row[0] for row in tx.all(statement, src=src, inbox=inbox_id, **asked)}
        uids = [uid for uid in uids if uid in present]
    if not uids:
        uidvalidity = tx.scalar(_TARGET, dst=dst, inbox=inbox_id)
        if uidvalidity is None:
            raise NotFound("Mailbox does not exist")
        return Copied(uidvalidity, [], (), None), 0
    modseq = counters.peek(tx, inbox_id)
    statement, asked = _UNSEEN.over(uids)
    unseen, highest_mask = tx.all(statement, src=src, **asked)[0]
    target = tx.one(_TAKE_UIDS, dst=dst, inbox=inbox_id, count=count, modseq=modseq, unseen=unseen, octets=size)
    if target is None:
        raise NotFound("Mailbox does not exist")
    first, uidvalidity, role = target
    last = first + count - 1
    if last > MAX_UID:
        raise LimitReached("This mailbox has used up its UIDs")
    masks = _carried_masks(tx, src, dst, uids) if highest_mask > SYSTEM_MASK and src != dst else {}
    statement, asked = _INSERT.over(uids)
    tx.do(
        statement, src=src, inbox=inbox_id, dst=dst, first=first, now=now, modseq=modseq, came=came.value, **asked
    )
    same = all(old == new for old, new in masks.items())
    statement, asked = (_INSERT_FLAGS if same else _INSERT_MAPPED).over(uids)
    if not same and tx.dialect == "sqlite":
        asked["masks"] = list(masks.items())
    elif not same:
        asked |= {"old": list(masks), "new": list(masks.values())}
    tx.do(statement, src=src, dst=dst, first=first, modseq=modseq, **asked)
    tx.wake(inbox_id, dst)
    counters.apply(tx, inbox_id, modseq)
    if role == SENT:
        sent.transferred(tx, inbox_id, dst, first, last, now=now)
    return Copied(uidvalidity, uids, ((first, last),), modseq), size


def _carried_masks(tx: Tx, src: MailboxId, dst: MailboxId, uids: list[int]) -> dict[int, int]:
    """Each mask of the source rows -> the mask of the same flag names in the destination."""
    names = keywords_of(tx, src)
    statement, asked = _MASKS.over(uids)
    return {
        mask: mask & SYSTEM_MASK | flag_mask(tx, dst, names_of(mask & ~SYSTEM_MASK, names))
        for (mask,) in tx.all(statement, src=src, **asked)
    }
