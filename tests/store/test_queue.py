"""The delivery queue: claims under a lease, outcomes, and what people do to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.delivery import figures
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import SubmissionId
from gateway.ops.metrics import PrometheusMetrics
from gateway.store import content, queue, queue_admin, submissions
from gateway.store.db import Database, Tx, Wake, WakeKind
from gateway.store.inboxes import Inbox
from gateway.store.queue import Outcome, QueueItem, QueueState
from gateway.store.queue_admin import QueueEntry
from gateway.store.statements import Stmt

from .helpers import NOW, make_inbox, staged, submission

_GARBAGE = Stmt("SELECT content_id FROM garbage")


async def _send(db: Database, inbox: Inbox, *recipients: str, now: int = NOW, held: bool = False) -> SubmissionId:
    made = staged(b"a: b\r\n\r\nbody")
    new = submission(
        inbox.id, inbox.address, made, recipients, envelope_id="env", smtputf8=True,
        hold_reason="operator" if held else None,
    )

    def unit(tx: Tx) -> SubmissionId:
        content.complete(tx, made, now)
        return submissions.enqueue(tx, new, now)

    return await db.write(unit)


async def _claim(db: Database, now: int = NOW, limit: int = 100, owner: str = "me", **options: Any) -> list[QueueItem]:
    return await db.write(lambda tx: queue.claim_due(tx, now, limit, 60, owner, **options))


async def _end(db: Database, item: QueueItem, state: str, *, at: int | None = None, **options: Any) -> Outcome:
    return await db.write(
        lambda tx: queue.outcome(tx, item.recipient_id, state, 250, "2.0.0", b"ok \xff", at, NOW + 1, **options)
    )


async def _show(db: Database, submission: SubmissionId) -> QueueEntry:
    return await db.read(lambda rx: queue_admin.show(rx, submission))


async def test_a_claim_carries_all_that_an_attempt_needs_and_is_exclusive(db: Database) -> None:
    inbox = await make_inbox(db)
    wakes: list[Wake] = []
    db.subscribe(wakes.append)
    submission = await _send(db, inbox, "a@One.test", "b@two.test", "a@One.test")
    assert Wake(WakeKind.QUEUE, inbox.id) in wakes
    first, second = await _claim(db)
    assert (first.submission_id, first.address, first.domain) == (submission, "a@One.test", "one.test")
    assert (first.mail_from, first.envelope_id, first.smtputf8, first.body8bit) == (inbox.address, "env", True, False)
    assert (first.attempts, first.interrupted, first.created_at) == (0, False, NOW)
    assert second.address == "b@two.test"
    assert await _claim(db) == []
    assert await _claim(db, now=NOW + 59) == []


async def test_two_claimers_at_once_never_get_the_same_recipient(db: Database) -> None:
    inbox = await make_inbox(db)
    for number in range(10):
        await _send(db, inbox, f"a{number}@x.test", f"b{number}@y.test")
    taken = await asyncio.gather(*(_claim(db, limit=7, owner=f"node{n}") for n in range(6)))
    ids = [item.recipient_id for items in taken for item in items]
    assert len(ids) == len(set(ids))
    while more := await _claim(db, limit=7):
        ids += [item.recipient_id for item in more]
    assert len(ids) == len(set(ids)) == 20


async def test_a_lapsed_lease_comes_back_as_interrupted(db: Database) -> None:
    inbox = await make_inbox(db)
    await _send(db, inbox, "a@x.test")
    [item] = await _claim(db, owner="dead")
    assert await db.read(queue.next_due) == NOW + 60
    [again] = await _claim(db, now=NOW + 60, owner="alive")
    assert again.recipient_id == item.recipient_id
    assert again.interrupted
    assert await _end(db, item, "sent", owner="dead") == Outcome(applied=False, finished=False)
    assert await _end(db, again, "sent", owner="alive") == Outcome(applied=True, finished=True)


async def test_leases_are_renewed_given_back_and_ended(db: Database) -> None:
    inbox = await make_inbox(db)
    await _send(db, inbox, "a@x.test")
    [item] = await _claim(db)
    ids = [item.recipient_id]
    assert await db.write(lambda tx: queue.renew_lease(tx, ids, "other", NOW + 500)) == 0
    assert await db.write(lambda tx: queue.renew_lease(tx, ids, "me", NOW + 500)) == 1
    assert await _claim(db, now=NOW + 400) == []
    assert await db.write(lambda tx: queue.unclaim(tx, ids, "other", NOW)) == 0
    assert await db.write(lambda tx: queue.unclaim(tx, ids, "me", NOW)) == 1
    [back] = await _claim(db)
    assert (back.attempts, back.interrupted) == (0, False)
    assert await db.write(lambda tx: queue.lapse_leases(tx, "other")) == 0
    assert await db.write(queue.lapse_leases) == 1
    [lapsed] = await _claim(db)
    assert lapsed.interrupted


async def test_the_longest_due_goes_first_and_the_future_waits(db: Database) -> None:
    inbox = await make_inbox(db)
    await _send(db, inbox, "late@x.test", now=NOW + 30)
    await _send(db, inbox, "early@x.test", now=NOW + 10)
    assert await db.read(queue.next_due) == NOW + 10
    assert await _claim(db, now=NOW + 9) == []
    assert [item.address for item in await _claim(db, now=NOW + 40, limit=1)] == ["early@x.test"]


async def test_one_destination_never_takes_all_places(db: Database) -> None:
    inbox = await make_inbox(db)
    await _send(db, inbox, *(f"{n}@slow.test" for n in range(20)))
    await _send(db, inbox, "a@fast.test", "b@fast.test", now=NOW + 1)
    taken = await _claim(db, now=NOW + 1, limit=5, per_domain=3)
    assert [item.domain for item in taken] == ["slow.test"] * 3 + ["fast.test"] * 2
    assert await _claim(db, now=NOW + 1, skip=["slow.test"]) == []


async def test_a_submission_ends_with_its_last_recipient_and_releases_its_content(db: Database) -> None:
    inbox = await make_inbox(db)
    submission = await _send(db, inbox, "a@x.test", "b@x.test", "c@x.test")
    first, second, third = await _claim(db)
    assert await _end(db, first, "sent") == Outcome(applied=True, finished=False)
    assert await _end(db, second, "bounced") == Outcome(applied=True, finished=False)
    assert await _end(db, third, "deferred", at=NOW + 300) == Outcome(applied=True, finished=False)
    assert await db.read(lambda rx: rx.all(_GARBAGE)) == []
    [again] = await _claim(db, now=NOW + 300)
    assert (again.recipient_id, again.attempts) == (third.recipient_id, 1)
    assert await _end(db, again, "sent", remote="mx.x.test") == Outcome(applied=True, finished=True)
    entry = await _show(db, submission)
    assert entry.submission.finished_at == NOW + 1
    assert [who.state for who in entry.recipients] == [QueueState.SENT, QueueState.BOUNCED, QueueState.SENT]
    assert [(a.state, a.text, a.remote) for a in entry.attempts if a.recipient_id == third.recipient_id] == [
        (QueueState.DEFERRED, b"ok \xff", None),
        (QueueState.SENT, b"ok \xff", "mx.x.test"),
    ]
    assert await db.read(lambda rx: rx.all(_GARBAGE)) == [(first.content_id,)]
    assert await _end(db, again, "bounced") == Outcome(applied=False, finished=False)
    assert await db.read(queue.next_due) is None


async def test_two_last_recipients_that_end_at_once_finish_the_submission(db: Database) -> None:
    inbox = await make_inbox(db)
    for _ in range(5):
        submission = await _send(db, inbox, "a@x.test", "b@y.test")
        ended = await asyncio.gather(*(_end(db, item, "sent") for item in await _claim(db)))
        assert [outcome.finished for outcome in ended].count(True) == 1
        assert (await _show(db, submission)).submission.finished_at == NOW + 1


@pytest.mark.parametrize(("state", "at"), [("queued", None), ("sending", None), ("deferred", None), ("sent", NOW)])
async def test_an_outcome_that_is_none_is_refused(db: Database, state: str, at: int | None) -> None:
    inbox = await make_inbox(db)
    await _send(db, inbox, "a@x.test")
    [item] = await _claim(db)
    with pytest.raises(InvalidRequest):
        await _end(db, item, state, at=at)


async def test_unknown_and_empty_are_refused(db: Database) -> None:
    inbox = await make_inbox(db)
    with pytest.raises(InvalidRequest):
        await _send(db, inbox)
    with pytest.raises(NotFound):
        await db.write(lambda tx: queue.outcome(tx, 999, "sent", None, None, None, None, NOW))
    with pytest.raises(NotFound):
        await _show(db, SubmissionId(999))
    with pytest.raises(NotFound):
        await db.write(lambda tx: queue_admin.retry(tx, SubmissionId(999), NOW))


async def test_hold_release_retry_and_cancel(db: Database) -> None:
    inbox = await make_inbox(db)
    one = await _send(db, inbox, "a@x.test", "b@x.test", held=True)
    assert await _claim(db) == []
    recipient = (await _show(db, one)).recipients[0].id
    assert await db.write(lambda tx: queue_admin.release(tx, one, NOW, recipient)) == 1
    [item] = await _claim(db)
    assert item.recipient_id == recipient
    await _end(db, item, "deferred", at=NOW + 9_000)
    assert await db.write(lambda tx: queue_admin.retry(tx, one, NOW + 5)) == 2
    first, second = await _claim(db, now=NOW + 5)
    await _end(db, first, "deferred", at=NOW + 9_000)
    assert await db.write(lambda tx: queue_admin.hold(tx, one, NOW)) == 1  # not the one that is being sent
    assert await _claim(db, now=NOW + 10_000, owner="x") != []  # its lease lapsed
    assert await db.write(lambda tx: queue_admin.cancel(tx, one, NOW)) == 1
    entry = await _show(db, one)
    assert [who.state for who in entry.recipients] == [QueueState.CANCELLED, QueueState.SENDING]
    assert entry.submission.finished_at is None
    assert await _end(db, second, "sent") == Outcome(applied=True, finished=True)
    assert await db.write(lambda tx: queue_admin.retry(tx, one, NOW)) == 0


async def test_lists_and_counts(db: Database) -> None:
    anna, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    one = await _send(db, anna, "a@x.test", "b@x.test")
    two = await _send(db, ben, "c@y.test", now=NOW + 50)
    three = await _send(db, anna, "d@x.test", held=True)
    [item] = await _claim(db, limit=1)

    async def listed(**where: Any) -> list[SubmissionId]:
        return [e.submission.id for e in await db.read(lambda rx: queue_admin.submissions(rx, **where))]

    assert await listed() == [one, two, three]
    assert await listed(inbox_id=anna.id) == [one, three]
    assert await listed(after=one, limit=1) == [two]
    stats = await db.read(lambda rx: queue_admin.stats(rx, NOW))
    assert stats.states == {QueueState.SENDING: 1, QueueState.QUEUED: 2, QueueState.HELD: 1}
    assert (stats.due, stats.oldest) == (1, NOW)
    metrics = PrometheusMetrics(strict=True, process=False)
    await figures.publish(db, lambda: NOW + 60.0, metrics)
    page = metrics.page().decode()
    for line in ('recipients{state="queued"} 2.0', 'recipients{state="deferred"} 0.0', "oldest_seconds 60.0"):
        assert f"gateway_queue_{line}" in page
    assert await db.write(lambda tx: queue_admin.cancel(tx, two, NOW)) == 1
    assert await listed() == [one, three]
    assert await listed(open_only=False, inbox_id=ben.id) == [two]
    held = await db.write(lambda tx: queue_admin.hold_everything(tx, NOW))
    assert [who.address for who in held] == ["a@x.test", "b@x.test", "d@x.test"]
    assert await _end(db, item, "sent", owner="me") == Outcome(applied=False, finished=False)


async def test_finished_submissions_are_forgotten_in_pieces(db: Database) -> None:
    inbox = await make_inbox(db)
    for number in range(5):
        submission = await _send(db, inbox, f"{number}@x.test")
        await db.write(lambda tx, s=submission, n=number: queue_admin.cancel(tx, s, NOW + n))
    stays = await _send(db, inbox, "open@x.test")
    assert await db.write(lambda tx: queue.purge_finished(tx, NOW + 3, 3)) == 3
    assert await db.write(lambda tx: queue.purge_finished(tx, NOW + 3, 3)) == 1
    assert await db.write(lambda tx: queue.purge_finished(tx, NOW + 3, 3)) == 0
    left = await db.read(lambda rx: queue_admin.submissions(rx, open_only=False))
    assert [entry.submission.id for entry in left] == [submission, stays]
