"""Reports about mail: which arrived and are to be looked at, what they say of a submission, and which we still owe.

The unit that delivers a message which may be a report (`mime.may_be_report`) notes it (`note_report`); whoever looks
at it later takes the note away in the unit that writes down what it said. So no report is forgotten in a crash, and
none counts twice. The same holds for the report that a sender is owed about mail that was delivered here. Whose mail
is late is seen from the queue's rows themselves, whatever keeps it.

What a report says is somebody's word: it changes rows of the inbox that it came to, and only such as were handed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.model.ids import ContentId, InboxId, SubmissionId

from . import counters, event_log
from .db import Rx, Tx, WakeKind
from .queue import REPLY, lock_submissions, note
from .statements import Stmt

Event = Literal["bounced", "delayed", "delivered", "relayed", "expanded"]
"""What a report says became of a recipient after it was handed on."""

SUBMISSIONS: Final = 8
"""Submissions of one Message-ID or envelope id that are looked at, the latest: a client may send a message again."""
RECIPIENTS: Final = 10_000
"""Recipients of these, all together."""
EVENTS: Final = 100
"""Events of a recipient, attempts and reports, beyond which reports are not written down: they come from anywhere."""

TOLD: Final = "told"
"""An event that is no attempt: the sender was told that the mail was delivered here."""

_NOTE = Stmt(
    "INSERT INTO report_due (content_id, inbox_id, at) VALUES (:content, :inbox, :now) ON CONFLICT DO NOTHING"
)
_DUE = Stmt("SELECT content_id, inbox_id FROM report_due ORDER BY content_id, inbox_id LIMIT :most")
_SETTLE = Stmt("DELETE FROM report_due WHERE content_id = :content AND inbox_id = :inbox")
_OWE = Stmt("INSERT INTO notice_due (submission_id, at) VALUES (:submission, :now) ON CONFLICT DO NOTHING")
_OWED = Stmt("SELECT submission_id FROM notice_due ORDER BY submission_id LIMIT :most")
_PAID = Stmt("DELETE FROM notice_due WHERE submission_id = :submission")
_BY_ENVELOPE = Stmt(
    "SELECT id FROM submission WHERE inbox_id = :inbox AND envelope_id = :envid ORDER BY id DESC LIMIT :most"
)
_BY_MESSAGE = Stmt(
    "SELECT id FROM submission WHERE inbox_id = :inbox AND message_id = :message ORDER BY id DESC LIMIT :most"
)
_HANDED_ON = Stmt(
    "SELECT id, submission_id, address, orcpt FROM queue_recipient WHERE submission_id IN :LIST(rows)"
    " AND attempts > 0 AND state IN ('sent', 'bounced') ORDER BY submission_id DESC, id LIMIT :most"
)
_COUNT = Stmt("SELECT count(*) FROM (SELECT 1 FROM queue_attempt WHERE recipient_id = :recipient LIMIT :most) AS few")
_STATE = Stmt("SELECT state FROM queue_recipient WHERE id = :recipient AND attempts > 0 AND inbox_id = :inbox")
_BOUNCED = Stmt(
    "UPDATE queue_recipient SET state = 'bounced', code = :code, enhanced = :enhanced, text = :text, updated_at = :now"
    " WHERE id = :recipient"
)
_UNTOLD: Final = (
    "state IN ('queued', 'deferred', 'sending') AND delay_told IS NULL AND (notify IS NULL OR (notify & 4) <> 0)"
)
_LATE = Stmt(
    "SELECT s.id FROM submission s WHERE s.finished_at IS NULL AND s.id > :after AND s.created_at <= :before AND"
    " COALESCE(s.release_at, 0) <= :before AND s.mail_from <> '' AND EXISTS (SELECT 1 FROM queue_recipient WHERE"
    f" submission_id = s.id AND {_UNTOLD}) ORDER BY s.id LIMIT :most"
)
_LATE_RECIPIENTS = Stmt(
    "SELECT id, address, orcpt, code, enhanced, text, (SELECT a.remote FROM queue_attempt a WHERE a.recipient_id ="
    " queue_recipient.id ORDER BY a.id DESC LIMIT 1) FROM queue_recipient WHERE submission_id = :submission AND"
    f" {_UNTOLD} ORDER BY id"
)
_TOLD = Stmt(f"UPDATE queue_recipient SET delay_told = :now WHERE id IN :LIST(rows) AND {_UNTOLD} RETURNING id")
_SUBMISSION = Stmt(
    "SELECT inbox_id, mail_from, content_id, envelope_id, created_at, release_at FROM submission WHERE id = :submission"
)
_HERE = Stmt(
    "SELECT id, address, orcpt, notify FROM queue_recipient WHERE submission_id = :submission AND state = 'sent'"
    " AND attempts = 0 AND notify IS NOT NULL AND NOT EXISTS (SELECT 1 FROM queue_attempt a WHERE a.recipient_id ="
    " queue_recipient.id AND a.state = 'told') ORDER BY id"
)


@dataclass(frozen=True, slots=True)
class HandedOn:
    """A recipient whose mail a next hop took. `orcpt` as the client wrote it."""

    recipient_id: int
    submission_id: SubmissionId
    address: str
    orcpt: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a report says of one recipient. `text`: the remote's words; `remote`: who reports."""

    about: HandedOn
    event: Event
    code: int | None
    enhanced: str | None
    text: bytes
    remote: str | None


@dataclass(frozen=True, slots=True)
class About:
    """What a report says of the submission. `since`: Unix seconds from which on it could be delivered."""

    inbox_id: InboxId
    mail_from: str
    content_id: ContentId
    envelope_id: str | None
    created_at: int
    since: int


