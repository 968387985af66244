"""The queue in trouble: inboxes that go, backups, rows as they should never be. On both databases."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from gateway.delivery.lanes import Lanes
from gateway.delivery.scout import Scout
from gateway.model.ids import InboxId, SubmissionId
from gateway.store import drafts, holds, inboxes, mailboxes, messages, queue, queue_admin, queue_claim, reports
from gateway.store.check import check
from gateway.store.db import Database, Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.store.queue_claim import Due
from gateway.store.statements import Stmt

from .helpers import NOW, mailbox_id, make_inbox
from .queue_kit import claim, end, numbers, send, show
from .queue_kit import states as plain_states
from .test_holds import count, draft, rows, states

_SET = Stmt(
    "UPDATE queue_recipient SET state = :state, next_attempt = :at, lease_owner = :owner, lease_until = :until"
)
_MOMENTS = (None, NOW - 10, NOW + 10)


async def delete(db: Database, inbox: Inbox) -> None:
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, NOW), inboxes=(inbox.id,))


async def taken_at(db: Database, now: int) -> bool:
    """Whether a process that begins now would find the row and get it; undone."""
    found = await Scout(db, lambda due: "x").everything(now)
    wanted = [number for lanes in found.values() for pick in lanes.take("x", 99, 99) for number in pick.recipients]

    def unit(tx: Tx) -> bool:
        return bool(queue_claim.claim(tx, wanted, now, 60, "me"))

    return bool(wanted) and await db.write(unit)


@pytest.mark.parametrize("state", ["queued", "deferred", "sending"])
async def test_no_row_is_forgotten(db: Database, state: str) -> None:
    """Whatever its times and its lease say: it goes now, or at a moment that is known, or the check names it."""
    inbox = await make_inbox(db)
    await send(db, inbox, "a@x.test")
    for at, owner, until in itertools.product(_MOMENTS, (None, "gone"), _MOMENTS):
        values = {"state": state, "at": at, "owner": owner, "until": until}
        await db.write(lambda tx: tx.run(_SET, **values))  # noqa: B023
        named = "queue.recipient" in {finding.code for finding in await db.read(check)}
        due = await db.read(lambda rx: queue_claim.next_due(rx, NOW))
        assert await taken_at(db, NOW) or (due is not None and await taken_at(db, due)) or named, values
    await db.write(lambda tx: tx.run(_SET, state="queued", at=NOW, owner=None, until=None))


async def test_news_find_what_a_whole_look_would(db: Database) -> None:
    """A row that becomes due, whatever brings it about, is told by the next look for news."""
    inbox = await make_inbox(db)
    number = await send(db, inbox, "a@x.test", held="operator")
    [row] = await numbers(db, number)
    scout, lanes = Scout(db, lambda due: "x"), Lanes()
    await scout.everything(NOW)
    assert await scout.news(NOW, lambda _: lanes) == 0
    await db.write(lambda tx: queue_admin.release(tx, [row], NOW))
    assert await scout.news(NOW, lambda _: lanes) == 1
    [item] = await claim(db)
    scout.claimed([row])
    await db.write(lambda tx: queue_claim.lapse_leases(tx))
    assert await scout.news(NOW + 1, lambda _: lanes) == 1, "its owner is gone"
    await claim(db, NOW + 1)
    scout.claimed([row])
    await end(db, item, "deferred", at=NOW + 2)
    assert await scout.news(NOW + 1, lambda _: lanes) == 0
    assert await scout.news(NOW + 2, lambda _: lanes) == 1


async def test_a_scheduled_draft_of_a_backup_is_not_hurried(db: Database) -> None:
    """`retry` would send it at once, and leave the draft where it is."""
    inbox = await make_inbox(db)
    number = await draft(db, inbox, reason="scheduled", at=NOW + 60)
    await db.write(lambda tx: queue_admin.hold_everything(tx, NOW))
    here = await rows(db, number)
    assert await db.write(lambda tx: queue_admin.retry(tx, here, NOW)) == 0
    assert await states(db, number) == [("held", "restore", None)] * 2


async def test_what_is_held_waits_for_its_time_also_when_it_is_retried(db: Database) -> None:
    inbox = await make_inbox(db)
    number = await send(db, inbox, "a@x.test", release_at=NOW + 600)
    here = await numbers(db, number)
    assert await db.write(lambda tx: queue_admin.retry(tx, here, NOW)) == 0
    assert await db.write(lambda tx: queue_admin.hold(tx, here, NOW)) == 1
    assert await db.write(lambda tx: queue_admin.retry(tx, here, NOW)) == 1
    assert [(one.state, one.next_attempt) for one in (await show(db, number)).recipients] == [("queued", NOW + 600)]


async def test_what_was_under_way_is_given_up_with_its_inbox(db: Database) -> None:
    """It is not stopped; but it waits for no other turn."""
    inbox = await make_inbox(db)
    number = await send(db, inbox, "a@x.test", "b@x.test", "c@x.test")
    [first, second, third] = await claim(db)
    await delete(db, inbox)
    assert await plain_states(db, number) == ["sending"] * 3
    await end(db, first, "sent")
    await end(db, second, "deferred", at=NOW + 60)
    assert await plain_states(db, number) == ["sent", "cancelled", "sending"]
    assert await db.write(lambda tx: queue_claim.unclaim(tx, [third.recipient_id], "me", NOW)) == 1
    entry = await show(db, number)
    assert [str(one.state) for one in entry.recipients] == ["sent", "cancelled", "cancelled"]
    assert entry.submission.finished_at is not None


@pytest.mark.parametrize("reason", ["approval", "scheduled"])
async def test_drafts_of_an_inbox_that_comes_back_are_ordinary_ones(db: Database, reason: str) -> None:
    """Nothing waits for them any more, so that nobody may believe that they were sent."""
    inbox = await make_inbox(db)
    number = await draft(db, inbox, reason=reason, at=NOW + 60)
    await delete(db, inbox)
    assert (await show(db, number)).submission.draft is None
    await db.write(lambda tx: inboxes.undelete_inbox(tx, inbox.id))
    assert await db.write(lambda tx: drafts.release(tx, number, NOW + 60)) == 0
    assert [await count(db, inbox.id, name) for name in ("Drafts", "Sent")] == [1, 0]


async def test_a_draft_whose_recipients_are_done_is_not_filed_as_sent(db: Database) -> None:
    inbox = await make_inbox(db)
    number = await draft(db, inbox)
    here = await rows(db, number)
    await db.write(lambda tx: tx.run(Stmt("UPDATE queue_recipient SET state = 'cancelled', hold_reason = NULL")))
    assert await db.write(lambda tx: queue_admin.release(tx, here, NOW)) == 0
    assert [await count(db, inbox.id, name) for name in ("Drafts", "Sent")] == [1, 0]
    await db.write(lambda tx: tx.run(Stmt("UPDATE submission SET finished_at = 1")))
    await db.write(lambda tx: tx.run(Stmt("INSERT INTO garbage SELECT content_id, 1 FROM submission")))


async def test_one_draft_of_many_that_leaves_asks_for_its_own_only(db: Database) -> None:
    """With thousands that wait, each that is sent would otherwise look through all of them."""
    inbox = await make_inbox(db)
    waiting = [await draft(db, inbox, reason="scheduled", at=NOW + 60) for _ in range(3)]
    asked: list[int] = []
    every = holds.decided

    def decided(rx: Rx, number: InboxId) -> dict[str, SubmissionId]:
        asked.append(number)
        return every(rx, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holds, "decided", decided)
        box = await mailbox_id(db, inbox.id, "Drafts")
        await db.write(
            lambda tx: messages.expunge(tx, inbox.id, box, [2], only_deleted=False, now=NOW), inboxes=(inbox.id,)
        )
        assert asked == []
        assert [{state for state, _, _ in await states(db, number)} for number in waiting] == [
            {"held"}, {"cancelled"}, {"held"},
        ]  # fmt: skip
        await db.write(lambda tx: mailboxes.delete(tx, inbox.id, "Drafts", now=NOW), inboxes=(inbox.id,))
        assert asked == [inbox.id]
    assert {state for number in waiting for state, _, _ in await states(db, number)} == {"cancelled"}


async def test_a_report_about_what_is_being_forgotten_waits_or_comes_to_nothing(db: Database) -> None:
    """Both touch one submission at once: neither fails."""
    inbox = await make_inbox(db)
    for _ in range(20):
        number = await send(db, inbox, "a@x.test")
        [item] = await claim(db)
        await end(db, item, "sent")
        content_id = (await show(db, number)).submission.content_id
        told = reports.Told(
            reports.HandedOn(item.recipient_id, number, "a@x.test", None), "bounced", 550, "5.1.1", b"no", None
        )

        def settle(tx: Tx) -> int:
            reports.note_report(tx, inbox.id, content_id, NOW)  # noqa: B023
            return reports.settle_report(tx, inbox.id, content_id, [told], NOW)  # noqa: B023

        written, forgotten = await asyncio.gather(
            db.write(settle, inboxes=(inbox.id,)), db.write(lambda tx: queue.purge_finished(tx, NOW + 9, 10))
        )
        assert (written, forgotten) in {(0, 1), (1, 1)}


async def test_what_waits_for_its_time_is_walked_once(db: Database) -> None:
    """News by number begin behind it, and it is told when it is due."""
    inbox = await make_inbox(db)
    scout, lanes = Scout(db, lambda due: "x"), Lanes()
    begun: list[int] = []
    await scout.everything(NOW)
    await send(db, inbox, "later@x.test", release_at=NOW + 60)
    await send(db, inbox, "held@x.test", held="operator")
    fresh = queue_claim.fresh

    def asked(rx: Rx, now: int, limit: int, after: int) -> list[Due]:
        begun.append(after)
        return fresh(rx, now, limit, after)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue_claim, "fresh", asked)
        assert [await scout.arrivals(NOW, lambda _: lanes) for _ in range(2)] == [0, 0]
        [last] = {await db.read(queue_claim.last_number)}
        assert begun == [0, last]
        await send(db, inbox, "new@x.test")
        assert await scout.arrivals(NOW, lambda _: lanes) == 1
    assert await scout.news(NOW, lambda _: lanes) == 0, "it is known"
    assert await scout.news(NOW + 60, lambda _: lanes) == 1
