"""Leases: nobody works twice on one connector, and who lost it writes nothing, however late he wakes up."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model.errors import NotFound
from gateway.model.ids import InboxId
from gateway.store.connectors import accounts, lease
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.rows import Claim, ConnectorId, LeaseLost
from gateway.store.db import Database, Tx, open_database
from gateway.store.inboxes import delete_inbox, undelete_inbox
from gateway.store.statements import Stmt
from tests.store.helpers import NOW, make_inbox

from .kit import VALIDITY, arrival, make_account

WRITTEN = Stmt(sqlite="SELECT total_changes()")
FREEZE = Stmt("UPDATE node SET alive_until = 0 WHERE node_id = :node")


async def many(db: Database, count: int) -> list[ConnectorId]:
    inbox = await make_inbox(db)

    def unit(tx: Tx) -> list[ConnectorId]:
        return [
            accounts.create(tx, NewConnector(inbox.pod_id, f"c{n}", f"c{n}@e.test", inbox_id=inbox.id), now=NOW).id
            for n in range(count)
        ]

    return await db.write(unit)


async def take(db: Database, node: str, most: int, life: str = "1") -> list[Claim]:
    return await db.write(lambda tx: lease.claim(tx, node, life, most, NOW))


async def join(db: Database, node: str, life: str = "1", ttl_s: int = lease.TTL_S) -> None:
    """One of several nodes, on SQLite too."""
    await db.write(lambda tx: lease.join(tx, node, life, NOW, ttl_s))


async def holds(db: Database, claim: Claim) -> bool:
    try:
        await db.write(lambda tx: lease.fence(tx, claim, NOW), inboxes=(claim.inbox_id,))
    except LeaseLost:
        return False
    return True


async def test_a_claim_takes_what_nobody_alive_has(db: Database) -> None:
    ids = await many(db, 5)
    await join(db, "a")
    await join(db, "b")
    first, second = await take(db, "a", 3), await take(db, "b", 9)
    assert [claim.connector_id for claim in (*first, *second)] == ids
    assert {claim.epoch for claim in (*first, *second)} == {1}
    assert await take(db, "a", 9) == []
    assert await db.read(lambda rx: lease.held(rx, "a", "1")) == first
    assert all([await holds(db, claim) for claim in (*first, *second)])


async def test_a_node_that_is_not_alive_claims_nothing(db: Database) -> None:
    ids = await many(db, 1)
    with pytest.raises(LeaseLost):
        await take(db, "a", 1)
    await join(db, "a", ttl_s=0)
    with pytest.raises(LeaseLost):
        await take(db, "a", 1)
    with pytest.raises(LeaseLost):
        await db.write(lambda tx: lease.claim_one(tx, ids[0], "a", "1", NOW))


async def test_a_frozen_nodes_late_write_is_refused(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await db.write(lambda tx: tx.run(FREEZE, node=account.claim.node_id))
    assert not await holds(db, account.claim)  # dead, though nobody took its place yet
    await join(db, "other")
    stolen = await take(db, "other", 9)
    assert [claim.connector_id for claim in stolen] == [account.row.id]
    with pytest.raises(LeaseLost):
        await account.bring(folder, [arrival(1, box)])
    # It wakes up: its heartbeat revives the row, and its claim is as lost as before.
    await db.write(lambda tx: lease.heartbeat(tx, account.claim.node_id, account.claim.incarnation, NOW))
    with pytest.raises(LeaseLost):
        await account.bring(folder, [arrival(1, box)])
    assert await account.mail() == {}
    account.claim = stolen[0]
    await account.bring(folder, [arrival(1, box)])
    assert len(await account.mail()) == 1
    assert (await account.get(folder.id)).uidvalidity == VALIDITY


async def test_a_restarted_node_is_another_one(db: Database) -> None:
    await many(db, 2)
    await join(db, "a", "first")
    before = await take(db, "a", 9, "first")
    await join(db, "a", "second")
    with pytest.raises(LeaseLost):
        await db.write(lambda tx: lease.heartbeat(tx, "a", "first", NOW))
    assert [await holds(db, claim) for claim in before] == [False, False]
    after = await take(db, "a", 9, "second")
    assert [(claim.connector_id, claim.epoch) for claim in after] == [(claim.connector_id, 2) for claim in before]
    assert not await db.write(lambda tx: lease.release(tx, before[0]))
    assert await holds(db, after[0])


def beat(tx: Tx, claim: Claim, now: int) -> int:
    """How many rows a heartbeat writes."""
    before = tx.scalar(WRITTEN)
    lease.heartbeat(tx, claim.node_id, claim.incarnation, now)
    return int(tx.scalar(WRITTEN) - before)


async def test_who_has_the_store_alone_needs_no_clock(sqlite_url: str, runner: asyncio.Runner) -> None:
    db = open_database(sqlite_url)
    await db.start()
    try:
        account = await make_account(db)
        much_later = NOW + 10 * 365 * 86_400
        for now in (much_later, NOW - 1_000):
            await account.write(lambda tx, now=now: lease.fence(tx, account.claim, now))
            assert await db.write(lambda tx, now=now: beat(tx, account.claim, now)) == 0
        await db.write(lambda tx: lease.join(tx, "another name", "next", NOW))
        assert not await holds(db, account.claim)
        assert len(await take(db, "another name", 9, "next")) == 1
    finally:
        await db.close()


async def test_what_is_given_back_is_anybodys_from_then_on(db: Database) -> None:
    await many(db, 2)
    await join(db, "a")
    await join(db, "b")
    one, two = await take(db, "a", 9)
    assert await db.write(lambda tx: lease.release(tx, one))
    assert await db.write(lambda tx: lease.release(tx, two, not_before=NOW + 60))
    assert not await db.write(lambda tx: lease.release(tx, two))
    assert [claim.connector_id for claim in await take(db, "b", 9)] == [one.connector_id]
    assert await db.read(lambda rx: lease.next_due(rx, NOW)) == NOW + 60
    assert await db.write(lambda tx: lease.leave(tx, "b", "1")) == 1
    assert [node.node_id for node in await db.read(lambda rx: lease.nodes(rx, NOW))] == ["a"]
    assert [claim.connector_id for claim in await take(db, "a", 9)] == [one.connector_id]


async def test_an_earlier_claim_of_the_same_life_is_lost_too(db: Database) -> None:
    await many(db, 1)
    await join(db, "a")
    first = (await take(db, "a", 1))[0]
    await db.write(lambda tx: lease.release(tx, first))
    second = (await take(db, "a", 1))[0]
    assert second.epoch > first.epoch
    assert [await holds(db, claim) for claim in (first, second)] == [False, True]


async def test_one_that_somebody_asked_for(db: Database) -> None:
    ids = await many(db, 1)
    await join(db, "a")
    await join(db, "b")

    async def one(node: str) -> Claim | None:
        return await db.write(lambda tx: lease.claim_one(tx, ids[0], node, "1", NOW))

    mine = await one("a")
    assert mine is not None
    assert await one("b") is None
    await db.write(lambda tx: lease.release(tx, mine, not_before=NOW + 999))
    assert await one("b") is not None  # it is not due, and he asked
    assert await db.read(lambda rx: lease.inbox_of(rx, ids[0])) == mine.inbox_id
    with pytest.raises(NotFound):
        await db.read(lambda rx: lease.inbox_of(rx, ConnectorId(ids[0] + 9)))


async def test_shares(db: Database) -> None:
    await many(db, 12)
    await join(db, "a")
    await take(db, "a", 12)
    assert await db.read(lambda rx: lease.excess(rx, "a", "1", NOW)) == 0
    await join(db, "b")
    assert await db.read(lambda rx: lease.excess(rx, "a", "1", NOW)) == 12 - 6 - 1
    assert await db.read(lambda rx: lease.excess(rx, "b", "1", NOW)) == 0
    await join(db, "c", ttl_s=0)  # the dead have no share
    assert await db.read(lambda rx: lease.excess(rx, "a", "1", NOW)) == 5


async def test_dead_nodes_are_forgotten_when_they_own_nothing(db: Database) -> None:
    await many(db, 1)
    await join(db, "a")
    await join(db, "b")
    await take(db, "a", 1)
    for node in "ab":
        await db.write(lambda tx, node=node: tx.run(FREEZE, node=node))
    assert await db.write(lambda tx: lease.forget_nodes(tx, NOW)) == 1
    assert [(node.node_id, node.alive) for node in await db.read(lambda rx: lease.nodes(rx, NOW))] == [("a", False)]


async def test_nobody_works_for_a_deleted_inbox(db: Database) -> None:
    account = await make_account(db)
    await account.write(lambda tx: delete_inbox(tx, account.inbox.id, NOW))
    assert not await holds(db, account.claim)
    assert await take(db, account.claim.node_id, 9, account.claim.incarnation) == []
    await account.write(lambda tx: undelete_inbox(tx, account.inbox.id))
    again = await take(db, account.claim.node_id, 9, account.claim.incarnation)
    assert [claim.connector_id for claim in again] == [account.row.id]


async def test_two_nodes_share_connectors_without_overlap(postgresql_url: str, runner: asyncio.Runner) -> None:
    one, two = open_database(postgresql_url), open_database(postgresql_url)
    await one.start()
    await two.start()
    try:
        ids = await many(one, 300)
        await join(one, "a")
        await join(two, "b")
        taken: dict[str, list[Claim]] = {"a": [], "b": []}

        async def work(db: Database, node: str) -> None:
            while claims := await take(db, node, 7):
                taken[node] += claims

        await asyncio.gather(*(work(db, node) for db, node in ((one, "a"), (two, "b"), (one, "a"), (two, "b"))))
        mine, theirs = ({claim.connector_id for claim in taken[node]} for node in "ab")
        assert mine | theirs == set(ids)
        assert not mine & theirs
        assert sum(map(len, taken.values())) == len(ids)
        # One of them freezes: the other one takes everything over, and the late writes are refused.
        await two.write(lambda tx: tx.run(FREEZE, node="a"))
        stolen = await take(two, "b", 999)
        assert {claim.connector_id for claim in stolen} == mine
        await one.write(lambda tx: lease.heartbeat(tx, "a", "1", NOW))
        assert not any([await holds(one, claim) for claim in taken["a"][:20]])
        assert all([await holds(two, claim) for claim in (*stolen[:20], *taken["b"][:20])])
    finally:
        await one.close()
        await two.close()


async def test_a_fence_holds_to_the_commit(postgresql_url: str, runner: asyncio.Runner) -> None:
    """Who asks for the connector while an import of it commits waits, and then owns what was imported."""
    one, two = open_database(postgresql_url), open_database(postgresql_url)
    await one.start()
    await two.start()
    try:
        await many(one, 1)
        await join(one, "a")
        await join(two, "b")
        claim = (await take(one, "a", 1))[0]
        entered, leave = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(tx: Tx) -> None:
            lease.fence(tx, claim, NOW)
            loop.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(leave.wait(), loop).result()

        writing = asyncio.create_task(one.write(slow, inboxes=(InboxId(claim.inbox_id),)))
        await entered.wait()
        await two.write(lambda tx: tx.run(FREEZE, node="a"))
        assert await take(two, "b", 9) == []  # SKIP LOCKED: the import holds it
        leave.set()
        await writing
        assert [each.connector_id for each in await take(two, "b", 9)] == [claim.connector_id]
        assert not await holds(one, claim)
    finally:
        await one.close()
        await two.close()
