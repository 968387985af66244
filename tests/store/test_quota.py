"""Quotas: limits, what counts, and that no two units fit into the same room."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model.errors import NotFound, OverQuota
from gateway.model.ids import InboxId
from gateway.store import mailboxes, messages, quota
from gateway.store.db import Database
from gateway.store.quota import Limits, Usage
from gateway.store.recount import recount

from .helpers import NOW, fill, mailbox_id, make_inbox, put

SMALL = b"Subject: x\r\n\r\nbody\r\n"


async def limit(db: Database, inbox_id: InboxId, limits: Limits) -> None:
    await db.write(lambda tx: quota.set_limits(tx, inbox_id, limits), inboxes=(inbox_id,))


async def usage(db: Database, inbox_id: InboxId) -> Usage:
    return await db.read(lambda rx: quota.usage(rx, inbox_id))


async def test_a_new_inbox_has_no_limits_and_counts_its_mailboxes(db: Database) -> None:
    inbox = await make_inbox(db)
    assert await usage(db, inbox.id) == Usage(0, 0, 5, Limits())
    with pytest.raises(NotFound):
        await usage(db, InboxId(77))
    with pytest.raises(NotFound):
        await limit(db, InboxId(77), Limits())


async def test_an_arrival_beyond_a_limit_leaves_nothing_behind(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    await limit(db, inbox.id, Limits(octets=3 * len(SMALL) - 1))
    await fill(db, inbox.id, box, 2)
    with pytest.raises(OverQuota):
        await db.write(lambda tx: put(tx, inbox.id, box, SMALL), inboxes=(inbox.id,))
    await limit(db, inbox.id, Limits(messages=2))
    with pytest.raises(OverQuota):
        await db.write(lambda tx: put(tx, inbox.id, box, SMALL), inboxes=(inbox.id,))
    found = await db.read(lambda rx: mailboxes.by_name(rx, inbox.id, "INBOX"))
    assert found is not None
    assert (found.messages, found.uidnext, found.octets) == (2, 3, 2 * len(SMALL))
    # what must not be lost is taken all the same, and counts
    made = await db.write(
        lambda tx: put(tx, inbox.id, box, SMALL, beyond_quota=True), inboxes=(inbox.id,)
    )
    assert not made.nearly_full
    assert (await usage(db, inbox.id)).messages == 3


async def test_units_side_by_side_never_share_the_last_room(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    await limit(db, inbox.id, Limits(messages=4))
    outcomes = await asyncio.gather(
        *(db.write(lambda tx: put(tx, inbox.id, box, SMALL), inboxes=(inbox.id,)) for _ in range(9)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, OverQuota) for outcome in outcomes) == 5
    assert (await usage(db, inbox.id)).messages == 4


async def test_a_copy_adds_and_a_move_does_not(db: Database) -> None:
    inbox = await make_inbox(db)
    box, sent = await mailbox_id(db, inbox.id), await mailbox_id(db, inbox.id, "Sent")
    uids = await fill(db, inbox.id, box, 9)
    await limit(db, inbox.id, Limits(messages=18))
    copied = await db.write(
        lambda tx: messages.copy(tx, inbox.id, box, uids, sent, now=NOW), inboxes=(inbox.id,)
    )
    assert copied.nearly_full
    with pytest.raises(OverQuota):
        await db.write(lambda tx: messages.copy(tx, inbox.id, box, uids[:1], sent, now=NOW), inboxes=(inbox.id,))
    moved = await db.write(lambda tx: messages.move(tx, inbox.id, box, uids, sent, now=NOW), inboxes=(inbox.id,))
    assert not moved.nearly_full
    assert (await usage(db, inbox.id)).messages == 18


async def test_near_a_limit_is_told(db: Database) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    await limit(db, inbox.id, Limits(messages=10))
    warned = [
        (await db.write(lambda tx: put(tx, inbox.id, box, SMALL), inboxes=(inbox.id,))).nearly_full for _ in range(10)
    ]
    assert warned == [False] * 9 + [True]


async def test_only_mailboxes_that_can_be_selected_count(db: Database) -> None:
    inbox = await make_inbox(db)
    await limit(db, inbox.id, Limits(mailboxes=7))

    async def create(name: str) -> None:
        await db.write(lambda tx: mailboxes.create(tx, inbox.id, name, now=NOW), inboxes=(inbox.id,))

    await create("a/b")
    with pytest.raises(OverQuota):
        await create("c")
    await db.write(lambda tx: mailboxes.delete(tx, inbox.id, "a", now=NOW), inboxes=(inbox.id,))
    assert (await usage(db, inbox.id)).mailboxes == 6
    await create("c")
    with pytest.raises(OverQuota):
        await create("a")  # the name is there, as a mailbox it is one more
    with pytest.raises(OverQuota):
        await db.write(lambda tx: mailboxes.rename(tx, inbox.id, "c", "d/e", now=NOW), inboxes=(inbox.id,))
    with pytest.raises(OverQuota):
        await db.write(lambda tx: mailboxes.rename(tx, inbox.id, "INBOX", "old", now=NOW), inboxes=(inbox.id,))
    await db.write(lambda tx: mailboxes.rename(tx, inbox.id, "c", "d", now=NOW), inboxes=(inbox.id,))
    assert (await usage(db, inbox.id)).mailboxes == 7


async def test_a_recount_finds_the_mailboxes_again(db: Database) -> None:
    from gateway.store.statements import Stmt

    inbox = await make_inbox(db)
    await db.write(lambda tx: mailboxes.create(tx, inbox.id, "a/b", now=NOW), inboxes=(inbox.id,))
    await db.write(lambda tx: mailboxes.delete(tx, inbox.id, "a", now=NOW), inboxes=(inbox.id,))
    await db.write(lambda tx: tx.run(Stmt("UPDATE inbox SET mailboxes = 99")))
    await db.write(lambda tx: recount(tx, inbox.id), inboxes=(inbox.id,))
    assert (await usage(db, inbox.id)).mailboxes == 6


async def test_room_is_asked_for_before_octets_come(db: Database) -> None:
    inbox = await make_inbox(db)
    await db.read(lambda rx: quota.require_room(rx, inbox.id, octets=2**60))
    await limit(db, inbox.id, Limits(octets=100))
    await db.read(lambda rx: quota.require_room(rx, inbox.id, octets=100))
    with pytest.raises(OverQuota):
        await db.read(lambda rx: quota.require_room(rx, inbox.id, octets=101))
