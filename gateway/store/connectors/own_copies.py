"""Mail sent from here that the account's server filed too: what it filed stands for the copy in Sent that is here.

So the last messages of Sent are looked at, by their Message-ID, where nothing upstream stands for them yet. What an
account holds twice stays two messages, and no copy here gives way to one that comes in.
"""

from __future__ import annotations

from typing import Final

from gateway.model.ids import MailboxId
from gateway.store.db import Rx
from gateway.store.statements import Stmt

LOOKED_AT: Final = 500
"""Messages of Sent, the last ones."""

_LAST = Stmt(
    "SELECT m.uid, m.email_id, c.message_id FROM (SELECT uid, email_id, content_id FROM message"
    " WHERE mailbox_id = :mailbox ORDER BY uid DESC LIMIT :most) AS m JOIN content_meta c ON c.id = m.content_id"
    " LEFT JOIN remote_place p ON p.mailbox_id = :mailbox AND p.local_uid = m.uid"
    " WHERE p.uid IS NULL AND c.message_id IS NOT NULL ORDER BY m.uid DESC"
)


class OwnCopies:
    """Messages of Sent that nothing upstream stands for, within one unit under the inbox's lock."""

    def __init__(self, rx: Rx) -> None:
        self._rx = rx
        self._free: dict[MailboxId, dict[bytes, tuple[int, str]]] = {}

    def take(self, mailbox: MailboxId, message_id: bytes) -> tuple[int, str] | None:
        """(UID, EMAILID) of the oldest looked at that has this Message-ID; nobody else gets it. None: there is none."""
        if mailbox not in self._free:
            rows = self._rx.all(_LAST, mailbox=mailbox, most=LOOKED_AT)
            self._free[mailbox] = {bytes(named): (uid, email_id) for uid, email_id, named in rows}
        return self._free[mailbox].pop(message_id, None)
