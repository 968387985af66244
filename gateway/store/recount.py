"""Repair of what can be computed anew: counters of mailboxes and inboxes. Records of flags are begun anew, and flags of
messages that are not there go.
"""

from __future__ import annotations

from gateway.model.ids import InboxId, MailboxId
from gateway.model.sequence import from_numbers

from . import changes, counters
from .changes import ChangeKind
from .db import Tx
from .statements import Stmt

_MAILBOXES = Stmt(
    "UPDATE mailbox SET messages = (SELECT count(*) FROM message m WHERE m.mailbox_id = mailbox.id),"
    " unseen = (SELECT count(*) FROM message_flags f WHERE f.mailbox_id = mailbox.id AND f.flags & 1 = 0),"
    " octets = (SELECT coalesce(sum(m.size), 0) FROM message m WHERE m.mailbox_id = mailbox.id),"
    " flag_record = '', flag_floor = highest_modseq WHERE inbox_id = :inbox"
)
_INBOX = Stmt(
    "UPDATE inbox SET messages = (SELECT coalesce(sum(b.messages), 0) FROM mailbox b WHERE b.inbox_id = inbox.id),"
    " octets = (SELECT coalesce(sum(b.octets), 0) FROM mailbox b WHERE b.inbox_id = inbox.id),"
    " mailboxes = (SELECT count(*) FROM mailbox b WHERE b.inbox_id = inbox.id AND b.noselect = 0) WHERE id = :inbox"
)
_STRAY = Stmt(
    "SELECT f.mailbox_id, f.uid FROM mailbox b CROSS JOIN message_flags f WHERE b.inbox_id = :inbox"
    " AND f.mailbox_id = b.id AND NOT EXISTS"
    " (SELECT 1 FROM message m WHERE m.mailbox_id = f.mailbox_id AND m.uid = f.uid) ORDER BY f.mailbox_id, f.uid"
)
_REMOVE_STRAY = Stmt("DELETE FROM message_flags WHERE mailbox_id = :mailbox AND uid IN :LIST(uids)")


def recount(tx: Tx, inbox_id: InboxId) -> None:
    """Set the counters of an inbox and its mailboxes to what the message rows say.

    Whoever asks for changes of flags up to now is shown all messages that have a higher MODSEQ: nobody misses one.
    """
    counters.lock(tx, inbox_id)
    _remove_stray(tx, inbox_id)
    tx.run(_MAILBOXES, inbox=inbox_id)
    tx.run(_INBOX, inbox=inbox_id)
    tx.wake(inbox_id)


def _remove_stray(tx: Tx, inbox_id: InboxId) -> None:
    """Clients that count such a message are told that it is gone."""
    stray: dict[MailboxId, list[int]] = {}
    for mailbox, uid in tx.all(_STRAY, inbox=inbox_id):
        stray.setdefault(mailbox, []).append(uid)
    for mailbox, uids in stray.items():
        tx.run(_REMOVE_STRAY, mailbox=mailbox, uids=uids)
        modseq = counters.draw(tx, inbox_id)
        counters.apply_mailbox(tx, mailbox, modseq)
        gone = from_numbers(uids)
        changes.record(tx, inbox_id, modseq, ChangeKind.EXPUNGED, mailbox_id=mailbox, uids=gone)
