"""Arrival of one message in a mailbox: the hottest unit of the store.

On SQLite nine short statements with the content's own; on PostgreSQL one statement whose values come from RETURNING of
the inbox row's UPDATE, so that nothing is read before the lock that it depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.model.errors import LimitReached, NotFound
from gateway.model.flags import SEEN
from gateway.model.ids import MAX_UID, ContentId, InboxId, MailboxId, ModSeq, Uid, UidValidity, object_id
from gateway.model.mailbox import SENT

from . import content as contents
from . import counters, quota, sent, threads
from .content import StagedContent
from .db import Tx
from .flags import flag_mask
from .search_text import note_due
from .statements import Stmt


@dataclass(frozen=True, slots=True)
class Appended:
    """`made` False: an automatic Sent copy was not needed, and the values are those of the client's own.

    `nearly_full`: the inbox is near its quota now (`quota.SOFT_PERCENT`).
    """

    uid: Uid
    uidvalidity: UidValidity
    modseq: ModSeq
    email_id: str
    thread_id: str
    made: bool = True
    nearly_full: bool = False


@dataclass(frozen=True, slots=True)
class _Facts:
    content_id: ContentId
    size: int
    own_hash: int | None
    """Of the Message-ID."""
    hashes: list[int]


_INBOX = Stmt(
    "UPDATE inbox SET modseq = modseq + :step, messages = messages + 1, octets = octets + :size WHERE id = :inbox"
    f" RETURNING modseq, {quota.LEVEL}"
)
_MAILBOX = Stmt(
    "UPDATE mailbox SET uidnext = uidnext + 1, highest_modseq = :modseq, messages = messages + 1,"
    " unseen = unseen + :unseen, octets = octets + :size WHERE id = :mailbox AND inbox_id = :inbox AND noselect = 0"
    " RETURNING uidnext - 1, uidvalidity, role"
)
_COLUMNS: Final = (
    "mailbox_id, uid, inbox_id, content_id, internal_date, save_date, size, email_id, thread_id, arrived"
)
_MESSAGE = Stmt(
    f"INSERT INTO message ({_COLUMNS}) VALUES (:mailbox, :uid, :inbox, :content, :internal_date, :now, :size,"
    " :email_id, :thread, :modseq)"
)
_FLAGS = Stmt("INSERT INTO message_flags (mailbox_id, uid, flags, modseq) VALUES (:mailbox, :uid, :flags, :modseq)")
_ALL_IN_ONE = Stmt(
    postgresql="WITH i AS (UPDATE inbox SET modseq = modseq + :step, messages = messages + 1, octets = octets + :size"
    f"  WHERE id = :inbox RETURNING modseq, {quota.LEVEL} AS level),"
    " b AS (UPDATE mailbox SET uidnext = uidnext + 1, highest_modseq = i.modseq, messages = messages + 1,"
    "  unseen = unseen + :unseen, octets = octets + :size FROM i"
    "  WHERE id = :mailbox AND inbox_id = :inbox AND noselect = 0"
    "  RETURNING uidnext - 1 AS uid, uidvalidity, role, i.modseq AS modseq),"
    " t AS (INSERT INTO thread_ref (inbox_id, hash, thread)"
    "  SELECT :inbox, h.hash, coalesce((SELECT r.thread FROM unnest(CAST(:hashes AS bigint[])) WITH ORDINALITY"
    "   AS o (hash, number) JOIN thread_ref r ON r.inbox_id = :inbox AND r.hash = o.hash ORDER BY o.number LIMIT 1),"
    "   CAST(:thread AS text))"
    "  FROM b, unnest(CAST(:hashes AS bigint[])) AS h (hash)"
    "  ON CONFLICT (inbox_id, hash) DO UPDATE SET thread = thread_ref.thread RETURNING hash, thread),"
    f" m AS (INSERT INTO message ({_COLUMNS}) SELECT :mailbox, b.uid, :inbox, :content, :internal_date, :now,"
    "  :size, :email_id, coalesce((SELECT thread FROM t WHERE hash = :first), CAST(:thread AS text)), b.modseq FROM b"
    "  RETURNING thread_id),"
    " f AS (INSERT INTO message_flags (mailbox_id, uid, flags, modseq) SELECT :mailbox, b.uid, :flags, b.modseq FROM b)"
    " SELECT b.uid, b.uidvalidity, b.modseq, b.role, m.thread_id, i.level FROM b, m, i"
)
_CONTENT = Stmt("SELECT size, message_id, in_reply_to, refs FROM content_meta WHERE id = :content")


def append(
    tx: Tx,
    mailbox: MailboxId,
    inbox: InboxId,
    content: StagedContent | ContentId,
    *,
    internal_date: int,
    flags: int = 0,
    keywords: Sequence[str] = (),
    now: int,
    email_id: str | None = None,
    auto_sent: bool = False,
    beyond_quota: bool = False,
    pulled: bool = False,
) -> Appended:
    """Give `content` a UID in `mailbox`. The content is complete or completed in the same unit.

    `flags`: system flags; `keywords` by name. `email_id`: only when the arrival is the same message as another one of
    this inbox. `auto_sent`: this is the gateway's own Sent copy, which gives way to a client's copy of the same
    Message-ID, whichever comes first (clients.md). `beyond_quota`: it must not be lost, also when the inbox is full.
    `pulled`: it lies in an account elsewhere, and is no client's copy that anything gives way to.
    Raises NotFound (no such mailbox in this inbox, or only a name that holds children), LimitReached (keywords, UIDs
    used up), OverQuota.
    """
    facts = _facts(tx, content)
    if auto_sent and facts.own_hash is not None:
        counters.lock(tx, inbox)
        earlier = sent.client_copy(tx, inbox, mailbox, facts.own_hash, now)
        if earlier is not None:
            return Appended(*earlier, made=False)
    if keywords:
        counters.lock(tx, inbox)
        flags |= flag_mask(tx, mailbox, keywords)
    email_id = email_id or object_id("M")
    place = _place_at_once if tx.dialect == "postgresql" else _place
    appended, role, level = place(tx, mailbox, inbox, facts, internal_date, flags, now, email_id)
    if level and not beyond_quota and quota.judge(level):
        appended = replace(appended, nearly_full=True)
    if role == SENT and facts.own_hash is not None and not pulled:
        sent.arrived(tx, inbox, mailbox, [(facts.own_hash, appended.uid)], auto=auto_sent, now=now)
    note_due(tx, facts.content_id)
    tx.wake(inbox, mailbox)
    return appended


def _facts(tx: Tx, content: StagedContent | ContentId) -> _Facts:
    if isinstance(content, StagedContent):
        meta = content.meta
        content_id, size = content.content_id, content.size
        own, replied, references = meta.message_id, meta.in_reply_to, meta.references
    else:
        row = tx.one(_CONTENT, content=content)
        if row is None:
            raise NotFound("Content does not exist")
        content_id, size, own = content, row[0], row[1]
        replied, references = contents.split_ids(row[2]), contents.split_ids(row[3])
    hashes = threads.thread_hashes(own, replied, references)
    return _Facts(content_id, size, hashes[0] if own else None, hashes)


def _place(
    tx: Tx, mailbox: MailboxId, inbox: InboxId, facts: _Facts, internal_date: int, flags: int, now: int, email_id: str
) -> tuple[Appended, str | None, int]:
    """What was appended, the mailbox's role, and `quota.LEVEL`."""
    size = facts.size
    counted = tx.one(_INBOX, inbox=inbox, step=int(inbox not in tx.modseqs), size=size)
    if counted is None:
        raise NotFound("Mailbox does not exist")
    modseq, level = counted
    row = tx.one(_MAILBOX, mailbox=mailbox, inbox=inbox, modseq=modseq, unseen=int(not flags & SEEN), size=size)
    if row is None:
        raise NotFound("Mailbox does not exist")
    tx.modseqs[inbox] = modseq
    uid, uidvalidity, role = row
    _check_uid(uid)
    thread = threads.assign(tx, inbox, facts.hashes, object_id("T"))
    tx.do(
        _MESSAGE,
        mailbox=mailbox,
        uid=uid,
        inbox=inbox,
        content=facts.content_id,
        internal_date=internal_date,
        now=now,
        size=size,
        email_id=email_id,
        thread=thread,
        modseq=modseq,
    )
    tx.do(_FLAGS, mailbox=mailbox, uid=uid, flags=flags, modseq=modseq)
    return Appended(uid, uidvalidity, modseq, email_id, thread), role, level


def _place_at_once(
    tx: Tx, mailbox: MailboxId, inbox: InboxId, facts: _Facts, internal_date: int, flags: int, now: int, email_id: str
) -> tuple[Appended, str | None, int]:
    row = tx.one(
        _ALL_IN_ONE,
        mailbox=mailbox,
        inbox=inbox,
        content=facts.content_id,
        step=int(inbox not in tx.modseqs),
        size=facts.size,
        unseen=int(not flags & SEEN),
        hashes=facts.hashes,
        first=facts.hashes[0] if facts.hashes else None,
        internal_date=internal_date,
        now=now,
        flags=flags,
        email_id=email_id,
        thread=object_id("T"),
    )
    if row is None:
        raise NotFound("Mailbox does not exist")
    uid, uidvalidity, modseq, role, thread, level = row
    tx.modseqs[inbox] = modseq
    tx.locked.add(inbox)
    _check_uid(uid)
    return Appended(uid, uidvalidity, modseq, email_id, thread), role, level


def _check_uid(uid: int) -> None:
    if uid > MAX_UID:  # RFC 3501 2.3.1.1: 32 bits; a mailbox that used them all must be made anew
        raise LimitReached("This mailbox has used up its UIDs")
