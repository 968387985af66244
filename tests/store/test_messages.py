"""Arrival, flags, copies, moves and removal: numbers rise, counters are exact, only real changes count."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model.errors import LimitReached, MessageGone, NotFound
from gateway.model.flags import ANSWERED, DELETED, FLAGGED, MAX_KEYWORDS, SEEN
from gateway.model.ids import InboxId, MailboxId
from gateway.model.mailbox import Mailbox
from gateway.store import content, mailboxes, messages
from gateway.store.db import Database, Tx, Wake, WakeKind
from gateway.store.inboxes import inbox_by_id
from gateway.store.messages import Columns
from gateway.store.rows import LARGE_VALUE
from gateway.store.statements import Stmt

from .helpers import NOW, changed_by, fill, mailbox_id, make_inbox, put, staged

MAX_OUT = Stmt("UPDATE mailbox SET uidnext = :next WHERE id = :mailbox")


async def place(db: Database) -> tuple[InboxId, MailboxId, MailboxId]:
    """An inbox with its INBOX and Trash."""
    inbox = await make_inbox(db)
    return inbox.id, await mailbox_id(db, inbox.id), await mailbox_id(db, inbox.id, "Trash")


async def mailbox(db: Database, inbox: InboxId, which: MailboxId) -> Mailbox:
    found = await db.read(lambda rx: mailboxes.by_id(rx, inbox, which))
    assert found is not None
    return found


async def test_an_arrival_takes_uid_modseq_and_counters(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    before = await mailbox(db, inbox, here)
    seen: list[Wake] = []
    db.subscribe(seen.append)
    first = await db.write(lambda tx: put(tx, inbox, here))
    second = await db.write(lambda tx: put(tx, inbox, here, flags=SEEN | FLAGGED, keywords=["$Work"]))
    assert (first.uid, second.uid) == (1, 2)
    assert before.highest_modseq < first.modseq < second.modseq
    assert first.uidvalidity == before.uidvalidity
    assert first.email_id != second.email_id
    assert first.email_id.startswith("M")
    after = await mailbox(db, inbox, here)
    assert (after.uidnext, after.messages, after.unseen) == (3, 2, 1)
    assert after.highest_modseq == second.modseq
    whole = await db.read(lambda rx: inbox_by_id(rx, inbox))
    assert whole is not None
    assert (whole.messages, whole.octets, whole.modseq) == (2, after.octets, second.modseq)
    assert await db.read(lambda rx: messages.load(rx, here)) == [
        (1, 0, first.modseq),
        (2, SEEN | FLAGGED | 1 << 5, second.modseq),
    ]
    assert seen == [Wake(WakeKind.MAIL, inbox, here)] * 2


async def test_one_unit_draws_one_modseq(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, trash = await place(db)
    before = await db.read(lambda rx: inbox_by_id(rx, inbox))
    assert before is not None

    def unit(tx: Tx) -> set[int]:
        drawn = {put(tx, inbox, here).modseq for _ in range(3)}
        drawn.add(put(tx, inbox, trash).modseq)
        copied = messages.copy(tx, inbox, here, [1, 2], trash, now=NOW)
        gone = messages.expunge(tx, inbox, here, [3], only_deleted=False, now=NOW)
        stored = messages.store_flags(tx, inbox, here, [1], "add", SEEN)
        return drawn | {copied.modseq or 0, gone.modseq or 0, stored.modseq or 0}

    assert await db.write(unit) == {before.modseq + 1}
    rows = await db.read(lambda rx: messages.load(rx, here))
    assert len({row[2] for row in rows}) == 1


async def test_an_arrival_needs_a_mailbox_of_this_inbox(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    other = await make_inbox(db, "bert@example.test")
    theirs = await mailbox_id(db, other.id)
    await fill(db, other.id, theirs, 2)
    for target in (MailboxId(99_999), theirs):
        with pytest.raises(NotFound):
            await db.write(lambda tx, t=target: put(tx, inbox, t))
        with pytest.raises(NotFound):
            await db.write(lambda tx, t=target: _copy_one(tx, inbox, here, t))
    # nor can mail of another inbox be reached through its mailbox id
    with pytest.raises(MessageGone):
        await db.write(lambda tx: messages.copy(tx, inbox, theirs, [1], here, now=NOW))
    stored = await db.write(lambda tx: messages.store_flags(tx, inbox, theirs, [1, 2], "add", SEEN))
    gone = await db.write(lambda tx: messages.expunge(tx, inbox, theirs, [1, 2], only_deleted=False, now=NOW))
    assert (stored.count, gone.uids) == (0, ())


def _copy_one(tx: Tx, inbox: InboxId, here: MailboxId, target: MailboxId) -> None:
    uid = put(tx, inbox, here).uid
    messages.copy(tx, inbox, here, [uid], target, now=NOW)


async def test_used_up_uids_are_said(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, trash = await place(db)
    await fill(db, inbox, here, 1)
    await db.write(lambda tx: tx.run(MAX_OUT, mailbox=trash, next=2**32 - 1))
    assert (await db.write(lambda tx: put(tx, inbox, trash))).uid == 2**32 - 1
    with pytest.raises(LimitReached):
        await db.write(lambda tx: put(tx, inbox, trash))
    with pytest.raises(LimitReached):
        await db.write(lambda tx: messages.copy(tx, inbox, here, [1], trash, now=NOW))


async def test_arrival_of_a_stored_content(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, trash = await place(db)
    made = staged(b"Subject: x\r\n\r\nbody", message_id=b"a@x")

    def unit(tx: Tx) -> list[str]:
        content.complete(tx, made, NOW)
        one = messages.append(tx, here, inbox, made, internal_date=5, now=NOW)
        two = messages.append(tx, trash, inbox, made.content_id, internal_date=6, now=NOW, email_id=one.email_id)
        return [one.email_id, two.email_id, one.thread_id, two.thread_id]

    first, second, thread, same = await db.write(unit)
    assert first == second
    assert thread == same
    row = await db.read(lambda rx: messages.fetch_rows(rx, trash, [1], Columns.INTERNAL_DATE | Columns.SIZE))
    assert row == [(1, 6, made.size)]


@pytest.mark.parametrize("spread", [[(1, 10)], [(1, 2), (4, 4), (7, 10)]])
async def test_store_marks_only_what_changes(
    db: Database, runner: asyncio.Runner, spread: list[tuple[int, int]]
) -> None:
    inbox, here, _ = await place(db)
    await fill(db, inbox, here, 10)
    original = await db.read(lambda rx: messages.load(rx, here))
    uids = [uid for low, high in spread for uid in range(low, high + 1)]

    async def store(op: messages.FlagOperation, mask: int, keywords: tuple[str, ...] = ()) -> list[tuple[int, int]]:
        stored = await db.write(
            lambda tx: messages.store_flags(tx, inbox, here, tuple(spread), op, mask, keywords), inboxes=(inbox,)
        )
        found = await mailbox(db, inbox, here)
        if stored.count:
            assert found.highest_modseq == stored.modseq
        else:
            assert stored.modseq is None
        return await changed_by(db, here, stored)

    assert await store("add", SEEN) == [(uid, SEEN) for uid in uids]
    assert await store("add", SEEN) == []
    assert (await mailbox(db, inbox, here)).unseen == 10 - len(uids)
    assert await store("add", FLAGGED, ("$Work",)) == [(uid, SEEN | FLAGGED | 32) for uid in uids]
    assert await store("remove", SEEN | ANSWERED, ("$work", "$Never")) == [(uid, FLAGGED) for uid in uids]
    assert (await mailbox(db, inbox, here)).unseen == 10
    assert await store("remove", SEEN, ("$Work",)) == []
    assert await store("set", SEEN, ("$Work",)) == [(uid, SEEN | 32) for uid in uids]
    assert await store("set", SEEN, ("$WORK",)) == []
    assert await store("set", 0) == [(uid, 0) for uid in uids]
    assert (await mailbox(db, inbox, here)).unseen == 10
    assert await db.read(lambda rx: mailboxes.keywords(rx, here)) == {5: "$Work"}  # $Never was not made by a removal
    rows = await db.read(lambda rx: messages.load(rx, here))
    assert [(uid, modseq) for uid, _, modseq in rows if uid not in uids] == [
        (uid, modseq) for uid, _, modseq in original if uid not in uids
    ]


async def test_store_of_a_part_counts_unseen_exactly(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    await fill(db, inbox, here, 3)
    await fill(db, inbox, here, 3, flags=SEEN)
    for op, mask, unseen in (("add", SEEN, 0), ("remove", SEEN, 6), ("set", SEEN | FLAGGED, 0), ("set", FLAGGED, 6)):
        await db.write(lambda tx, o=op, m=mask: messages.store_flags(tx, inbox, here, ((1, 99),), o, m))
        assert (await mailbox(db, inbox, here)).unseen == unseen


async def test_keywords_are_limited_and_fold(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    names = [f"k{number}" for number in range(MAX_KEYWORDS)]

    def unit(tx: Tx) -> list[int]:
        put(tx, inbox, here)
        everything = messages.flag_mask(tx, here, names)
        return [everything, messages.flag_mask(tx, here, ["K0", "\\sEEN", "k57"])]

    assert await db.write(unit) == [((1 << 58) - 1) << 5, 1 << 5 | SEEN | 1 << 62]
    stored = await db.write(lambda tx: messages.store_flags(tx, inbox, here, [1], "add", 0, names))
    assert await changed_by(db, here, stored) == [(1, ((1 << 58) - 1) << 5)]
    with pytest.raises(LimitReached):
        await db.write(lambda tx: messages.store_flags(tx, inbox, here, [1], "add", 0, ["one-more"]))


async def test_expunge_takes_deleted_ones_only_unless_told(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    await fill(db, inbox, here, 6)
    await db.write(lambda tx: messages.store_flags(tx, inbox, here, [1, 3, 5, 6], "add", DELETED))
    before = await mailbox(db, inbox, here)
    gone = await db.write(lambda tx: messages.expunge(tx, inbox, here, [1, 2, 3], now=NOW))
    assert gone.uids == ((1, 1), (3, 3))
    assert gone.modseq == before.highest_modseq + 1
    nothing = await db.write(lambda tx: messages.expunge(tx, inbox, here, [1, 2, 3, 99], now=NOW))
    assert (nothing.modseq, nothing.uids) == (None, ())
    rest = await db.write(lambda tx: messages.expunge(tx, inbox, here, None, now=NOW))
    assert rest.uids == ((5, 6),)
    assert (await db.write(lambda tx: messages.expunge(tx, inbox, here, None, now=NOW))).uids == ()
    after = await mailbox(db, inbox, here)
    assert (after.messages, after.unseen, after.uidnext) == (2, 2, 7)
    assert (await db.write(lambda tx: put(tx, inbox, here))).uid == 7  # never a used UID


async def test_expunge_of_all_deleted_comes_in_cuts(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    await fill(db, inbox, here, 7, flags=DELETED)
    assert await db.read(lambda rx: messages.deleted_uids(rx, inbox, here, 3)) == [1, 2, 3]
    assert list(messages.cuts([1, 2, 3, 4, 5, 6, 7], 3)) == [[1, 2, 3], [4, 5, 6], [7]]


async def test_copy_keeps_what_a_message_is(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, trash = await place(db)

    def unit(tx: Tx) -> None:
        put(tx, inbox, here, flags=SEEN, keywords=["$Work", "$Home"])
        put(tx, inbox, here, keywords=["$Home"])
        put(tx, inbox, here, flags=FLAGGED)
        put(tx, inbox, trash, keywords=["$Other", "$home"])  # other bits than in the source

    await db.write(unit)
    copied = await db.write(lambda tx: messages.copy(tx, inbox, here, [3, 1, 2], trash, now=NOW + 5), inboxes=(inbox,))
    assert copied.src_uids == [3, 1, 2]
    assert copied.dst_uids == ((2, 4),)
    names = await db.read(lambda rx: mailboxes.keywords(rx, trash))
    assert names == {5: "$Other", 6: "$home", 7: "$Work"}
    wanted = Columns.FLAGS | Columns.EMAIL_ID | Columns.THREAD_ID | Columns.INTERNAL_DATE | Columns.SAVE_DATE
    source = {row[0]: row for row in await db.read(lambda rx: messages.fetch_rows(rx, here, [1, 2, 3], wanted))}
    target = await db.read(lambda rx: messages.fetch_rows(rx, trash, [2, 3, 4], wanted))
    for (uid, date, email, thread, flags, saved), old, mask in zip(
        target, (3, 1, 2), (FLAGGED, SEEN | 1 << 7 | 1 << 6, 1 << 6), strict=True
    ):
        assert (date, email, thread) == source[old][1:4]
        assert (flags, saved) == (mask, NOW + 5), uid
    after = await mailbox(db, inbox, trash)
    assert (after.messages, after.unseen, after.uidnext) == (4, 3, 5)


async def test_copy_is_all_or_nothing(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, trash = await place(db)
    await fill(db, inbox, here, 3)
    before = await mailbox(db, inbox, trash)
    with pytest.raises(MessageGone):
        await db.write(lambda tx: messages.copy(tx, inbox, here, [1, 2, 9], trash, now=NOW))
    assert await mailbox(db, inbox, trash) == before
    nothing = await db.write(lambda tx: messages.copy(tx, inbox, here, [], trash, now=NOW))
    assert (nothing.dst_uids, nothing.modseq) == ((), None)


async def test_copy_into_its_own_mailbox(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    await db.write(lambda tx: [put(tx, inbox, here, keywords=["$A"]) for _ in range(2)])
    copied = await db.write(lambda tx: messages.copy(tx, inbox, here, [1, 2], here, now=NOW))
    assert copied.dst_uids == ((3, 4),)
    assert [row[1] for row in await db.read(lambda rx: messages.load(rx, here))] == [32] * 4


async def test_move_takes_what_is_left(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, trash = await place(db)
    await fill(db, inbox, here, 4)
    await db.write(lambda tx: messages.expunge(tx, inbox, here, [2], only_deleted=False, now=NOW))
    moved = await db.write(lambda tx: messages.move(tx, inbox, here, [4, 2, 1], trash, now=NOW))
    assert (moved.src_uids, moved.dst_uids) == ([4, 1], ((1, 2),))
    source, target = await mailbox(db, inbox, here), await mailbox(db, inbox, trash)
    assert source.highest_modseq == target.highest_modseq == moved.modseq
    assert (source.messages, target.messages) == (1, 2)
    again = await db.write(lambda tx: messages.move(tx, inbox, here, [4, 1], trash, now=NOW))
    assert (again.src_uids, again.modseq) == ([], None)
    with pytest.raises(NotFound):
        await db.write(lambda tx: messages.move(tx, inbox, here, [4], MailboxId(9_999), now=NOW))


async def test_move_into_its_own_mailbox_gives_new_uids(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    await fill(db, inbox, here, 3)
    moved = await db.write(lambda tx: messages.move(tx, inbox, here, [1, 2], here, now=NOW))
    assert moved.dst_uids == ((4, 5),)
    assert [row[0] for row in await db.read(lambda rx: messages.load(rx, here))] == [3, 4, 5]


async def test_fetch_rows_answers_pages_of_any_shape(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)

    def unit(tx: Tx) -> None:
        for number in range(40):
            put(tx, inbox, here, b"Subject: %d\r\n\r\nbody" % number)

    await db.write(unit)
    await db.write(lambda tx: messages.expunge(tx, inbox, here, [5, 6], only_deleted=False, now=NOW))
    living = [uid for uid in range(1, 41) if uid not in (5, 6)]
    for asked in ([], [7], [5], list(range(1, 41)), living[::2], living[::9], [1, 40], [3, 4, 5, 6, 7], [39, 40, 41]):
        rows = await db.read(lambda rx, a=asked: messages.fetch_rows(rx, here, a, Columns.HEADER | Columns.SIZE))
        assert [(row[0], bytes(row[2])) for row in rows] == [
            (uid, b"Subject: %d\r\n\r\n" % (uid - 1)) for uid in asked if uid in living
        ]
    every = Columns(0)
    for column in Columns:
        every |= column
    row = (await db.read(lambda rx: messages.fetch_rows(rx, here, [1], every)))[0]
    assert len(row) == 1 + len(Columns)
    assert bytes(row[3]) == b"(envelope)"
    assert bytes(row[4]) == b"(bodystructure)"
    assert bytes(row[5]) == b"(body)"


async def test_a_page_leaves_out_large_values(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    fits = b"Subject: " + b"x" * (LARGE_VALUE - 13) + b"\r\n\r\n"

    def unit(tx: Tx) -> None:
        for header in (fits, b"X" + fits, b"Subject: x\r\n\r\n"):
            put(tx, inbox, here, header + b"body")

    await db.write(unit)
    wanted = Columns.SIZE | Columns.ENVELOPE | Columns.HEADER
    for uids in ([1, 2, 3], [1, 2, 3, 99]):
        rows = await db.read(lambda rx, uids=uids: messages.fetch_rows(rx, here, uids, wanted, whole=False))
        assert [row[3] and len(row[3]) for row in rows] == [LARGE_VALUE, None, 14]
        assert [bytes(row[2]) for row in rows] == [b"(envelope)"] * 3
        rows = await db.read(lambda rx, uids=uids: messages.fetch_rows(rx, here, uids, wanted))
        assert [len(row[3]) for row in rows] == [LARGE_VALUE, LARGE_VALUE + 1, 14]


async def test_load_pages_by_uid(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, _ = await place(db)
    await fill(db, inbox, here, 25)
    pages = []
    after = 0
    while page := await db.read(lambda rx, a=after: messages.load(rx, here, a, 10)):
        pages.append([row[0] for row in page])
        after = page[-1][0]
    assert pages == [list(range(1, 11)), list(range(11, 21)), list(range(21, 26))]
    assert await db.read(lambda rx: messages.load_arrays(rx, here, 25)) == ([], [], [])


async def test_many_writers_leave_no_gap(db: Database, runner: asyncio.Runner) -> None:
    inbox, here, trash = await place(db)

    async def worker(number: int) -> list[tuple[int, int]]:
        drawn = []
        for turn in range(10):
            target = (here, trash)[(number + turn) % 2]
            appended = await db.write(lambda tx, t=target: put(tx, inbox, t), inboxes=(inbox,), octets=100)
            drawn.append((appended.uid if target == here else -appended.uid, appended.modseq))
        return drawn

    drawn = [each for part in await asyncio.gather(*(worker(n) for n in range(8))) for each in part]
    assert sorted(uid for uid, _ in drawn) == [*range(-40, 0), *range(1, 41)]
    modseqs = sorted(modseq for _, modseq in drawn)
    assert modseqs == list(range(modseqs[0], modseqs[0] + 80))
    for which in (here, trash):
        rows = await db.read(lambda rx, w=which: messages.load(rx, w))
        assert [row[2] for row in rows] == sorted(row[2] for row in rows)  # MODSEQ order is commit order
