"""Delivery to an inbox here: what each unit does that puts into a mailbox what somebody sent."""

from __future__ import annotations

from gateway.model.ids import InboxId, MailboxId

from .append import append
from .content import StagedContent
from .db import Tx
from .reports import note_report


def deliver(
    tx: Tx, mailbox_id: MailboxId, inbox_id: InboxId, content: StagedContent, now: int, *, may_be_report: bool
) -> None:
    """The message, and the note of what may be a report about what the inbox sent (`mime.may_be_report`).

    Errors as of `append`. The caller completes the content.
    """
    append(tx, mailbox_id, inbox_id, content, internal_date=now, now=now)
    if may_be_report:
        note_report(tx, inbox_id, content.content_id, now)
