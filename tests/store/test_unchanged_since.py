"""STORE with UNCHANGEDSINCE under many who want the same at once: one gets it (RFC 7162 3.1.3)."""

from __future__ import annotations

import asyncio

from gateway.model.flags import DELETED, FLAGGED, SEEN
from gateway.model.ids import InboxId, MailboxId
from gateway.store import changes, messages
from gateway.store.db import Database
from gateway.store.flags import FlagsStored

from .helpers import changed_by, mailbox_id, make_inbox, put


async def append(db: Database, mailbox: MailboxId, inbox_id: InboxId) -> int:
    """Its MODSEQ."""
    return await db.write(lambda tx: put(tx, inbox_id, mailbox).modseq)


async def test_of_many_at_once_one_wins(db: Database) -> None:
    inbox = await make_inbox(db)
    mailbox = await mailbox_id(db, inbox.id)
    for _ in range(3):
        last = await append(db, mailbox, inbox.id)
    since = last

    async def lock(number: int) -> FlagsStored:
        return await db.write(
            lambda tx: messages.store_flags(
                tx, inbox.id, mailbox, ((2, 2),), "add", 0, (f"$Lock{number}",), unchanged_since=since
            ),
            inboxes=(inbox.id,),
            quick=number % 2 == 0,
        )

    for _ in range(5):
        made = await asyncio.gather(*map(lock, range(20)))
        winners = [stored for stored in made if stored.count]
        assert len(winners) == 1
        assert winners[0].modseq is not None
        assert all(stored.refused == [(2, winners[0].modseq)] for stored in made if not stored.count)
        rows = await db.read(lambda rx: messages.load(rx, mailbox))
        assert [modseq for _, _, modseq in rows] == [last - 2, winners[0].modseq, last]
        cleared = await db.write(
            lambda tx: messages.store_flags(tx, inbox.id, mailbox, ((2, 2),), "set", 0), inboxes=(inbox.id,)
        )
        assert cleared.modseq is not None
        since = cleared.modseq


async def test_what_is_refused_is_left_as_it_is(db: Database) -> None:
    inbox = await make_inbox(db)
    mailbox = await mailbox_id(db, inbox.id)
    modseqs = [await append(db, mailbox, inbox.id) for _ in range(4)]

    async def store(flags: int, since: int | None) -> FlagsStored:
        return await db.write(
            lambda tx: messages.store_flags(
                tx, inbox.id, mailbox, ((1, 2), (4, 9)), "set", flags, unchanged_since=since
            ),
            inboxes=(inbox.id,),
        )

    stored = await store(SEEN, modseqs[1])
    assert await changed_by(db, mailbox, stored) == [(1, SEEN), (2, SEEN)]
    assert stored.refused == [(4, modseqs[3])]
    assert await store(FLAGGED, 0) == FlagsStored(
        since=modseqs[3] + 1, refused=[(1, modseqs[3] + 1), (2, modseqs[3] + 1), (4, modseqs[3])]
    )
    assert await changed_by(db, mailbox, await store(SEEN, modseqs[3] + 1)) == [(4, SEEN)]
    assert await changed_by(db, mailbox, await store(DELETED, None)) == [(1, DELETED), (2, DELETED), (4, DELETED)]
    rows = await db.read(lambda rx: messages.load(rx, mailbox))
    assert [mask for _, mask, _ in rows] == [DELETED, DELETED, 0, DELETED]


async def test_expunges_between_two_modseqs(db: Database) -> None:
    inbox = await make_inbox(db)
    mailbox = await mailbox_id(db, inbox.id)
    for _ in range(6):
        await append(db, mailbox, inbox.id)
    at = []
    for uids in ([2], [1, 3], [6]):
        done = await db.write(
            lambda tx, uids=uids: messages.expunge(tx, inbox.id, mailbox, uids, only_deleted=False, now=1),  # type: ignore[misc]
            inboxes=(inbox.id,),
        )
        assert done.modseq is not None
        at.append(done.modseq)

    async def between(since: int, upto: int, **most: int) -> object:
        return await db.read(lambda rx: changes.expunged_between(rx, inbox.id, mailbox, since, upto, **most))

    assert await between(0, at[2]) == ((1, 3), (6, 6))
    assert await between(at[0], at[2]) == ((1, 1), (3, 3), (6, 6))
    assert await between(at[0], at[1]) == ((1, 1), (3, 3))
    assert await between(at[2], at[2]) == ()
    assert await between(at[0], at[2], most=2) == ((1, 1), (3, 3), (6, 6))
    assert await between(0, at[2], most=2) is None
