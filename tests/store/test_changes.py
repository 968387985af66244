"""changes_since: whoever asks after each change, or once after many, knows the same mailbox."""

from __future__ import annotations

import asyncio
import random

from gateway.model.flags import ANSWERED, DELETED, FLAGGED, SEEN
from gateway.model.ids import InboxId, MailboxId
from gateway.model.sequence import numbers_of
from gateway.store import changes, cleanup, mailboxes, messages
from gateway.store.db import Database, Rx, Tx

from .helpers import NOW, fill, mailbox_id, make_inbox, put


async def test_rows_expunges_and_keywords_since_a_modseq(db: Database, runner: asyncio.Runner) -> None:
    inbox = await make_inbox(db)
    here = await mailbox_id(db, inbox.id)
    await fill(db, inbox.id, here, 6)
    start = await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, 0))
    assert [row[0] for row in start.flags] == [1, 2, 3, 4, 5, 6]
    assert (start.uidnext, start.expunged, start.exists, start.complete) == (7, (), True, True)
    stored = await db.write(lambda tx: messages.store_flags(tx, inbox.id, here, [2], "add", SEEN, ["$Work"]))
    await db.write(lambda tx: messages.expunge(tx, inbox.id, here, [1, 3, 4], only_deleted=False, now=NOW))
    arrived = await db.write(lambda tx: put(tx, inbox.id, here))
    now = await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, start.highest_modseq))
    assert now.flags == [(2, SEEN | 32, stored.modseq), (7, 0, arrived.modseq)]
    assert now.expunged == ((1, 1), (3, 4))
    assert now.keywords == {5: "$Work"}
    assert now.highest_modseq == arrived.modseq
    nothing = await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, now.highest_modseq))
    assert (nothing.flags, nothing.expunged) == ([], ())


async def test_expunged_content_is_found_for_the_untold(db: Database, runner: asyncio.Runner) -> None:
    inbox = await make_inbox(db)
    here = await mailbox_id(db, inbox.id)
    await fill(db, inbox.id, here, 1)
    columns = messages.Columns.CONTENT_ID
    content_id = (await db.read(lambda rx: messages.fetch_rows(rx, here, [1], columns)))[0][1]
    assert await db.read(lambda rx: messages.expunged_rows(rx, here, [1], messages.Columns.CONTENT_ID)) == []
    await db.write(lambda tx: messages.expunge(tx, inbox.id, here, [1], only_deleted=False, now=NOW))
    assert await db.read(lambda rx: messages.expunged_rows(rx, here, [1], columns)) == [(1, content_id)]
    await db.write(lambda tx: cleanup.forget_expunged(tx, NOW, 10))
    assert await db.read(lambda rx: messages.expunged_rows(rx, here, [1], messages.Columns.CONTENT_ID)) == []


async def test_a_deleted_mailbox_no_longer_exists(db: Database, runner: asyncio.Runner) -> None:
    inbox = await make_inbox(db)
    made = await db.write(lambda tx: mailboxes.create(tx, inbox.id, "Old", now=NOW))
    await db.write(lambda tx: mailboxes.delete(tx, inbox.id, "Old", now=NOW))
    assert not (await db.read(lambda rx: changes.changes_since(rx, inbox.id, made.id, 0))).exists
    other = await make_inbox(db, "bert@example.test")
    theirs = await mailbox_id(db, other.id)
    assert not (await db.read(lambda rx: changes.changes_since(rx, inbox.id, theirs, 0))).exists


async def test_more_than_a_few_changes_are_none(db: Database) -> None:
    """Who reads on the loop wants few rows: of messages, of expunges, or of UIDs that an expunge names."""
    inbox = await make_inbox(db)
    here = await mailbox_id(db, inbox.id)
    uids = await fill(db, inbox.id, here, 6)
    whole = await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, 0))
    assert await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, 0, most=6)) == whole
    assert await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, 0, most=5)) is None
    since = whole.highest_modseq
    for uid in uids[:3]:
        await db.write(lambda tx, u=uid: messages.expunge(tx, inbox.id, here, [u], only_deleted=False, now=NOW))
    few = await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, since, most=3))
    assert few is not None
    assert few.expunged == ((1, 3),)
    assert await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, since, most=2)) is None


