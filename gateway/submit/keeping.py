"""The unit of a submission: contents, local deliveries, Sent copy, queue rows and history, all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model.flags import SEEN
from gateway.model.ids import InboxId, MailboxId, SubmissionId
from gateway.store import content, mailboxes, messages, submissions
from gateway.store.content import StagedContent
from gateway.store.db import Tx
from gateway.store.submissions import SubmissionNew

from .identity import Sender

_SENT: Final = "\\Sent"
_SENT_NAME: Final = "Sent"


@dataclass(frozen=True, slots=True)
class Contents:
    """`kept` has Bcc (the Sent copy), `outgoing` has not, `local` has Return-Path too. Two may be the same."""

    kept: StagedContent
    outgoing: StagedContent
    local: StagedContent


@dataclass(frozen=True, slots=True)
class Plan:
    """What the unit does, decided before it. `inboxes`, by rising id: who gets it here, into which mailbox.

    `sender` None: no Sent copy is left. `submission` names the content that goes out.
    """

    inboxes: tuple[tuple[InboxId, MailboxId], ...]
    contents: Contents
    sent_copy: Sender | None
    submission: SubmissionNew
    now: int


def keep(tx: Tx, plan: Plan) -> SubmissionId:
    """Inboxes are taken in rising order, as everywhere. NotFound: a mailbox went meanwhile."""
    contents, now, sender = plan.contents, plan.now, plan.sent_copy
    owed = sender is not None
    for inbox_id, mailbox_id in plan.inboxes:
        if sender is not None and owed and inbox_id > sender.author:
            _keep_sent(tx, contents.kept, sender, now)
            owed = False
        messages.append(tx, mailbox_id, inbox_id, contents.local, internal_date=now, now=now)
    if sender is not None and owed:
        _keep_sent(tx, contents.kept, sender, now)
    if plan.inboxes:
        content.complete(tx, contents.local, now)
    if plan.submission.recipients:
        content.complete(tx, contents.outgoing, now)
    return submissions.enqueue(tx, plan.submission, now)


def _keep_sent(tx: Tx, kept: StagedContent, sender: Sender, now: int) -> None:
    """clients.md "Sent mail appears once"."""
    mailbox = sender.sent
    if mailbox is None:
        mailbox = mailboxes.create(tx, sender.author, _SENT_NAME, now=now, role=_SENT).id
    appended = messages.append(
        tx, mailbox, sender.author, kept, internal_date=now, flags=SEEN, now=now, auto_sent=sender.sent_copy == "auto"
    )
    if appended.made:
        content.complete(tx, kept, now)
