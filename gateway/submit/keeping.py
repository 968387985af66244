"""The unit of a submission: contents, local deliveries, Sent copy, queue rows and history, all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.mime import may_be_report
from gateway.model.flags import DRAFT, SEEN
from gateway.model.ids import InboxId, MailboxId, SubmissionId
from gateway.model.mailbox import SENT
from gateway.store import content, counters, drafts, messages, once, rates, submissions, uses
from gateway.store.content import StagedContent
from gateway.store.db import Rx, Tx
from gateway.store.holds import PENDING
from gateway.store.messages import Appended
from gateway.store.once import Attempt, Earlier
from gateway.store.submissions import SubmissionNew

from .errors import RateExceeded
from .identity import Sender
from .once import Marks
from .rates import Charge, exceeded

_TOO_MUCH: Final = "Too much mail was sent lately, try again later"


@dataclass(frozen=True, slots=True)
class Contents:
    """`kept` has Bcc (the Sent copy), `outgoing` has not, `local` has Return-Path too. Two may be the same."""

    kept: StagedContent
    outgoing: StagedContent
    local: StagedContent


@dataclass(frozen=True, slots=True)
class Plan:
    """What the unit does, decided before it. `inboxes`, by rising id: who gets it here, into which mailbox.

    `sent_copy` None: no Sent copy is left. `submission` names the content that goes out. `homes`: the inbox of each of
    its recipients here, in their order, whether they get it now or later. `retry`: how it is known when it comes
    again. `charges`: counters that it must pass.
    """

    inboxes: tuple[tuple[InboxId, MailboxId], ...]
    contents: Contents
    sent_copy: Sender | None
    submission: SubmissionNew
    now: int
    homes: tuple[InboxId, ...] = ()
    retry: tuple[Attempt, Marks] | None = None
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """What the unit did. `submission` None: all of it was accepted before, as `earlier`.

    `filed`: the Sent copy, or the draft that waits for consent; None where none was left. `uuid`: the submission's.
    """

    submission: SubmissionId | None
    inboxes: tuple[InboxId, ...] = ()
    queued: int = 0
    earlier: Earlier | None = None
    filed: Appended | None = None
    uuid: str | None = None


def keep(tx: Tx, plan: Plan) -> Kept:
    """Inboxes are taken in rising order, as everywhere. NotFound: a mailbox went meanwhile. RateExceeded, OverQuota."""
    if plan.retry is not None:
        attempt, marks = plan.retry
        fresh = _fresh(tx, attempt, marks, plan)
        if not fresh - {marks.message}:
            earlier = once.earlier(tx, attempt, marks.all[1])
            return Kept(None, earlier=earlier, uuid=earlier.uuid)
        if len(fresh) < len(marks.all):
            plan = _without(plan, marks, fresh)
    new = plan.submission
    charge(tx, plan.charges, len(new.recipients) + len(new.here) + len(new.later), plan.now)
    if new.draft is not None:
        return _hold(tx, plan)
    contents, now, sender = plan.contents, plan.now, plan.sent_copy
    owed = sender is not None
    filed: Appended | None = None
    report = bool(plan.inboxes) and may_be_report(contents.local.header)
    if sender is None:  # its row changes last (`store.event_log`), and all are locked in rising order
        counters.lock(tx, *sorted({new.inbox_id, *(inbox for inbox, _ in plan.inboxes)}))
    for inbox_id, mailbox_id in plan.inboxes:
        if sender is not None and owed and inbox_id > sender.author:
            filed = _keep_sent(tx, contents.kept, sender, now)
            owed = False
        messages.deliver(tx, mailbox_id, inbox_id, contents.local, now, may_be_report=report)
    if sender is not None and owed:
        filed = _keep_sent(tx, contents.kept, sender, now)
    if plan.inboxes:
        content.complete(tx, contents.local, now)
    if new.recipients or new.later:
        content.complete(tx, contents.outgoing, now)
    return _kept(plan, submissions.enqueue(tx, new, now), filed)


def require_rates(rx: Rx, charges: tuple[Charge, ...], recipients: int, now: int) -> None:
    """RateExceeded when so many more would be too many now: the unit that counts them decides."""
    for each in charges:
        sent = rates.sent(rx, each.subject, each.period, now)
        if exceeded(each, replace(sent, count=sent.count + recipients), now):
            raise RateExceeded(_TOO_MUCH)


def charge(tx: Tx, charges: tuple[Charge, ...], recipients: int, now: int) -> None:
    """RateExceeded: then nothing of the unit is kept, nor is it counted."""
    for each in charges:
        if exceeded(each, rates.add(tx, each.subject, each.period, recipients, now), now):
            raise RateExceeded(_TOO_MUCH)


def _kept(plan: Plan, submission: SubmissionId, filed: Appended | None) -> Kept:
    new = plan.submission
    inboxes = tuple(inbox for inbox, _ in plan.inboxes)
    return Kept(submission, inboxes, len(new.recipients) + len(new.later), filed=filed, uuid=new.uuid)


def _fresh(tx: Tx, attempt: Attempt, marks: Marks, plan: Plan) -> set[bytes]:
    """The marks of what was not accepted within the window, or came to nothing."""
    fresh = once.take(tx, attempt, marks.all)
    if len(fresh) == len(marks.all):
        return fresh
    named: dict[bytes, list[str]] = {}
    here = (*plan.submission.here, *plan.submission.later)
    for recipient, home in zip(here, plan.homes, strict=True):
        named.setdefault(marks.inboxes[home], []).append(recipient.address)
    for address, mark in marks.addresses.items():
        named.setdefault(mark, []).append(address)
    taken = {mark: addresses for mark, addresses in named.items() if mark not in fresh}
    return fresh | once.take_back(tx, attempt, taken)


def _without(plan: Plan, marks: Marks, fresh: set[bytes]) -> Plan:
    """The plan for those who have not got it. The Sent copy was made when the message first came."""
    new = plan.submission
    inboxes = {inbox for inbox, mark in marks.inboxes.items() if mark in fresh}
    count = len(new.here)
    here = [each for each, home in zip(new.here, plan.homes[:count], strict=True) if home in inboxes]
    later = [each for each, home in zip(new.later, plan.homes[count:], strict=True) if home in inboxes]
    remote = [each for each in new.recipients if marks.addresses[each.address] in fresh]
    local = plan.contents.local.content_id
    return replace(
        plan,
        inboxes=tuple(place for place in plan.inboxes if place[0] in inboxes),
        sent_copy=plan.sent_copy if marks.message in fresh else None,
        submission=replace(
            new, recipients=remote, here=here, later=later, content_id=new.content_id if remote or later else local
        ),
    )


def _hold(tx: Tx, plan: Plan) -> Kept:
    """Nobody gets it yet: it lies in Drafts, and its recipients wait with it. OverQuota."""
    new, kept, now = plan.submission, plan.contents.kept, plan.now
    assert new.draft is not None
    content.complete(tx, kept, now)
    content.complete(tx, plan.contents.outgoing, now)
    filed = messages.append(
        tx,
        drafts.place(tx, new.inbox_id, now),
        new.inbox_id,
        kept,
        internal_date=now,
        flags=DRAFT,
        keywords=(PENDING,),
        email_id=new.draft,
        now=now,
    )
    drafts.make_outbox(tx, new.inbox_id, now)
    return _kept(plan, submissions.enqueue(tx, new, now), filed)


def _keep_sent(tx: Tx, kept: StagedContent, sender: Sender, now: int) -> Appended:
    """clients.md "Sent mail appears once": the copy, or the client's own."""
    mailbox = sender.sent
    if mailbox is None:
        mailbox = uses.make(tx, sender.author, SENT, now).id
    appended = messages.append(
        tx, mailbox, sender.author, kept, internal_date=now, flags=SEEN, now=now, auto_sent=sender.sent_copy == "auto"
    )
    if appended.made:
        content.complete(tx, kept, now)
    return appended
