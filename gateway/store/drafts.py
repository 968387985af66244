"""What becomes of a draft that decides about a submission: it is released, given up, or found unfit.

All of it is one unit each: whoever looks sees the draft in Drafts and its recipients held, or the message in Sent and
its recipients in the queue, and never both or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.errors import LimitReached, NotFound
from gateway.model.flags import DRAFT, SEEN
from gateway.model.ids import ContentId, InboxId, KeyId, MailboxId, SubmissionId
from gateway.model.mailbox import DRAFTS, SENT
from gateway.model.permissions import SENDS_DRAFTS, SentCopy

from . import counters, draft_names, event_log, holds, inboxes, keys, mailboxes, quota, sent, uses
from .append import append
from .db import Rx, Tx, WakeKind
from .expunge import expunge
from .flags import store_flags
from .holds import FAILED, PENDING, SCHEDULED
from .listing import MAX_MAILBOXES
from .queue import cancel_rows, lock_submissions, note, recipients_of
from .statements import Stmt
from .threads import id_hash
from .transfer import move

OUTBOX: Final = "Outbox"
"""The name of the mailbox that a draft is moved to so that it is sent."""


_SUBMISSION = Stmt(
    "SELECT inbox_id, draft, key_id, mail_from, content_id, release_at FROM submission WHERE id = :submission"
)
_MESSAGE = Stmt(
    "SELECT m.mailbox_id, m.uid, c.message_id FROM message m JOIN mailbox b ON b.id = m.mailbox_id"
    " AND b.role = '\\Drafts' JOIN content_meta c ON c.id = m.content_id"
    " WHERE m.inbox_id = :inbox AND m.email_id = :draft ORDER BY m.uid LIMIT 1"
)
_RELEASE = Stmt(
    "UPDATE queue_recipient SET state = 'queued', next_attempt = :at, hold_reason = NULL, updated_at = :now"
    " WHERE submission_id = :submission AND state = 'held' RETURNING id"
)
_WAITING = Stmt(
    "SELECT DISTINCT s.id, s.inbox_id FROM queue_recipient r JOIN submission s ON s.id = r.submission_id"
    " WHERE r.id IN :LIST(rows) AND s.draft IS NOT NULL ORDER BY s.id"
)
_FINISHED = Stmt("SELECT 1 FROM submission WHERE id = :submission AND finished_at IS NOT NULL")
_RELEASED = Stmt("UPDATE submission SET draft = NULL, release_at = :at WHERE id = :submission")
_APPROVAL = Stmt("SELECT 1 FROM queue_recipient WHERE submission_id = :submission AND hold_reason = 'approval' LIMIT 1")
_DUE: Final = (
    " FROM submission s WHERE s.draft IS NOT NULL AND EXISTS (SELECT 1 FROM queue_recipient r"
    " WHERE r.submission_id = s.id AND r.state = 'held' AND r.hold_reason = 'scheduled')"
)
_DUE_PAGE = Stmt(f"SELECT s.id, s.inbox_id{_DUE} AND s.release_at <= :now ORDER BY s.release_at, s.id LIMIT :most")
_NEXT = Stmt(f"SELECT min(s.release_at){_DUE}")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A submission whose draft has not decided yet."""

    submission: SubmissionId
    inbox_id: InboxId
    draft: str
    key_id: int | None
    mail_from: str
    content_id: ContentId
    release_at: int | None


@dataclass(frozen=True, slots=True)
class _Draft:
    mailbox: MailboxId
    uid: int
    message_id: bytes | None


def place(tx: Tx, inbox_id: InboxId, now: int) -> MailboxId:
    """The mailbox for drafts, which is made or gets that use where the inbox has none. OverQuota, LimitReached."""
    found = uses.find(tx, inbox_id, DRAFTS)
    if found is None:
        return uses.make(tx, inbox_id, DRAFTS, now).id
    mailboxes.set_role(tx, inbox_id, found.name, DRAFTS)
    return found.id


