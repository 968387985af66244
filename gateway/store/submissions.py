"""Accepted submissions: one row an acceptance, one row a recipient, written by the unit that accepts.

A recipient here is `sent` from the beginning, its row being the submission's history; one elsewhere is queued, due now
or at the release time that was asked for (RFC 4865), or held until somebody decides. What becomes of those is in
`queue`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.model.errors import InvalidRequest
from gateway.model.ids import ContentId, InboxId, SubmissionId
from gateway.model.recipient import Notify, Recipient

from . import event_log, reports
from .db import Rx, Tx, WakeKind
from .queue import QueueState, domain_of
from .statements import Stmt

HERE: Final = b"Delivered to the inbox"
HERE_LATER: Final = "."
"""The destination under which recipients here wait: no domain is called so."""

_INSERT = Stmt(
    "INSERT INTO submission (uuid, inbox_id, key_id, mail_from, content_id, envelope_id, smtputf8, body8bit,"
    " bodybinary, created_at, finished_at, ret, message_id, size, release_at, draft, trace, hold)"
    " VALUES (:uuid, :inbox, :key, :sender, :content, :envid, :smtputf8, :body8bit, :bodybinary,"
    " :now, :finished, :ret, :message, :size, :release, :draft, :trace,"
    " :hold) RETURNING id"
)
_HOLD_OF = Stmt("SELECT hold FROM submission WHERE content_id = :content")
_INSERT_RECIPIENT = Stmt(
    "INSERT INTO queue_recipient (submission_id, inbox_id, address, domain, state, next_attempt, updated_at, notify,"
    " orcpt, hold_reason, code, enhanced, text)"
    " VALUES (:submission, :inbox, :address, :domain, :state, :at, :now, :notify, :orcpt, :reason, :code, :enhanced,"
    " :text)"
)

_HELD = Stmt(
    "INSERT INTO queue_attempt (recipient_id, at, state, text)"
    " SELECT id, CAST(:now AS bigint), state, :reason FROM queue_recipient WHERE submission_id = :submission"
    " AND state = 'held'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionFacts:
    """What is known of a submission from its acceptance on.

    `mail_from` "" is the null reverse-path; `envelope_id` and `ret` are DSN's ENVID and RET (RFC 3461 4.3, 4.4), as
    decoded text and "FULL" or "HDRS". `message_id` is without its brackets. `release_at`: Unix seconds, not sent before
    (RFC 4865). `draft`: EMAILID of the message in Drafts that this was made from and that still decides about it.
    """

    inbox_id: InboxId
    key_id: int | None
    mail_from: str
    content_id: ContentId
    envelope_id: str | None = None
    smtputf8: bool = False
    body8bit: bool = False
    bodybinary: bool = False
    ret: str | None = None
    message_id: bytes | None = None
    size: int = 0
    release_at: int | None = None
    draft: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionNew(SubmissionFacts):
    """One acceptance. `recipients` go into the queue, `here` are delivered by the same unit, `later` wait for it.

    With `hold_reason` what is queued is held: `approval`, `scheduled`, `route`. `uuid`: its name for people. `trace`:
    the id in its Received field, which its sender was told. `hold`: the wish that made its release time, as reports
    repeat it (RFC 4865 5.1.2).
    """

    recipients: Sequence[Recipient] = ()
    here: Sequence[Recipient] = field(default=())
    later: Sequence[Recipient] = field(default=())
    hold_reason: str | None = None
    trace: str | None = None
    hold: str | None = None
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))


def enqueue(tx: Tx, new: SubmissionNew, now: int) -> SubmissionId:
    """Write the submission down; what is queued is due at once, at its release time, or held.

    InvalidRequest without recipients.
    """
    waiting = {each.address: (each, domain_of(each.address)) for each in new.recipients}
    waiting |= {each.address: (each, HERE_LATER) for each in new.later}
    if not waiting and not new.here:
        raise InvalidRequest("A submission has at least one recipient")
    number = tx.scalar(
        _INSERT,
        uuid=new.uuid,
        inbox=new.inbox_id,
        key=new.key_id,
        sender=new.mail_from,
        content=new.content_id,
        envid=new.envelope_id,
        smtputf8=int(new.smtputf8),
        body8bit=int(new.body8bit),
        bodybinary=int(new.bodybinary),
        now=now,
        finished=None if waiting else now,
        ret=new.ret,
        message=new.message_id,
        size=new.size,
        release=new.release_at,
        draft=new.draft,
        trace=new.trace,
        hold=new.hold,
    )
    submission = SubmissionId(number)
    _add_recipients(tx, submission, new, list(waiting.values()), now)
    if new.draft is None:  # else it is sent when the draft decides so
        event_log.submitted(tx, new.inbox_id, submission)
    if waiting:
        tx.wake(new.inbox_id, kind=WakeKind.QUEUE)
    if new.mail_from and any((each.notify or Notify.NEVER) & Notify.SUCCESS for each in new.here):
        reports.owe_notice(tx, submission, now)
    return submission


def hold_of(rx: Rx, content_id: ContentId) -> str | None:
    """What the sender of a content that goes out asked for: `for;3600`, `until;2027-01-31T12:00:00Z`."""
    found: str | None = rx.scalar(_HOLD_OF, content=content_id)
    return found


def _add_recipients(
    tx: Tx, submission: SubmissionId, new: SubmissionNew, waiting: Sequence[tuple[Recipient, str]], now: int
) -> None:
    """A row for each: those here are done; `waiting`, with their destinations, are due or held."""
    common = {"submission": submission, "inbox": new.inbox_id, "now": now}
    for recipient in new.here:
        tx.do(
            _INSERT_RECIPIENT,
            state=QueueState.SENT.value,
            at=None,
            reason=None,
            code=250,
            enhanced="2.1.5",
            text=HERE,
            domain=domain_of(recipient.address),
            **_columns(recipient),
            **common,
        )
    held = new.hold_reason is not None
    at = max(now, new.release_at or now)
    for recipient, domain in waiting:
        tx.do(
            _INSERT_RECIPIENT,
            state=(QueueState.HELD if held else QueueState.QUEUED).value,
            at=at if not held or new.hold_reason == "scheduled" else None,
            domain=domain,
            reason=new.hold_reason,
            code=None,
            enhanced=None,
            text=None,
            **_columns(recipient),
            **common,
        )
    if new.hold_reason is not None:  # the history keeps it when the recipient goes on
        tx.run(_HELD, submission=submission, reason=new.hold_reason.encode(), now=now)


def _columns(recipient: Recipient) -> dict[str, object]:
    return {
        "address": recipient.address,
        "notify": None if recipient.notify is None else int(recipient.notify),
        "orcpt": recipient.orcpt,
    }
