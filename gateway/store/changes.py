"""The change record: what message rows alone cannot tell, and what a session asks after a wake-up."""

from __future__ import annotations

from enum import StrEnum

from gateway.model.ids import InboxId, MailboxId, ModSeq
from gateway.model.sequence import Ranges, render

from .db import Tx
from .statements import Stmt


class ChangeKind(StrEnum):
    EXPUNGED = "expunged"
    """`uids` are gone from the mailbox."""
    CREATED = "created"
    DELETED = "deleted"
    RENAMED = "renamed"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"


_RECORD = Stmt(
    "INSERT INTO change (inbox_id, modseq, mailbox_id, kind, uids) VALUES (:inbox, :modseq, :mailbox, :kind, :uids)"
    " ON CONFLICT (inbox_id, modseq, mailbox_id, kind) DO UPDATE SET uids = CASE"
    " WHEN change.uids = '' THEN excluded.uids WHEN excluded.uids = '' THEN change.uids"
    " ELSE change.uids || ',' || excluded.uids END"
)


def record(
    tx: Tx,
    inbox_id: InboxId,
    modseq: ModSeq,
    kind: ChangeKind,
    *,
    mailbox_id: MailboxId | None = None,
    uids: Ranges = (),
) -> None:
    """Write down a change under the unit's MODSEQ. `mailbox_id` None: of the inbox as a whole."""
    tx.do(_RECORD, inbox=inbox_id, modseq=modseq, mailbox=mailbox_id or 0, kind=kind.value, uids=render(uids))
