"""What people see of the queue and do to it."""

from __future__ import annotations

from typing import Any

from gateway.delivery import figures
from gateway.model.ids import SubmissionId
from gateway.ops.metrics import PrometheusMetrics
from gateway.store import queue, queue_admin, queue_claim, queue_list
from gateway.store.db import Database, Wake, WakeKind
from gateway.store.queue import QueueState
from gateway.store.queue_list import QueueFilter

from .helpers import NOW, make_inbox
from .queue_kit import claim, end, numbers, send, show, states


async def test_what_is_held_waits_until_it_is_released(db: Database) -> None:
    inbox = await make_inbox(db)
    one = await send(db, inbox, "a@x.test", "b@x.test")
    rows = await numbers(db, one)
    assert await db.write(lambda tx: queue_admin.hold(tx, rows, NOW, "Eve")) == 2
    assert [each.hold_reason for each in (await show(db, one)).recipients] == ["operator", "operator"]
    assert await claim(db) == []
    wakes: list[Wake] = []
    db.subscribe(wakes.append)
    assert await db.write(lambda tx: queue_admin.release(tx, rows[:1], NOW + 5, "Ann")) == 1
    assert wakes == [Wake(WakeKind.QUEUE)]
    [item] = await claim(db, now=NOW + 5)
    assert item.recipient_id == rows[0]
    assert item.release_at == NOW + 5, "the days after which it is given up count from there"
    entry = await show(db, one)
    assert [each.hold_reason for each in entry.recipients] == [None, "operator"]
    assert [(event.state, event.text) for event in entry.attempts if event.recipient_id == rows[0]] == [
        ("held", b"Eve"), ("released", b"Ann"),
    ]  # fmt: skip
    assert await db.read(lambda rx: queue_claim.held_before(rx, rows)) == frozenset(rows)


async def test_retry_leaves_alone_what_waits_for_consent_or_its_time(db: Database) -> None:
    inbox = await make_inbox(db)
    approval = await send(db, inbox, "a@x.test", held="approval")
    restored = await send(db, inbox, "b@x.test", held="restore")
    scheduled = await send(db, inbox, "c@x.test", release_at=NOW + 3600)
    deferred = await send(db, inbox, "d@x.test")
    [item] = await claim(db)
    await end(db, item, "deferred", at=NOW + 9_000)
    rows = [number for one in (approval, restored, scheduled, deferred) for number in await numbers(db, one)]
    assert await db.write(lambda tx: queue_admin.retry(tx, rows, NOW + 5)) == 2
    assert [each.submission_id for each in await claim(db, now=NOW + 5)] == [restored, deferred]
    assert await db.write(lambda tx: queue_admin.release(tx, rows, NOW + 6)) == 2
    assert [each.submission_id for each in await claim(db, now=NOW + 6)] == [approval, scheduled]


async def test_what_is_held_and_has_a_release_time_waits_for_it(db: Database) -> None:
    inbox = await make_inbox(db)
    one = await send(db, inbox, "a@x.test", held="approval", release_at=NOW + 3600)
    rows = await numbers(db, one)
    assert await db.write(lambda tx: queue_admin.release(tx, rows, NOW)) == 1
    assert await claim(db, now=NOW + 3599) == []
    assert await db.write(lambda tx: queue_admin.release(tx, rows, NOW + 1)) == 1, "a second word lets it go"
    assert len(await claim(db, now=NOW + 1)) == 1


async def test_what_is_under_way_is_not_changed(db: Database) -> None:
    inbox = await make_inbox(db)
    one = await send(db, inbox, "a@x.test", "b@x.test")
    rows = await numbers(db, one)
    [item] = await claim(db, limit=1)
    for change in (queue_admin.retry, queue_admin.hold, queue_admin.release):
        await db.write(lambda tx, c=change: c(tx, rows, NOW))
        assert (await states(db, one))[0] == "sending"
    assert await db.write(lambda tx: queue_admin.cancel(tx, rows, NOW, "Ann")) == 1
    assert await states(db, one) == ["sending", "cancelled"]
    assert (await show(db, one)).submission.finished_at is None
    assert await end(db, item, "sent")
    entry = await show(db, one)
    assert entry.submission.finished_at == NOW + 1
    assert [(event.state, event.text) for event in entry.attempts if event.recipient_id == rows[1]][-1] == (
        "cancelled", b"Ann",
    )  # fmt: skip
    assert await db.write(lambda tx: queue_admin.retry(tx, rows, NOW)) == 0


async def test_a_deleted_inbox_cancels_what_waits(db: Database) -> None:
    anna, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    one, two, other = [await send(db, who, "a@x.test") for who in (anna, anna, ben)]
    assert await db.write(lambda tx: queue.cancel_inbox(tx, anna.id, NOW)) == 2
    assert [await states(db, each) for each in (one, two, other)] == [["cancelled"], ["cancelled"], ["queued"]]
    assert (await show(db, one)).attempts[0].text == b"the inbox was deleted"