@dataclass(frozen=True, slots=True)
class DeliveredHere:
    """A recipient here whose sender said what it wants to be told of."""

    recipient_id: int
    address: str
    orcpt: str | None
    notify: int


@dataclass(frozen=True, slots=True)
class Late:
    """A recipient that is still being tried. The last attempt's reply, None before there was any."""

    recipient_id: int
    address: str
    orcpt: str | None
    code: int | None
    enhanced: str | None
    text: bytes | None
    remote: str | None


def note_report(tx: Tx, inbox_id: InboxId, content_id: ContentId, now: int) -> None:
    """In the unit that delivers a content to an inbox: it may be a report about what the inbox sent."""
    tx.do(_NOTE, content=content_id, inbox=inbox_id, now=now)
    tx.wake(inbox_id, kind=WakeKind.QUEUE)


def due(rx: Rx, limit: int) -> list[tuple[ContentId, InboxId]]:
    """What was noted and not looked at yet, in the order of its coming."""
    return [(ContentId(row[0]), InboxId(row[1])) for row in rx.all(_DUE, most=limit)]


def handed_on(rx: Rx, inbox_id: InboxId, envelope_id: str | None, message_ids: Sequence[bytes]) -> list[HandedOn]:
    """Recipients of the inbox's submissions that a report may mean, the latest submission first.

    The envelope id decides when it is what a client called a submission (no next hop is told any other: RFC 3461 5.2.1
    a). Else the first Message-ID that was sent does.
    """
    found: list[int] = []
    if envelope_id:
        found = [row[0] for row in rx.all(_BY_ENVELOPE, envid=envelope_id, inbox=inbox_id, most=SUBMISSIONS)]
    for message_id in message_ids:
        if found:
            break
        found = [row[0] for row in rx.all(_BY_MESSAGE, message=message_id, inbox=inbox_id, most=SUBMISSIONS)]
    if not found:
        return []
    rows = rx.all(_HANDED_ON, rows=found, most=RECIPIENTS)
    return [HandedOn(row[0], SubmissionId(row[1]), row[2], row[3]) for row in rows]


def settle_report(tx: Tx, inbox_id: InboxId, content_id: ContentId, told: Sequence[Told], now: int) -> int:
    """Write down what a report says, and that it was looked at; how many recipients it said something new of.

    A recipient that was sent becomes bounced; all else it may be told of is an event of its history. Nothing is
    written when the report was settled meanwhile.
    """
    if not tx.run(_SETTLE, content=content_id, inbox=inbox_id) or not told:
        return 0
    count = 0
    told_of: list[int] = []
    counters.lock(tx, inbox_id)
    lock_submissions(tx, sorted({each.about.submission_id for each in told}))
    for each in told:
        recipient = each.about.recipient_id
        state = tx.scalar(_STATE, recipient=recipient, inbox=inbox_id)
        if state != "sent" or tx.scalar(_COUNT, recipient=recipient, most=EVENTS) >= EVENTS:
            continue
        said = {"recipient": recipient, "code": each.code, "enhanced": each.enhanced, "text": each.text, "now": now}
        if each.event == "bounced":
            tx.do(_BOUNCED, **said)
        tx.do(REPLY, state=each.event, remote=each.remote, **said)
        count += 1
        if each.event in event_log.TOLD_OF:
            told_of.append(recipient)
    event_log.attempted(tx, told_of)
    return count


def owe_notice(tx: Tx, submission_id: SubmissionId, now: int) -> None:
    """In the unit that delivers a submission here: its sender wants to be told that it was delivered."""
    tx.do(_OWE, submission=submission_id, now=now)
    tx.wake(None, kind=WakeKind.QUEUE)


def owed(rx: Rx, limit: int) -> list[SubmissionId]:
    """Submissions whose sender is still to be told."""
    return [SubmissionId(row[0]) for row in rx.all(_OWED, most=limit)]


def about(rx: Rx, submission_id: SubmissionId) -> About | None:
    """None when the submission was forgotten meanwhile."""
    row = rx.one(_SUBMISSION, submission=submission_id)
    if row is None:
        return None
    return About(InboxId(row[0]), row[1], ContentId(row[2]), row[3], row[4], max(row[4], row[5] or 0))


def delivered_here(rx: Rx, submission_id: SubmissionId) -> list[DeliveredHere]:
    """Its recipients here that were delivered, where NOTIFY said something and nobody was told of it yet."""
    return [DeliveredHere(*row) for row in rx.all(_HERE, submission=submission_id)]


def told_of_delivery(tx: Tx, submission_id: SubmissionId, recipient_ids: Sequence[int], now: int) -> bool:
    """In the unit that tells the sender: it is owed no more, and the history says so. False: somebody else has."""
    if not tx.run(_PAID, submission=submission_id):
        return False
    note(tx, list(recipient_ids), "told", now, "the sender was told of the delivery")
    return True


def late(rx: Rx, before: int, limit: int, after: int = 0) -> list[SubmissionId]:
    """Submissions that could go at or before `before` and did not, whose sender may want to know and does not.

    By id, above `after`.
    """
    return [SubmissionId(row[0]) for row in rx.all(_LATE, before=before, after=after, most=limit)]


def late_recipients(rx: Rx, submission_id: SubmissionId) -> list[Late]:
    """Those that its sender is to be told of."""
    return [Late(*row) for row in rx.all(_LATE_RECIPIENTS, submission=submission_id)]


def told_of_delay(tx: Tx, recipient_ids: Sequence[int], now: int) -> frozenset[int]:
    """In the unit that tells the sender: note that it knows. Those that are still late, and were not told of before."""
    return frozenset(row[0] for row in tx.all(_TOLD, rows=list(recipient_ids), now=now))
