"""Counts over time on both databases: what is counted as what, in which bucket, and the first or the last of many."""

from __future__ import annotations

from gateway.delivery.local import ROUTE, LocalDelivery
from gateway.delivery.source import stored
from gateway.ingest.writer import Ingest
from gateway.model.recipient import Recipient
from gateway.store import metric_series as series
from gateway.store.db import Database
from gateway.store.metric_series import Slice

from .helpers import NOW, mailbox_id, make_inbox, put
from .queue_kit import claim, end, send


async def test_mail_by_the_mailbox_that_it_lies_in(db: Database) -> None:
    inbox, other = await make_inbox(db), await make_inbox(db, "bob@mail.test")
    lying = {"INBOX": (0, 10, 10, 500), "Trash": (10,), "Spam": (10,), "Sent": (10,), "Drafts": (0,)}
    for name, ages in lying.items():
        box = await mailbox_id(db, inbox.id, name)
        for age in ages:
            await db.write(lambda tx, box=box, age=age: put(tx, inbox.id, box, now=NOW - age))  # type: ignore[misc]
    over = Slice((inbox.id, other.id), NOW - 100, NOW, 10)
    bucket = NOW // 10
    assert await db.read(lambda rx: series.received(rx, over)) == {bucket - 1: 3}
    assert await db.read(lambda rx: series.junk(rx, over)) == {bucket - 1: 1}
    whole = Slice(over.inboxes, 0, NOW + 1, 10)
    counts, octets = await db.read(lambda rx: series.kept(rx, whole))
    assert counts == {bucket - 50: 1, bucket - 1: 5, bucket: 2}
    assert sum(octets.values()) == 8 * (octets[bucket] // 2)
    first = Slice(over.inboxes, 0, NOW + 1, 10, most=1)
    last = Slice(over.inboxes, 0, NOW + 1, 10, most=1, falling=True)
    assert await db.read(lambda rx: series.received(rx, first)) == {bucket - 50: 1}
    assert await db.read(lambda rx: series.received(rx, last)) == {bucket: 1}
    assert await db.read(lambda rx: series.threads(rx, over.inboxes)) == 8
    assert await db.read(lambda rx: series.new_threads(rx, over)) == {bucket - 1: 5}
    nobody = Slice((), 0, NOW + 1, 10)
    assert await db.read(lambda rx: (series.received(rx, nobody), series.sent(rx, nobody))) == ({}, {})


async def test_what_was_sent_and_what_became_of_it(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "a@else.test", "b@else.test", "c@else.test")
    await send(db, inbox, "d@else.test", now=NOW - 50)
    for item, state in zip(await claim(db), ("sent", "sent", "bounced", "deferred"), strict=True):
        await end(db, item, state, at=NOW if state == "deferred" else None, now=NOW + 1)
    over = Slice((inbox.id,), NOW - 100, NOW + 100, 10)
    bucket = NOW // 10
    assert await db.read(lambda rx: series.sent(rx, over)) == {bucket - 5: 1, bucket: 1}
    assert await db.read(lambda rx: series.sent_to(rx, over)) == {bucket - 5: 1, bucket: 3}
    assert await db.read(lambda rx: series.delivered(rx, over)) == {bucket: 2}
    assert await db.read(lambda rx: series.bounced(rx, over)) == {bucket: 1}
    assert await db.read(lambda rx: series.bounced(rx, Slice((inbox.id,), NOW - 100, NOW, 10))) == {}


async def test_mail_that_waited_and_was_delivered_here_counts_once(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, later=[Recipient(inbox.address)])
    (item,) = await claim(db)
    here = LocalDelivery(db, Ingest(db, now=lambda: NOW), owner="me", clock=lambda: NOW + 20)
    assert await here.deliver(ROUTE, [item], await stored(db, item.content_id)) == []
    over = Slice((inbox.id,), NOW - 100, NOW + 100, 10)
    assert await db.read(lambda rx: series.delivered(rx, over)) == {NOW // 10 + 2: 1}