def make_outbox(tx: Tx, inbox_id: InboxId, now: int) -> None:
    """See to it that there is a mailbox to move drafts to, if the inbox may have one more."""
    if mailboxes.by_name(tx, inbox_id, OUTBOX) is None and _room_for_a_mailbox(tx, inbox_id):
        mailboxes.create(tx, inbox_id, OUTBOX, now=now)
        mailboxes.subscribe(tx, inbox_id, OUTBOX)


def waiting_of(tx: Tx, recipient_ids: Sequence[int]) -> list[SubmissionId]:
    """Those of the recipients' submissions that a draft decides about; locks their inboxes, as must come first."""
    rows = tx.all(_WAITING, rows=list(recipient_ids))
    if rows:
        counters.lock(tx, *sorted({InboxId(row[1]) for row in rows}))
    return [SubmissionId(row[0]) for row in rows]


def release(tx: Tx, submission_id: SubmissionId, now: int, by: str = "") -> int:
    """Let the submission go and file its draft as sent; how many recipients, 0 when no draft decides about it.

    One that was to be sent later goes at once, unless it was for somebody's consent that it waited: then at its time,
    if that is still to come (RFC 4865). NotFound.
    """
    waiting = _waiting(tx, submission_id)
    if waiting is None:
        return 0
    at = now
    if waiting.release_at is not None and tx.one(_APPROVAL, submission=submission_id) is not None:
        at = max(now, waiting.release_at)
    tx.run(_RELEASED, submission=submission_id, at=at)  # first: the draft decides nothing more
    released = [row[0] for row in tx.all(_RELEASE, submission=submission_id, at=at, now=now)]
    if not released:  # nothing goes out, so nothing is filed as sent
        _unmark(tx, waiting)
        return 0
    note(tx, released, "released", now, by)
    event_log.submitted(tx, waiting.inbox_id, submission_id)
    _file(tx, waiting, now)
    draft_names.sent(tx, waiting.inbox_id, waiting.draft)
    tx.wake(waiting.inbox_id, kind=WakeKind.QUEUE)
    return len(released)


def settle(tx: Tx, submission_ids: Sequence[SubmissionId]) -> None:
    """Recipients were cancelled: where none is left the draft is an ordinary one again."""
    for submission_id in submission_ids:
        waiting = _waiting(tx, submission_id)
        if waiting is not None and tx.one(_FINISHED, submission=submission_id) is not None:
            holds.free(tx, submission_id)
            _unmark(tx, waiting)


def inbox_gone(tx: Tx, inbox_id: InboxId) -> None:
    """All its recipients were cancelled: brought back, it has ordinary drafts, for none of them will be sent."""
    settle(tx, list(holds.decided(tx, inbox_id).values()))


def fail(tx: Tx, submission_id: SubmissionId, now: int, why: str) -> None:
    """Cancel the submission; its draft stays, and bears a mark that says so."""
    waiting = _waiting(tx, submission_id)
    if waiting is None:
        return
    holds.free(tx, submission_id)
    cancel_rows(tx, recipients_of(tx, submission_id), now, why)
    draft = _unmark(tx, waiting)
    if draft is not None:
        # A mailbox that has all the keywords it may have gets no other one: the draft is not marked then.
        with suppress(LimitReached):
            store_flags(tx, waiting.inbox_id, draft.mailbox, [draft.uid], "add", 0, (FAILED,))
    tx.wake(waiting.inbox_id, kind=WakeKind.QUEUE)


def due(rx: Rx, now: int, limit: int) -> list[tuple[SubmissionId, InboxId]]:
    """Submissions of scheduled drafts whose time has come, and their inboxes, the longest due first."""
    return [(SubmissionId(row[0]), InboxId(row[1])) for row in rx.all(_DUE_PAGE, now=now, most=limit)]


def next_due(rx: Rx) -> int | None:
    """When the next scheduled draft is to be sent (Unix seconds)."""
    found: int | None = rx.scalar(_NEXT)
    return found


def send_due(tx: Tx, submission_id: SubmissionId, now: int) -> bool:
    """The time of a scheduled draft has come: release it if its key may still send; False: it was marked instead.

    A key that was revoked, or has expired, sends nothing more in its owner's name.
    """
    waiting = _waiting(tx, submission_id)
    if waiting is None:
        return True
    key = keys.key_by_id(tx, KeyId(waiting.key_id)) if waiting.key_id is not None else None
    if key is None or not key.usable(now) or not SENDS_DRAFTS & key.permissions:
        fail(tx, submission_id, now, "its key may no longer send")
        return False
    release(tx, submission_id, now, "its time has come")
    return True


