"""Rows of messages for those who read whole mailboxes: exports."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.ids import ContentId, InboxId, MailboxId

from .db import Rx
from .statements import Stmt

_PAGE = Stmt(
    "SELECT uid, internal_date, flags, size, content_id FROM message"
    " WHERE mailbox_id = :mailbox AND inbox_id = :inbox AND uid > :after ORDER BY uid LIMIT :most"
)


@dataclass(frozen=True, slots=True)
class ExportRow:
    uid: int
    internal_date: int
    flags: int
    size: int
    content_id: ContentId


def page(rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId, after: int, limit: int) -> list[ExportRow]:
    """The next messages above UID `after`."""
    return [ExportRow(*row) for row in rx.all(_PAGE, mailbox=mailbox_id, inbox=inbox_id, after=after, most=limit)]
