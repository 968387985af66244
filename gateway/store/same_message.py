"""Rows of messages by EMAILID or THREADID: where in an inbox a message lies, and what belongs to a thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.model.ids import ContentId, InboxId, MailboxId

from .db import Rx
from .statements import Stmt
from .uidsets import FLAGS, MODSEQ

SHA: Final = 16
"""Octets of a content's digest that are told: an id alone may be given again by a database that was restored."""


class PlaceRow(NamedTuple):
    """A message in one mailbox."""

    email_id: str
    mailbox_id: MailboxId
    uid: int
    internal_date: int
    content_id: ContentId
    size: int
    thread_id: str
    save_date: int
    flags: int
    modseq: int
    sha256: bytes

    @property
    def point(self) -> tuple[int, int]:
        """As in `by_date`."""
        return self.internal_date, self.content_id


_COLUMNS: Final = (
    "m.email_id, m.mailbox_id, m.uid, m.internal_date, m.content_id, m.size, m.thread_id, m.save_date,"
    f" {FLAGS}, {MODSEQ}, substr((SELECT c.sha256 FROM content_meta c WHERE c.id = m.content_id), 1, {SHA})"
)
_BY_EMAIL = Stmt(f"SELECT {_COLUMNS} FROM message m WHERE m.inbox_id = :inbox AND m.email_id IN :TEXTS(ids)")
_BY_THREAD = Stmt(
    f"SELECT {_COLUMNS} FROM message m WHERE m.inbox_id = :inbox AND m.thread_id IN :TEXTS(ids) LIMIT :most"
)
_KEYWORDS = Stmt("SELECT mailbox_id, bit, name FROM keyword WHERE mailbox_id IN :LIST(mailboxes)")


def places(rx: Rx, inbox_id: InboxId, email_ids: Sequence[str]) -> list[PlaceRow]:
    """All places of these messages, in no order."""
    return [PlaceRow._make(row) for row in rx.all(_BY_EMAIL, inbox=inbox_id, ids=list(email_ids))]


def of_threads(rx: Rx, inbox_id: InboxId, thread_ids: Sequence[str], most: int) -> list[PlaceRow]:
    """All places of all messages of these threads, in no order; `most` of them."""
    return [PlaceRow._make(row) for row in rx.all(_BY_THREAD, inbox=inbox_id, ids=list(thread_ids), most=most)]


def keywords(rx: Rx, mailboxes: Sequence[MailboxId]) -> dict[MailboxId, dict[int, str]]:
    """Mailbox -> bit number -> keyword; without those that have none."""
    found: dict[MailboxId, dict[int, str]] = {}
    for mailbox, bit, name in rx.all(_KEYWORDS, mailboxes=list(mailboxes)):
        found.setdefault(mailbox, {})[bit] = name
    return found
