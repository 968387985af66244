"""Rows of messages for those who read whole mailboxes: exports."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.ids import ContentId, InboxId, MailboxId

from .db import Rx
from .statements import Stmt
from .uidsets import FLAGS

_PAGE = Stmt(
    f"SELECT m.uid, m.internal_date, {FLAGS}, m.size, m.content_id FROM message AS m"
    " WHERE m.mailbox_id = :mailbox AND m.inbox_id = :inbox AND m.uid > :after ORDER BY m.uid LIMIT :most"
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
