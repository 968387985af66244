"""The delivery queue: what is due, claims under a lease, outcomes."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import SubmissionId
from gateway.store import queue, queue_admin, queue_claim
from gateway.store.db import Database, Wake, WakeKind
from gateway.store.queue import QueueState
from gateway.store.queue_outcome import Result
from gateway.store.statements import Stmt
from tests.support.queue import entries

from .helpers import NOW, make_inbox
from .queue_kit import claim, end, ended, numbers, send, settle, show, states

_GARBAGE = Stmt("SELECT content_id FROM garbage ORDER BY content_id")


async def test_a_claim_carries_all_that_an_attempt_needs_and_is_exclusive(db: Database) -> None:
    inbox = await make_inbox(db)
    wakes: list[Wake] = []
    db.subscribe(wakes.append)
    submission = await send(db, inbox, "a@One.test", "b@two.test", "a@One.test")
    assert Wake(WakeKind.QUEUE, inbox.id) in wakes
    first, second = await claim(db)
    assert (first.submission_id, first.address, first.domain) == (submission, "a@One.test", "one.test")
    assert (first.mail_from, first.envelope_id, first.smtputf8, first.body8bit) == (inbox.address, "env", True, False)
    assert (first.attempts, first.interrupted, first.created_at) == (0, False, NOW)
    assert second.address == "b@two.test"
    assert await claim(db) == []
    assert await claim(db, now=NOW + 59) == []


async def test_two_claimers_at_once_never_get_the_same_recipient(db: Database) -> None:
    inbox = await make_inbox(db)
    for number in range(10):
        await send(db, inbox, f"a{number}@x.test", f"b{number}@y.test")
    taken = await asyncio.gather(*(claim(db, limit=7, owner=f"node{n}") for n in range(6)))
    ids = [item.recipient_id for items in taken for item in items]
    assert len(ids) == len(set(ids))
    while more := await claim(db, limit=7):
        ids += [item.recipient_id for item in more]
    assert len(ids) == len(set(ids)) == 20


async def test_a_plan_may_be_old_and_wrong(db: Database) -> None:
    """Rows that are held, done, under way, not due or not there are not claimed, and nothing happens to them."""
    inbox = await make_inbox(db)
    due, held, done, later = [
        await send(db, inbox, "a@x.test", **how)
        for how in ({}, {"held": "operator"}, {}, {"now": NOW + 50})
    ]  # fmt: skip
    [number] = await numbers(db, done)
    await db.write(lambda tx: queue_admin.cancel(tx, [number], NOW))
    plan = [each[0] for each in [await numbers(db, one) for one in (due, held, done, later)]] + [999]
    taken = await db.write(lambda tx: queue_claim.claim(tx, plan, NOW, 60, "me"))
    assert [item.submission_id for item in taken] == [due]
    assert await db.write(lambda tx: queue_claim.claim(tx, plan, NOW, 60, "other")) == []
    assert [await states(db, one) for one in (due, held, done, later)] == [
        ["sending"], ["held"], ["cancelled"], ["queued"],
    ]  # fmt: skip


async def test_a_lapsed_lease_comes_back_as_interrupted_and_history_says_so(db: Database) -> None:
    inbox = await make_inbox(db)
    submission = await send(db, inbox, "a@x.test")
    [item] = await claim(db, owner="dead")
    assert await db.read(queue_claim.next_due) == NOW + 60
    assert await db.read(lambda rx: queue_claim.lapsed(rx, NOW + 59, 10)) == []
    [again] = await claim(db, now=NOW + 60, owner="alive")
    assert again.recipient_id == item.recipient_id
    assert again.interrupted
    assert not await end(db, item, "sent", owner="dead")
    assert await end(db, again, "sent", owner="alive")
    events = (await show(db, submission)).attempts
    assert [(event.state, event.at) for event in events] == [("interrupted", NOW + 60), ("sent", NOW + 1)]


async def test_leases_are_renewed_given_back_and_ended(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "a@x.test")
    [item] = await claim(db)
    ids = [item.recipient_id]
    assert await db.write(lambda tx: queue_claim.renew_lease(tx, ids, "other", NOW + 500)) == 0
    assert await db.write(lambda tx: queue_claim.renew_lease(tx, ids, "me", NOW + 500)) == 1
    assert await claim(db, now=NOW + 400) == []
    assert await db.write(lambda tx: queue_claim.unclaim(tx, ids, "other", NOW)) == 0
    assert await db.write(lambda tx: queue_claim.unclaim(tx, ids, "me", NOW)) == 1
    [back] = await claim(db)
    assert (back.attempts, back.interrupted) == (0, False)
    assert await db.write(lambda tx: queue_claim.lapse_leases(tx, "other")) == 0
    assert await db.write(queue_claim.lapse_leases) == 1
    [lapsed] = await claim(db)
    assert lapsed.interrupted


async def test_due_rows_come_in_pages_the_longest_due_first(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "late@x.test", now=NOW + 30)
    await send(db, inbox, "a@x.test", "b@x.test", "c@x.test", now=NOW + 10)
    await send(db, inbox, "future@x.test", now=NOW + 41)
    assert await db.read(queue_claim.next_due) == NOW + 10
    assert await db.read(lambda rx: queue_claim.next_due(rx, NOW + 10)) == NOW + 30
    assert await claim(db, now=NOW + 9) == []
    seen, after = [], (-1, 0)
    while page := await db.read(lambda rx, a=after: queue_claim.due_page(rx, "queued", NOW + 40, 2, a)):
        seen += [(due.address, due.mail_from, due.inbox_id) for due in page]
        after = (page[-1].at, page[-1].recipient_id)
    assert [address for address, _, _ in seen] == ["a@x.test", "b@x.test", "c@x.test", "late@x.test"]
    assert set(seen[0][1:]) == {inbox.address, inbox.id}
    assert await db.read(lambda rx: queue_claim.due_page(rx, "deferred", NOW + 40, 2)) == []


async def test_mail_with_a_release_time_is_not_due_before(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "a@x.test", release_at=NOW + 3600)
    assert await claim(db, now=NOW + 3599) == []
    [item] = await claim(db, now=NOW + 3600)
    assert item.release_at == NOW + 3600


async def test_what_has_lived_its_time_is_found_by_its_release(db: Database) -> None:
    inbox = await make_inbox(db)
    old = await send(db, inbox, "a@x.test")
    released = await send(db, inbox, "b@x.test", release_at=NOW + 100)
    await send(db, inbox, "c@x.test", now=NOW + 60)

    async def expired(before: int, now: int) -> list[SubmissionId]:
        return [due.submission_id for due in await db.read(lambda rx: queue_claim.expired(rx, before, now, 9))]

    assert await expired(NOW, NOW + 500) == [old]
    assert released in await expired(NOW + 100, NOW + 500)
    assert await expired(NOW - 1, NOW + 500) == []


async def test_a_submission_ends_with_its_last_recipient_and_releases_its_content(db: Database) -> None:
    inbox = await make_inbox(db)
    submission = await send(db, inbox, "a@x.test", "b@x.test", "c@x.test")
    first, second, third = await claim(db)
    await settle(db, [ended(first, "sent"), ended(second, "bounced"), ended(third, "deferred", at=NOW + 300)])
    assert (await show(db, submission)).submission.finished_at is None
    assert await db.read(lambda rx: rx.all(_GARBAGE)) == []
    [again] = await claim(db, now=NOW + 300)
    assert (again.recipient_id, again.attempts) == (third.recipient_id, 1)
    assert await settle(db, [ended(again, "sent", remote="mx.x.test")]) == {third.recipient_id}
    entry = await show(db, submission)
    assert entry.submission.finished_at == NOW + 1
    assert [who.state for who in entry.recipients] == [QueueState.SENT, QueueState.BOUNCED, QueueState.SENT]
    assert [(a.state, a.text, a.remote) for a in entry.attempts if a.recipient_id == third.recipient_id] == [
        ("deferred", b"ok \xff", None),
        ("sent", b"ok \xff", "mx.x.test"),
    ]
    assert await db.read(lambda rx: rx.all(_GARBAGE)) == [(first.content_id,)]
    assert not await end(db, again, "bounced")
    assert await db.read(queue_claim.next_due) is None


async def test_outcomes_of_many_submissions_are_one_unit(db: Database) -> None:
    inbox = await make_inbox(db)
    sent = [await send(db, inbox, f"{n}@x.test", f"{n}@y.test") for n in range(5)]
    items = await claim(db)
    results = [ended(item, "sent") for item in items]
    results[3] = ended(items[3], "held")
    assert await settle(db, results, owner="me") == {item.recipient_id for item in items}
    finished = [(await show(db, one)).submission.finished_at for one in sent]
    assert finished == [NOW + 1, None, NOW + 1, NOW + 1, NOW + 1]
    assert await states(db, sent[1]) == ["sent", "held"]
    held = (await show(db, sent[1])).recipients[1]
    assert (held.hold_reason, held.attempts) == ("outcome", 0)
    assert len(await db.read(lambda rx: rx.all(_GARBAGE))) == 4


async def test_two_last_recipients_that_end_at_once_finish_the_submission(db: Database) -> None:
    inbox = await make_inbox(db)
    for _ in range(5):
        submission = await send(db, inbox, "a@x.test", "b@y.test")
        assert all(await asyncio.gather(*(end(db, item, "sent") for item in await claim(db))))
        assert (await show(db, submission)).submission.finished_at == NOW + 1


async def test_what_is_no_outcome_is_refused(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "a@x.test")
    [item] = await claim(db)
    one, of = item.recipient_id, item.submission_id
    for wrong in (
        Result(one, of, QueueState.QUEUED), Result(one, of, QueueState.SENDING), Result(one, of, QueueState.CANCELLED),
        Result(one, of, QueueState.DEFERRED), Result(one, of, QueueState.SENT, next_attempt=NOW),
        Result(one, of, QueueState.HELD), Result(one, of, QueueState.SENT, hold_reason="route"),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest):
            await settle(db, [wrong])


async def test_unknown_and_empty_are_refused(db: Database) -> None:
    inbox = await make_inbox(db)
    with pytest.raises(InvalidRequest):
        await send(db, inbox)
    assert await settle(db, [Result(999, SubmissionId(999), QueueState.SENT)]) == set()
    with pytest.raises(NotFound):
        await show(db, SubmissionId(999))
    assert await db.write(lambda tx: queue_admin.retry(tx, [999], NOW)) == 0


async def test_finished_submissions_are_forgotten_in_pieces(db: Database) -> None:
    inbox = await make_inbox(db)
    for number in range(5):
        submission = await send(db, inbox, f"{number}@x.test")
        [row] = await numbers(db, submission)
        await db.write(lambda tx, r=row, n=number: queue_admin.cancel(tx, [r], NOW + n))
    stays = await send(db, inbox, "open@x.test")
    assert await db.write(lambda tx: queue.purge_finished(tx, NOW + 3, 3)) == 3
    assert await db.write(lambda tx: queue.purge_finished(tx, NOW + 3, 3)) == 1
    assert await db.write(lambda tx: queue.purge_finished(tx, NOW + 3, 3)) == 0
    left = await db.read(entries)
    assert [entry.submission.id for entry in left] == [submission, stays]