def _room_for_a_mailbox(rx: Rx, inbox_id: InboxId) -> bool:
    used = quota.usage(rx, inbox_id)
    return used.mailboxes < min(MAX_MAILBOXES, used.limits.mailboxes or MAX_MAILBOXES)


def _waiting(tx: Tx, submission_id: SubmissionId) -> _Waiting | None:
    """Under the inbox's lock, then the submission's, in the order of all units. NotFound."""
    row = tx.one(_SUBMISSION, submission=submission_id)
    if row is None:
        raise NotFound("No such submission")
    if row[1] is None:
        return None
    counters.lock(tx, InboxId(row[0]))
    lock_submissions(tx, [submission_id])
    row = tx.one(_SUBMISSION, submission=submission_id)
    return None if row is None or row[1] is None else _Waiting(submission_id, *row)


def _draft(tx: Tx, waiting: _Waiting) -> _Draft | None:
    row: tuple[Any, ...] | None = tx.one(_MESSAGE, inbox=waiting.inbox_id, draft=waiting.draft)
    return None if row is None else _Draft(*row)


def _unmark(tx: Tx, waiting: _Waiting) -> _Draft | None:
    """Take the marks off the draft; it, None when it is gone."""
    draft = _draft(tx, waiting)
    if draft is not None:
        store_flags(tx, waiting.inbox_id, draft.mailbox, [draft.uid], "remove", 0, (PENDING, SCHEDULED))
    return draft


def _file(tx: Tx, waiting: _Waiting, now: int) -> None:
    """The draft becomes the Sent copy: the same message, as its writer has it. clients.md "Sent mail appears once"."""
    draft = _draft(tx, waiting)
    if draft is None:
        return
    inbox_id = waiting.inbox_id
    rule = _sent_copy(tx, waiting)
    target = _sent_mailbox(tx, inbox_id, now) if rule != "never" and waiting.mail_from else None
    if target is not None and rule == "auto" and _stored_already(tx, inbox_id, target, draft, now):
        target = None
    if target is not None and draft.message_id is not None:
        store_flags(tx, inbox_id, draft.mailbox, [draft.uid], "remove", DRAFT, (PENDING, SCHEDULED))
        store_flags(tx, inbox_id, draft.mailbox, [draft.uid], "add", SEEN)
        move(tx, inbox_id, draft.mailbox, [draft.uid], target, now=now)
        return
    if target is not None:  # what goes out has a Message-ID by which answers find it, the draft has none
        append(tx, target, inbox_id, waiting.content_id, internal_date=now, flags=SEEN, now=now, beyond_quota=True)
    expunge(tx, inbox_id, draft.mailbox, [draft.uid], only_deleted=False, now=now)


def _stored_already(rx: Rx, inbox_id: InboxId, sent_mailbox: MailboxId, draft: _Draft, now: int) -> bool:
    """Whether a client has put its own copy there."""
    if draft.message_id is None:
        return False
    return sent.client_copy(rx, inbox_id, sent_mailbox, id_hash(bytes(draft.message_id)), now) is not None


def _sent_copy(tx: Tx, waiting: _Waiting) -> SentCopy:
    key = keys.key_by_id(tx, KeyId(waiting.key_id)) if waiting.key_id is not None else None
    if key is not None and key.sent_copy is not None:
        return key.sent_copy
    inbox = inboxes.inbox_by_id(tx, waiting.inbox_id)
    return inbox.settings.sent_copy if inbox is not None else "never"


def _sent_mailbox(tx: Tx, inbox_id: InboxId, now: int) -> MailboxId | None:
    """None: there is none, and no room for one: the mail goes all the same."""
    found = uses.find(tx, inbox_id, SENT)
    if found is None and _room_for_a_mailbox(tx, inbox_id):
        found = uses.make(tx, inbox_id, SENT, now)
    return None if found is None else found.id
