"""Which message of an inbox is the one that was sent: by its Message-ID, in \\Sent if it lies there."""

from __future__ import annotations

from typing import Final

from gateway.model.ids import InboxId
from gateway.model.mailbox import SENT

from .db import Rx
from .statements import Stmt
from .threads import id_hash

MOST: Final = 1000
"""Messages of one thread that are looked at."""

_THREAD = Stmt("SELECT thread FROM thread_ref WHERE inbox_id = :inbox AND hash = :hash")
# CROSS JOIN holds SQLite to this order: the thread outside, look-ups by key inside.
_COPIES = Stmt(
    "SELECT m.email_id, b.role FROM (SELECT mailbox_id, email_id, content_id FROM message WHERE inbox_id = :inbox"
    " AND thread_id = :thread LIMIT :most) m CROSS JOIN content_meta c CROSS JOIN mailbox b"
    " WHERE c.id = m.content_id AND c.message_id = :message_id AND b.id = m.mailbox_id ORDER BY m.content_id"
)


def copy_of(rx: Rx, inbox_id: InboxId, message_id: bytes) -> tuple[str | None, str | None]:
    """(EMAILID, THREADID) of what was sent with that Message-ID, without brackets; None: no copy is left, never was."""
    thread = rx.scalar(_THREAD, inbox=inbox_id, hash=id_hash(message_id))
    if thread is None:
        return None, None
    rows = rx.all(_COPIES, inbox=inbox_id, thread=thread, message_id=message_id, most=MOST)
    found = next((email for email, role in rows if role == SENT), rows[0][0] if rows else None)
    return found, thread