async def test_pruned_expunges_are_said(db: Database, runner: asyncio.Runner) -> None:
    inbox = await make_inbox(db)
    here = await mailbox_id(db, inbox.id)
    uids = await fill(db, inbox.id, here, 6)
    start = await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, 0))
    modseqs = []
    for uid in uids:
        gone = await db.write(lambda tx, u=uid: messages.expunge(tx, inbox.id, here, [u], only_deleted=False, now=NOW))
        modseqs.append(gone.modseq or 0)
    assert await db.read(lambda rx: cleanup.long_records(rx, 2, 10)) == [(inbox.id, here)]
    assert await db.write(lambda tx: cleanup.prune_record(tx, inbox.id, here, 2, 10)) == 4
    since = await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, start.highest_modseq))
    assert not since.complete
    recent = await db.read(lambda rx: changes.changes_since(rx, inbox.id, here, modseqs[3]))
    assert recent.complete
    assert recent.expunged == ((5, 6),)
    assert await db.read(lambda rx: cleanup.long_records(rx, 2, 10)) == []
    assert await db.write(lambda tx: cleanup.prune_record(tx, inbox.id, here, 2, 10)) == 0


class Follower:
    """What a session knows: rows by UID, up to a MODSEQ."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.modseq = 0

    async def follow(self, db: Database, inbox: InboxId, mailbox: MailboxId) -> None:
        since = await db.read(lambda rx: changes.changes_since(rx, inbox, mailbox, self.modseq))
        for uid in numbers_of(since.expunged):
            self.rows.pop(uid, None)
        for uid, flags, modseq in since.flags:
            assert self.modseq < modseq <= since.highest_modseq
            self.rows[uid] = flags
        self.modseq = since.highest_modseq


async def test_random_work_is_followed_exactly(db: Database, runner: asyncio.Runner) -> None:
    """Eager and lazy followers of two mailboxes agree with the store after random units."""
    inbox = (await make_inbox(db)).id
    boxes = [await mailbox_id(db, inbox), await mailbox_id(db, inbox, "Trash")]
    eager = [Follower(), Follower()]
    lazy = [Follower(), Follower()]
    source = random.Random(7)

    def random_unit(tx: Tx) -> None:
        for _ in range(source.randint(1, 3)):
            which = source.randrange(2)
            here, there = boxes[which], boxes[1 - which]
            present = [row[0] for row in messages.load(tx, here)]
            some = sorted(source.sample(present, source.randint(0, len(present)))) if present else []
            action = source.randrange(6)
            if action <= 1 or not some:
                put(
                    tx, inbox, here, flags=source.choice([0, SEEN]), keywords=source.choice([(), ("$A",), ("$B", "$A")])
                )
            elif action == 2:
                operation = source.choice(["set", "add", "remove"])
                mask = source.choice([SEEN, DELETED, FLAGGED | ANSWERED, 0])
                messages.store_flags(tx, inbox, here, some, operation, mask, source.choice([(), ("$B",), ("$C",)]))
            elif action == 3:
                messages.copy(tx, inbox, here, some[:5], source.choice([here, there]), now=NOW)
            elif action == 4:
                messages.move(tx, inbox, here, some[:5], source.choice([here, there]), now=NOW)
            else:
                messages.expunge(tx, inbox, here, some[:4], only_deleted=source.random() < 0.5, now=NOW)

    for turn in range(60):
        await db.write(random_unit, inboxes=(inbox,))
        for follower, box in zip(eager, boxes, strict=True):
            await follower.follow(db, inbox, box)
        if turn % 10 == 9:
            for follower, box in zip(lazy, boxes, strict=True):
                await follower.follow(db, inbox, box)
                rows = await db.read(lambda rx, b=box: messages.load(rx, b))
                assert follower.rows == {uid: flags for uid, flags, _ in rows}
    for one, other in zip(eager, lazy, strict=True):
        assert one.rows == other.rows
    for box in boxes:
        await _same_for_each_modseq(db, inbox, box)


async def _same_for_each_modseq(db: Database, inbox: InboxId, box: MailboxId) -> None:
    """Whatever MODSEQ somebody comes with, and whether a few are wanted or all: the messages above it."""

    def compare(rx: Rx) -> None:
        rows = messages.load(rx, box)
        highest = changes.changes_since(rx, inbox, box, 0).highest_modseq
        for modseq in range(highest + 1):
            newer = [row for row in rows if row[2] > modseq]
            assert changes.changes_since(rx, inbox, box, modseq).flags == newer
            for most in (0, 1, 3, 100):
                few = changes.changes_since(rx, inbox, box, modseq, most=most)
                assert few is None or few.flags == newer
                assert few is None or len(newer) <= most

    await db.read(compare)


async def test_what_changed_is_found_by_the_record_or_without_it(db: Database) -> None:
    """The record holds some thirty changes of single messages; a change of many is one of them."""
    inbox = (await make_inbox(db)).id
    box = await mailbox_id(db, inbox)
    await fill(db, inbox, box, 40)
    start = (await db.read(lambda rx: changes.changes_since(rx, inbox, box, 0))).highest_modseq
    modseqs = [start]
    each = [[uid] for uid in range(1, 40)]
    work = [("add", uids) for uids in each] + [("remove", uids) for uids in each]
    evens = list(range(2, 31, 2))
    for operation, uids in [*work, ("add", evens), ("add", [40]), ("add", list(range(1, 41)))]:
        stored = await db.write(
            lambda tx, u=uids, o=operation: messages.store_flags(tx, inbox, box, u, o, FLAGGED)  # type: ignore[misc]
        )
        assert stored.modseq is not None
        modseqs.append(stored.modseq)
        if len(modseqs) == 70:
            await db.write(lambda tx: put(tx, inbox, box))
    await db.write(lambda tx: put(tx, inbox, box))

    async def few(modseq: int, most: int) -> list[int] | None:
        found = await db.read(lambda rx: changes.changes_since(rx, inbox, box, modseq, most=most))
        return None if found is None else [row[0] for row in found.flags]

    assert await few(start, 100) is None, "that old is not on record"
    assert await few(modseqs[-4], 100) == [*range(1, 41), 42]
    assert await few(modseqs[-3], 100) == [uid for uid in range(1, 43) if uid not in {*evens, 41}]
    assert await few(modseqs[-2], 3) is None
    assert await few(modseqs[-1], 3) == [42]
    await _same_for_each_modseq(db, inbox, box)


async def test_one_unit_may_change_flags_more_often_than_the_record_holds(db: Database) -> None:
    """All under one MODSEQ, of which the record then lacks a part: who comes with less looks through all messages."""
    inbox = (await make_inbox(db)).id
    box = await mailbox_id(db, inbox)
    uids = await fill(db, inbox, box, 100)

    def unit(tx: Tx) -> None:
        for uid in uids[:90]:
            messages.store_flags(tx, inbox, box, [uid], "add", SEEN)

    await db.write(unit)
    await _same_for_each_modseq(db, inbox, box)
    await db.write(lambda tx: messages.store_flags(tx, inbox, box, [5], "add", FLAGGED))
    await _same_for_each_modseq(db, inbox, box)


async def test_flags_of_another_inboxs_mailbox_are_out_of_reach(db: Database) -> None:
    inbox, other = (await make_inbox(db)).id, (await make_inbox(db, "bert@example.test")).id
    theirs = await mailbox_id(db, other)
    await fill(db, other, theirs, 2)
    before = await db.read(lambda rx: messages.load(rx, theirs))
    operations: tuple[messages.FlagOperation, ...] = ("add", "set", "remove")
    for operation in operations:

        def unit(tx: Tx, how: messages.FlagOperation = operation) -> messages.FlagsStored:
            return messages.store_flags(tx, inbox, theirs, [1, 2], how, FLAGGED, ["$A"], unchanged_since=1)

        assert await db.write(unit) == messages.FlagsStored()
    assert await db.read(lambda rx: messages.load(rx, theirs)) == before
    assert await db.read(lambda rx: messages.keywords_of(rx, theirs)) == {}
    await db.write(lambda tx: messages.store_flags(tx, other, theirs, [1], "add", DELETED))
    assert await db.read(lambda rx: messages.deleted_uids(rx, inbox, theirs)) == []
    assert await db.read(lambda rx: messages.deleted_uids(rx, other, theirs)) == [1]