async def test_a_restore_holds_everything_and_says_why(db: Database) -> None:
    inbox = await make_inbox(db)
    one = await send(db, inbox, "a@x.test", "b@x.test")
    waiting = await send(db, inbox, "c@x.test", held="approval")
    [item] = await claim(db, limit=1)
    held = await db.write(lambda tx: queue_admin.hold_everything(tx, NOW))
    assert [who.address for who in held] == ["a@x.test", "b@x.test", "c@x.test"]
    assert [each.hold_reason for each in (await show(db, one)).recipients] == ["restore", "restore"]
    assert [each.hold_reason for each in (await show(db, waiting)).recipients] == ["approval"]
    assert not await end(db, item, "sent", owner="me")


async def test_lists_are_filtered(db: Database) -> None:
    anna, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    one = await send(db, anna, "a@X.test", "b@y.test")
    await send(db, ben, "c@y.test", held="approval")
    [item] = await claim(db, limit=1)
    await end(db, item, "sent")

    async def found(**where: Any) -> list[str]:
        rows = await db.read(lambda rx: queue_list.matching(rx, QueueFilter(**where), 100))
        return [each.address for each in await db.read(lambda rx: queue_list.listed(rx, rows))]

    everything = tuple(QueueState)
    assert await found() == ["b@y.test", "c@y.test"]
    assert await found(states=everything) == ["a@X.test", "b@y.test", "c@y.test"]
    assert await found(submission_id=one, states=everything) == ["a@X.test", "b@y.test"]
    assert await found(submission_id=SubmissionId(999)) == []
    assert await found(inbox_id=ben.id) == ["c@y.test"]
    assert await found(states=(QueueState.HELD,)) == ["c@y.test"]
    assert await found(reason="approval") == ["c@y.test"]
    assert await found(reason="operator") == []
    assert await found(to="x.test", states=everything) == await found(to="@X.test", states=everything) == ["a@X.test"]
    assert await found(to="B@y.test") == ["b@y.test"]
    assert await found(sender="ben@EXAMPLE.test") == ["c@y.test"]
    assert await found(sender="example.test") == await found(sender="@example.test") == ["b@y.test", "c@y.test"]
    assert await found(sender="ample.test") == []
    assert await found(sender="<>") == []
    assert await found(to="\0") == []
    assert len(await db.read(lambda rx: queue_list.matching(rx, QueueFilter(), 1))) == 1
    [row] = await db.read(lambda rx: queue_list.listed(rx, [item.recipient_id]))
    assert (row.inbox_id, row.state, row.code, row.text) == (anna.id, QueueState.SENT, 250, b"ok \xff")


async def test_destinations_tell_how_they_stand(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "a@slow.test", "b@slow.test", "c@slow.test", "d@fast.test")
    await send(db, inbox, "e@slow.test", now=NOW - 50, held="operator")
    first, second, *_ = await claim(db)
    await end(db, first, "deferred", at=NOW + 60)
    slow, fast = await db.read(lambda rx: queue_list.destinations(rx, NOW + 1, 10))
    assert (slow.domain, slow.recipients, slow.active) == ("slow.test", 4, 2)
    assert (slow.held, slow.deferred, slow.due, slow.oldest, slow.next) == (1, 1, 0, NOW - 50, NOW + 60)
    assert (slow.code, slow.enhanced, slow.text) == (250, "2.0.0", b"ok \xff")
    assert (fast.domain, fast.recipients, fast.active, fast.code) == ("fast.test", 1, 1, None)
    await end(db, second, "deferred", at=NOW + 1)
    [only] = await db.read(lambda rx: queue_list.destinations(rx, NOW + 1, 1))
    assert (only.domain, only.due, only.next) == ("slow.test", 1, NOW + 1)


async def test_totals_and_their_gauges(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "a@x.test", "b@x.test")
    await send(db, inbox, "c@y.test", now=NOW + 50)
    await send(db, inbox, "d@x.test", held="operator")
    await claim(db, limit=1)
    stats = await db.read(lambda rx: queue_admin.stats(rx, NOW))
    assert stats.states == {QueueState.SENDING: 1, QueueState.QUEUED: 2, QueueState.HELD: 1}
    assert (stats.due, stats.oldest) == (1, NOW)
    metrics = PrometheusMetrics(strict=True, process=False)
    await figures.publish(db, lambda: NOW + 60.0, metrics)
    page = metrics.page().decode()
    for line in (
        'recipients{state="queued"} 2.0', 'recipients{state="deferred"} 0.0', "oldest_seconds 60.0",
        "due_recipients 2.0",
    ):  # fmt: skip
        assert f"gateway_queue_{line}" in page
