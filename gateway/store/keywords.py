"""The table bit -> keyword of a mailbox."""

from __future__ import annotations

from gateway.model.ids import MailboxId

from .db import Rx
from .statements import Stmt

_KEYWORDS = Stmt("SELECT bit, name FROM keyword WHERE mailbox_id = :mailbox ORDER BY bit")


def keywords_of(rx: Rx, mailbox_id: MailboxId) -> dict[int, str]:
    """bit number -> keyword of a mailbox."""
    return dict(rx.all(_KEYWORDS, mailbox=mailbox_id))
