"""Repair of what can be computed anew: counters of mailboxes and inboxes. Records of flags are begun anew."""

from __future__ import annotations

from gateway.model.ids import InboxId

from . import counters
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


def recount(tx: Tx, inbox_id: InboxId) -> None:
    """Set the counters of an inbox and its mailboxes to what the message rows say.

    Whoever asks for changes of flags up to now is shown all messages that have a higher MODSEQ: nobody misses one.
    """
    counters.lock(tx, inbox_id)
    tx.run(_MAILBOXES, inbox=inbox_id)
    tx.run(_INBOX, inbox=inbox_id)
    tx.wake(inbox_id)
