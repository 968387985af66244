"""Sent mail appears once, whichever copy comes first; threads join late parents."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway.model.ids import InboxId, MailboxId
from gateway.store import changes, content, messages, sent
from gateway.store.db import Database, Tx
from gateway.store.messages import Appended
from gateway.store.statements import Stmt

from .helpers import NOW, mailbox_id, make_inbox, staged

OCTETS = b"Message-ID: <m@x>\r\n\r\nbody"


def arrive(
    tx: Tx,
    inbox: InboxId,
    mailbox: MailboxId,
    message_id: bytes | None = b"m@x",
    *,
    now: int = NOW,
    auto: bool = False,
    in_reply_to: tuple[bytes, ...] = (),
    references: tuple[bytes, ...] = (),
) -> Appended:
    made = staged(OCTETS, message_id=message_id)
    made = replace(made, meta=replace(made.meta, in_reply_to=in_reply_to, references=references))
    appended = messages.append(tx, mailbox, inbox, made, internal_date=now, now=now, auto_sent=auto)
    if appended.made:
        content.complete(tx, made, now)
    return appended


async def uids(db: Database, mailbox: MailboxId) -> list[int]:
    return [row[0] for row in await db.read(lambda rx: messages.load(rx, mailbox))]


async def places(db: Database) -> tuple[InboxId, MailboxId, MailboxId]:
    inbox = await make_inbox(db)
    return inbox.id, await mailbox_id(db, inbox.id, "Sent"), await mailbox_id(db, inbox.id, "Drafts")


async def test_a_clients_append_replaces_our_copy_in_its_own_unit(db: Database, runner: asyncio.Runner) -> None:
    inbox, sent, _ = await places(db)
    ours = await db.write(lambda tx: arrive(tx, inbox, sent, auto=True), inboxes=(inbox,))
    other = await db.write(lambda tx: arrive(tx, inbox, sent, b"other@x", auto=True), inboxes=(inbox,))
    theirs = await db.write(lambda tx: arrive(tx, inbox, sent, now=NOW + 60), inboxes=(inbox,))
    assert await uids(db, sent) == [other.uid, theirs.uid]
    since = await db.read(lambda rx: changes.changes_since(rx, inbox, sent, other.modseq))
    assert since.expunged == ((ours.uid, ours.uid),)
    assert since.highest_modseq == theirs.modseq == other.modseq + 1
    again = await db.write(lambda tx: arrive(tx, inbox, sent, now=NOW + 61), inboxes=(inbox,))
    assert await uids(db, sent) == [other.uid, theirs.uid, again.uid]  # a client's second copy is its own affair


async def test_no_copy_of_ours_when_the_clients_came_first(db: Database, runner: asyncio.Runner) -> None:
    inbox, sent, _ = await places(db)
    theirs = await db.write(lambda tx: arrive(tx, inbox, sent), inboxes=(inbox,))
    ours = await db.write(lambda tx: arrive(tx, inbox, sent, now=NOW + 60, auto=True), inboxes=(inbox,))
    assert not ours.made
    assert (ours.uid, ours.email_id, ours.modseq) == (theirs.uid, theirs.email_id, theirs.modseq)
    assert await uids(db, sent) == [theirs.uid]


async def test_copy_and_move_into_sent_count_too(db: Database, runner: asyncio.Runner) -> None:
    inbox, sent, drafts = await places(db)

    def prepare(tx: Tx) -> None:
        for message_id in (b"1@x", b"2@x"):
            arrive(tx, inbox, drafts, message_id)
            arrive(tx, inbox, sent, message_id, auto=True)

    await db.write(prepare, inboxes=(inbox,))
    await db.write(lambda tx: messages.copy(tx, inbox, drafts, [1], sent, now=NOW + 5), inboxes=(inbox,))
    assert await uids(db, sent) == [2, 3]
    await db.write(lambda tx: messages.move(tx, inbox, drafts, [2], sent, now=NOW + 5), inboxes=(inbox,))
    assert await uids(db, sent) == [3, 4]
    later = await db.write(lambda tx: arrive(tx, inbox, sent, b"2@x", now=NOW + 9, auto=True), inboxes=(inbox,))
    assert not later.made


async def test_the_rule_ends_after_an_hour_and_at_the_mailbox(db: Database, runner: asyncio.Runner) -> None:
    inbox, sent, drafts = await places(db)
    ours = await db.write(lambda tx: arrive(tx, inbox, sent, auto=True), inboxes=(inbox,))
    await db.write(lambda tx: arrive(tx, inbox, drafts), inboxes=(inbox,))
    assert await uids(db, sent) == [ours.uid]
    late = await db.write(lambda tx: arrive(tx, inbox, sent, now=NOW + 3601), inboxes=(inbox,))
    assert await uids(db, sent) == [ours.uid, late.uid]
    other = await make_inbox(db, "bert@example.test")
    theirs = await mailbox_id(db, other.id, "Sent")
    await db.write(lambda tx: arrive(tx, other.id, theirs, now=NOW + 3602), inboxes=(other.id,))
    assert await uids(db, sent) == [ours.uid, late.uid]


async def test_mail_without_message_id_is_left_alone(db: Database, runner: asyncio.Runner) -> None:
    inbox, sent, _ = await places(db)
    await db.write(lambda tx: arrive(tx, inbox, sent, None, auto=True), inboxes=(inbox,))
    await db.write(lambda tx: arrive(tx, inbox, sent, None), inboxes=(inbox,))
    assert await uids(db, sent) == [1, 2]


async def test_replies_join_threads_also_when_the_parent_is_late(db: Database, runner: asyncio.Runner) -> None:
    inbox, _, drafts = await places(db)

    async def thread(
        message_id: bytes | None, references: tuple[bytes, ...] = (), in_reply_to: tuple[bytes, ...] = ()
    ) -> str:
        appended = await db.write(
            lambda tx: arrive(tx, inbox, drafts, message_id, in_reply_to=in_reply_to, references=references),
            inboxes=(inbox,),
        )
        return appended.thread_id

    reply = await thread(b"c@x", (b"a@x", b"b@x"))
    assert await thread(b"a@x") == reply  # the parent came late
    assert await thread(b"d@x", (), (b"c@x",)) == reply
    assert await thread(None, (b"c@x", b"d@x")) == reply
    assert await thread(b"c@x") == reply  # the same message again
    alone = await thread(b"z@x")
    assert alone != reply
    assert await thread(None) not in (alone, reply)
    both = await thread(b"y@x", (b"a@x", b"z@x"))
    assert both == alone  # the nearest ancestor decides; the two threads stay two
    assert await thread(b"z2@x", (b"z@x", b"z@x", b"z2@x")) == alone
    other = await make_inbox(db, "bert@example.test")
    theirs = await mailbox_id(db, other.id)
    foreign = await db.write(lambda tx: arrive(tx, other.id, theirs, b"a@x"), inboxes=(other.id,))
    assert foreign.thread_id != reply  # never across inboxes


async def test_a_mark_is_found_by_its_hash_however_many_there_are(db: Database, runner: asyncio.Runner) -> None:
    inbox, sent_id, _ = await places(db)
    if db.dialect != "sqlite":
        return  # PostgreSQL's planner goes by statistics: on a table of few rows any plan is right
    binds = {"inbox": inbox, "mailbox": sent_id, "hash": 1, "hashes": "[1]", "since": NOW}
    for statement, key in ((sent._CLIENT, "hash=? AND mailbox_id=?"), (sent._AUTO, "hash=?")):
        explain = Stmt("EXPLAIN QUERY PLAN " + statement.for_sqlite().sql)
        plan = [row[3] for row in await db.read(lambda rx: rx.all(explain, **binds))]  # noqa: B023 - awaited here
        assert plan[0] == f"SEARCH s USING PRIMARY KEY (inbox_id=? AND {key})"
        assert "SEARCH m USING PRIMARY KEY (mailbox_id=? AND uid=?)" in plan
