"""Sent mail appears once (clients.md): our automatic copy gives way to the copy the client itself stores.

Clients store what they sent by APPEND, COPY or MOVE into \\Sent, shortly before or after submitting it. Theirs is
kept (it has Bcc, ours differs by trace fields), ours is expunged in the same unit; if theirs came first, none is made.
Marks of arrivals in \\Sent live an hour: later copies are no part of a submission.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.model.ids import InboxId, MailboxId, ModSeq, Uid, UidValidity

from .db import Rx, Tx
from .expunge import expunge
from .statements import Stmt
from .threads import id_hash
from .uidsets import MODSEQ

WINDOW_SECONDS: Final = 3600
MOST: Final = 100
"""A COPY or MOVE of more messages files old mail and is no sending."""

_MARK = Stmt(
    "INSERT INTO sent_mark (inbox_id, hash, mailbox_id, uid, auto, at)"
    " VALUES (:inbox, :hash, :mailbox, :uid, :auto, :at)"
)
_PRUNE = Stmt("DELETE FROM sent_mark WHERE inbox_id = :inbox AND at < :before")
# Marks are found by their hash. `+s.at` and CROSS JOIN (it holds SQLite to this order) keep the planner from walking
# all the hour's marks by the index on `at`, or the whole mailbox in the order that is wanted.
_AUTO = Stmt(
    "SELECT s.mailbox_id, s.uid, s.hash FROM sent_mark s CROSS JOIN message m WHERE m.mailbox_id = s.mailbox_id"
    " AND m.uid = s.uid AND s.inbox_id = :inbox AND s.hash IN :LIST(hashes) AND s.auto = 1 AND +s.at >= :since"
    " ORDER BY s.uid"
)
_FORGET = Stmt(
    "DELETE FROM sent_mark WHERE inbox_id = :inbox AND hash = :hash AND mailbox_id = :mailbox AND uid = :uid"
)
_CLIENT = Stmt(
    f"SELECT m.uid, b.uidvalidity, {MODSEQ}, m.email_id, m.thread_id FROM sent_mark s"
    " CROSS JOIN message m CROSS JOIN mailbox b"
    " WHERE s.inbox_id = :inbox AND s.mailbox_id = :mailbox AND s.hash = :hash AND s.auto = 0 AND +s.at >= :since"
    " AND m.mailbox_id = s.mailbox_id AND m.uid = s.uid AND b.id = s.mailbox_id"
    " ORDER BY s.uid DESC LIMIT 1"
)
_MESSAGE_IDS = Stmt(
    "SELECT m.uid, c.message_id FROM message m JOIN content_meta c ON c.id = m.content_id"
    " WHERE m.mailbox_id = :mailbox AND m.uid BETWEEN :first AND :last AND c.message_id IS NOT NULL"
)


def client_copy(
    rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId, message_hash: int, now: int
) -> tuple[Uid, UidValidity, ModSeq, str, str] | None:
    """The copy a client stored in `mailbox_id` within the hour: (uid, uidvalidity, modseq, email id, thread id)."""
    row = rx.one(_CLIENT, inbox=inbox_id, mailbox=mailbox_id, hash=message_hash, since=now - WINDOW_SECONDS)
    return None if row is None else (row[0], row[1], row[2], row[3], row[4])


def arrived(
    tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, arrivals: Sequence[tuple[int, int]], *, auto: bool, now: int
) -> None:
    """Note (hash of Message-ID, uid) that came into a \\Sent mailbox; a client's arrival expunges our own copy."""
    since = now - WINDOW_SECONDS
    tx.do(_PRUNE, inbox=inbox_id, before=since)
    if not auto:
        hashes = [message_hash for message_hash, _uid in arrivals]
        for mailbox, uid, message_hash in tx.all(_AUTO, inbox=inbox_id, hashes=hashes, since=since):
            expunge(tx, inbox_id, mailbox, [uid], only_deleted=False, now=now)
            tx.do(_FORGET, inbox=inbox_id, hash=message_hash, mailbox=mailbox, uid=uid)
    for message_hash, uid in arrivals:
        tx.do(_MARK, inbox=inbox_id, hash=message_hash, mailbox=mailbox_id, uid=uid, auto=int(auto), at=now)


def transferred(tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, first: int, last: int, *, now: int) -> None:
    """COPY or MOVE put messages first:last into a \\Sent mailbox."""
    if last - first >= MOST:
        return
    rows = tx.all(_MESSAGE_IDS, mailbox=mailbox_id, first=first, last=last)
    arrivals = [(id_hash(bytes(message_id)), uid) for uid, message_id in rows]
    if arrivals:
        arrived(tx, inbox_id, mailbox_id, arrivals, auto=False, now=now)
