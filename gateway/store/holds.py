"""Messages in Drafts that decide about a submission: they wait for somebody's consent or for their time.

Such a message has an EMAILID that says so (`draft_id`), so that removing messages costs nothing more where none of
them is such a one. Once no message of that EMAILID is left in Drafts, whoever removed or moved it, the submission is
cancelled in the same unit. A recipient that is being sent already ends by its attempt's outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.model.ids import InboxId, MailboxId, SubmissionId, object_id

from .db import Rx, Tx, WakeKind
from .queue import cancel_rows, recipients_of
from .statements import Stmt

PENDING: Final = "$PendingApproval"
SCHEDULED: Final = "$Scheduled"
FAILED: Final = "$SendFailed"
_MARK: Final = "M-"  # no other EMAILID has a hyphen

# `draft > ''` and not IS NOT NULL: a range of the index on both, few rows however much an inbox has sent.
_IN_MAILBOX = Stmt(
    "SELECT m.uid, s.id FROM submission s JOIN message m ON m.inbox_id = s.inbox_id AND m.email_id = s.draft"
    " WHERE s.inbox_id = :inbox AND s.draft > '' AND m.mailbox_id = :mailbox ORDER BY m.uid"
)
_DECIDED = Stmt("SELECT id, draft FROM submission WHERE inbox_id = :inbox AND draft > '' ORDER BY draft")
_DECIDED_BY = Stmt("SELECT id, draft FROM submission WHERE inbox_id = :inbox AND draft IN :TEXTS(drafts)")
_STILL_THERE = Stmt(
    "SELECT DISTINCT m.email_id FROM message m JOIN mailbox b ON b.id = m.mailbox_id AND b.role = '\\Drafts'"
    " WHERE m.inbox_id = :inbox AND m.email_id IN :TEXTS(drafts)"
)
_FREE = Stmt("UPDATE submission SET draft = NULL WHERE id = :submission")


def draft_id() -> str:
    """An EMAILID for a message that decides about a submission."""
    return _MARK + object_id("M")[1:]


def waiting_in(rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId) -> dict[int, SubmissionId]:
    """UID -> the submission that its message decides about."""
    return {row[0]: SubmissionId(row[1]) for row in rx.all(_IN_MAILBOX, inbox=inbox_id, mailbox=mailbox_id)}


def left(tx: Tx, inbox_id: InboxId, email_ids: Iterable[str], now: int) -> frozenset[str]:
    """Messages of these EMAILIDs left a mailbox: cancel what no draft stands for any more; their EMAILIDs.

    The unit holds the inbox's lock.
    """
    marked = [email_id for email_id in email_ids if email_id.startswith(_MARK)]
    if not marked:
        return frozenset()
    rows = tx.all(_DECIDED_BY, inbox=inbox_id, drafts=marked)  # of thousands that wait, mostly one has left
    return _cancel(tx, inbox_id, {row[1]: SubmissionId(row[0]) for row in rows}, now)


def mailbox_gone(tx: Tx, inbox_id: InboxId, now: int) -> None:
    """The mailbox for drafts was deleted, with what was in it."""
    _cancel(tx, inbox_id, decided(tx, inbox_id), now)


def decided(rx: Rx, inbox_id: InboxId) -> dict[str, SubmissionId]:
    """EMAILID of each draft of an inbox that decides -> the submission."""
    return {row[1]: SubmissionId(row[0]) for row in rx.all(_DECIDED, inbox=inbox_id)}


def free(tx: Tx, submission_id: SubmissionId) -> None:
    """From now on no draft decides about the submission."""
    tx.run(_FREE, submission=submission_id)


def _cancel(tx: Tx, inbox_id: InboxId, waiting: Mapping[str, SubmissionId], now: int) -> frozenset[str]:
    if not waiting:
        return frozenset()
    there = {row[0] for row in tx.all(_STILL_THERE, inbox=inbox_id, drafts=list(waiting))}
    gone = {email_id: submission for email_id, submission in waiting.items() if email_id not in there}
    for submission in sorted(gone.values()):
        free(tx, submission)
        cancel_rows(tx, recipients_of(tx, submission), now, "its draft was removed")
    if gone:
        tx.wake(inbox_id, kind=WakeKind.QUEUE)
    return frozenset(gone)
