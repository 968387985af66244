"""Reports about mail: noted and settled once, meant for the inbox's own sent mail only, and who is owed one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.model.ids import ContentId, SubmissionId
from gateway.model.recipient import Notify, Recipient
from gateway.store import content, queue_admin, queue_outcome, reports, submissions
from gateway.store.db import Database, Tx, Wake, WakeKind
from gateway.store.inboxes import Inbox
from gateway.store.queue import QueueState
from gateway.store.queue_outcome import Result
from gateway.store.reports import EVENTS, HandedOn, Told

from .helpers import NOW, make_inbox, staged, submission

REPORT = ContentId(77)


async def send(db: Database, inbox: Inbox, *recipients: str | Recipient, **facts: Any) -> SubmissionId:
    made = staged(b"a: b\r\n\r\nbody")
    named = [each if isinstance(each, Recipient) else Recipient(each) for each in recipients]
    sender = facts.pop("sender", inbox.address)
    new = replace(submission(inbox.id, sender, made, (), **facts), recipients=named)

    def unit(tx: Tx) -> SubmissionId:
        content.complete(tx, made, NOW)
        if not named:  # nobody has it: a message would
            content.release(tx, made.content_id, NOW)
        return submissions.enqueue(tx, new, NOW)

    return await db.write(unit)


async def end(db: Database, submission_id: SubmissionId, state: QueueState = QueueState.SENT) -> None:
    entry = await db.read(lambda rx: queue_admin.show(rx, submission_id))
    results = [
        Result(
            each.id, submission_id, state, 250, "2.0.0", b"ok", NOW + 60 if state is QueueState.DEFERRED else None,
            "mx.test",
        )
        for each in entry.recipients
    ]  # fmt: skip
    await db.write(lambda tx: queue_outcome.settle(tx, results, NOW + 1))


async def found(
    db: Database, inbox: Inbox, envelope_id: str | None = None, message_ids: tuple[bytes, ...] = ()
) -> list[HandedOn]:
    return await db.read(lambda rx: reports.handed_on(rx, inbox.id, envelope_id, message_ids))


async def tell(db: Database, inbox: Inbox, *told: Told, note: bool = True) -> int:
    if note:
        await db.write(lambda tx: reports.note_report(tx, inbox.id, REPORT, NOW))
    return await db.write(lambda tx: reports.settle_report(tx, inbox.id, REPORT, told, NOW + 9))


def bounced(row: HandedOn, event: Any = "bounced") -> Told:
    return Told(row, event, 550, "5.1.1", b"no \xff", "far.test")


async def story(db: Database, submission_id: SubmissionId) -> tuple[list[str], list[str]]:
    """States of the recipients, and of the events."""
    entry = await db.read(lambda rx: queue_admin.show(rx, submission_id))
    return [str(each.state) for each in entry.recipients], [each.state for each in entry.attempts]


async def test_what_may_be_a_report_is_noted_until_it_is_settled(db: Database) -> None:
    inbox = await make_inbox(db)
    wakes: list[Wake] = []
    db.subscribe(wakes.append)
    await db.write(lambda tx: reports.note_report(tx, inbox.id, REPORT, NOW))
    await db.write(lambda tx: reports.note_report(tx, inbox.id, REPORT, NOW))
    assert Wake(WakeKind.QUEUE, inbox.id) in wakes
    assert await db.read(lambda rx: reports.due(rx, 10)) == [(REPORT, inbox.id)]
    assert await tell(db, inbox, note=False) == 0
    assert await db.read(lambda rx: reports.due(rx, 10)) == []


async def test_a_bounce_changes_what_was_sent_and_tells_its_story(db: Database) -> None:
    inbox = await make_inbox(db)
    sent = await send(db, inbox, "a@x.test", "b@x.test", message_id=b"m@x")
    await end(db, sent)
    rows = await found(db, inbox, None, (b"other@x", b"m@x"))
    assert [row.address for row in rows] == ["a@x.test", "b@x.test"]
    assert await tell(db, inbox, bounced(rows[0])) == 1
    assert await story(db, sent) == (["bounced", "sent"], ["sent", "sent", "bounced"])
    entry = await db.read(lambda rx: queue_admin.show(rx, sent))
    person, event = entry.recipients[0], entry.attempts[-1]
    assert (person.code, person.enhanced, person.text) == (550, "5.1.1", b"no \xff")
    assert (event.at, event.code, event.remote, event.text) == (NOW + 9, 550, "far.test", b"no \xff")
    assert await tell(db, inbox, bounced(rows[0])) == 0, "it has bounced already"
    assert await story(db, sent) == (["bounced", "sent"], ["sent", "sent", "bounced"])


async def test_a_settled_report_says_nothing_again(db: Database) -> None:
    inbox = await make_inbox(db)
    sent = await send(db, inbox, "a@x.test", message_id=b"m@x")
    await end(db, sent)
    [row] = await found(db, inbox, None, (b"m@x",))
    assert await tell(db, inbox, bounced(row), note=False) == 0
    assert await story(db, sent) == (["sent"], ["sent"])


@pytest.mark.parametrize("event", ["delayed", "delivered", "relayed", "expanded"])
async def test_all_else_is_an_event_only(db: Database, event: str) -> None:
    inbox = await make_inbox(db)
    sent = await send(db, inbox, "a@x.test", message_id=b"m@x")
    await end(db, sent)
    [row] = await found(db, inbox, None, (b"m@x",))
    assert await tell(db, inbox, bounced(row, event)) == 1
    assert await story(db, sent) == (["sent"], ["sent", event])


@pytest.mark.parametrize("state", [None, QueueState.DEFERRED])
async def test_what_still_waits_is_nobodys_to_end(db: Database, state: QueueState | None) -> None:
    inbox = await make_inbox(db)
    sent = await send(db, inbox, "a@x.test", message_id=b"m@x")
    if state is not None:
        await end(db, sent, state)
    assert await found(db, inbox, None, (b"m@x",)) == []
    before = await story(db, sent)
    [person] = (await db.read(lambda rx: queue_admin.show(rx, sent))).recipients
    assert await tell(db, inbox, bounced(HandedOn(person.id, sent, "a@x.test", None))) == 0
    assert await story(db, sent) == before


async def test_another_inbox_has_no_say(db: Database) -> None:
    inbox, other = await make_inbox(db), await make_inbox(db, "other@example.test")
    sent = await send(db, inbox, "a@x.test", message_id=b"m@x", envelope_id="E1")
    await end(db, sent)
    for envelope_id in (None, "E1"):
        assert await found(db, other, envelope_id, (b"m@x",)) == []
    [row] = await found(db, inbox, None, (b"m@x",))
    assert await tell(db, other, bounced(row)) == 0
    assert await story(db, sent) == (["sent"], ["sent"])


async def test_what_was_delivered_here_was_handed_to_nobody(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, message_id=b"m@x", here=[Recipient("anna@example.test")])
    assert await found(db, inbox, None, (b"m@x",)) == []


async def test_the_envelope_id_goes_before_the_message_id(db: Database) -> None:
    inbox = await make_inbox(db)
    named = await send(db, inbox, "a@x.test", message_id=b"m@x", envelope_id="E1")
    again = await send(db, inbox, "a@x.test", message_id=b"m@x")
    await end(db, named)
    await end(db, again)
    assert [row.submission_id for row in await found(db, inbox, "E1", (b"m@x",))] == [named]
    both = await found(db, inbox, "unknown", (b"m@x",))
    assert [row.submission_id for row in both] == [again, named], "the latest first"


async def test_a_flood_of_reports_ends(db: Database) -> None:
    inbox = await make_inbox(db)
    sent = await send(db, inbox, "a@x.test", message_id=b"m@x")
    await end(db, sent)
    [row] = await found(db, inbox, None, (b"m@x",))
    assert await tell(db, inbox, *[bounced(row, "delayed")] * (2 * EVENTS)) == EVENTS - 1
    assert len((await story(db, sent))[1]) == EVENTS


async def test_a_submission_that_was_forgotten_meanwhile(db: Database) -> None:
    inbox = await make_inbox(db)
    assert await tell(db, inbox, bounced(HandedOn(1, SubmissionId(404), "a@x.test", None))) == 0
    assert await db.read(lambda rx: reports.due(rx, 10)) == []
    assert await db.read(lambda rx: reports.about(rx, SubmissionId(404))) is None


async def test_who_asked_is_owed_a_notice_of_delivery_once(db: Database) -> None:
    inbox = await make_inbox(db)
    here = [Recipient("anna@example.test", Notify.SUCCESS, "rfc822;Anna"), Recipient("x@example.test", Notify.NEVER)]
    sent = await send(db, inbox, here=here)
    assert await db.read(lambda rx: reports.owed(rx, 9)) == [sent]
    [row, never] = await db.read(lambda rx: reports.delivered_here(rx, sent))
    assert (row.address, row.orcpt, row.notify, never.notify) == ("anna@example.test", "rfc822;Anna", 1, 0)
    about = await db.read(lambda rx: reports.about(rx, sent))
    assert about is not None
    assert (about.inbox_id, about.mail_from, about.since) == (inbox.id, inbox.address, NOW)
    rows = [row.recipient_id]
    assert await db.write(lambda tx: reports.told_of_delivery(tx, sent, rows, NOW))
    assert not await db.write(lambda tx: reports.told_of_delivery(tx, sent, rows, NOW))
    assert await db.read(lambda rx: reports.owed(rx, 9)) == []
    await db.write(lambda tx: reports.owe_notice(tx, sent, NOW))  # another recipient got it later
    assert [each.address for each in await db.read(lambda rx: reports.delivered_here(rx, sent))] == ["x@example.test"]


@pytest.mark.parametrize(
    ("notify", "sender"), [(None, "anna@example.test"), (Notify.FAILURE, "anna@example.test"), (Notify.SUCCESS, "")]
)
async def test_nobody_else_is(db: Database, notify: Notify | None, sender: str) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, here=[Recipient("anna@example.test", notify)], sender=sender)
    assert await db.read(lambda rx: reports.owed(rx, 9)) == []


async def test_delays_are_told_of_once(db: Database) -> None:
    inbox = await make_inbox(db)
    quiet, never = Recipient("q@x.test", Notify.FAILURE), Recipient("n@x.test", Notify.NEVER)
    wants = Recipient("w@x.test", Notify.DELAY, "rfc822;W@x")
    sent = await send(db, inbox, "a@x.test", quiet, never, wants)
    await end(db, sent, QueueState.DEFERRED)
    assert await db.read(lambda rx: reports.late(rx, NOW - 1, 9)) == []
    assert await db.read(lambda rx: reports.late(rx, NOW, 9)) == [sent]
    assert await db.read(lambda rx: reports.late(rx, NOW, 9, sent)) == []
    rows = await db.read(lambda rx: reports.late_recipients(rx, sent))
    assert [(row.address, row.code, row.text, row.remote) for row in rows] == [
        ("a@x.test", 250, b"ok", "mx.test"), ("w@x.test", 250, b"ok", "mx.test"),
    ]  # fmt: skip
    told = [row.recipient_id for row in rows]
    assert await db.write(lambda tx: reports.told_of_delay(tx, told, NOW)) == set(told)
    assert await db.write(lambda tx: reports.told_of_delay(tx, told, NOW)) == frozenset()
    assert await db.read(lambda rx: reports.late(rx, NOW, 9)) == []


async def test_what_is_not_late(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "a@x.test", sender="")
    await send(db, inbox, "a@x.test", release_at=NOW + 1000)
    await send(db, inbox, "a@x.test", hold_reason="approval")
    done = await send(db, inbox, "a@x.test")
    await end(db, done)
    assert await db.read(lambda rx: reports.late(rx, NOW, 9)) == []
    assert len(await db.read(lambda rx: reports.late(rx, NOW + 1000, 9))) == 1


async def test_what_ended_meanwhile_is_not_told_of(db: Database) -> None:
    inbox = await make_inbox(db)
    sent = await send(db, inbox, "a@x.test")
    [row] = await db.read(lambda rx: reports.late_recipients(rx, sent))
    await end(db, sent)
    assert await db.write(lambda tx: reports.told_of_delay(tx, [row.recipient_id], NOW)) == frozenset()
