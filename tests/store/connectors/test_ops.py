"""Operations upstream: planned once, begun with evidence, and never begun again without a look."""

from __future__ import annotations

import pytest

from gateway.model.errors import NotFound
from gateway.store.connectors import lease, ops
from gateway.store.connectors.ops import Op, OpState
from gateway.store.connectors.rows import Changed, LeaseLost, OpId
from gateway.store.db import Database, Tx
from tests.store.helpers import NOW

from .kit import Account, make_account


async def plan(account: Account, key: str, now: int = NOW, **facts: object) -> Op:
    found: Op = await account.write(
        lambda tx: ops.plan(tx, account.claim, key, "append", {"email": key, **facts}, now=now)
    )
    return found


async def test_planned_twice_is_one(db: Database) -> None:
    account = await make_account(db)
    first = await plan(account, "M1", size=5)
    assert await plan(account, "M1", size=9) == first
    other = await plan(account, "M2")
    assert [op.id for op in await db.read(lambda rx: ops.due(rx, account.row.id, NOW))] == [first.id, other.id]
    assert (first.state, first.payload, first.evidence) == (OpState.PLANNED, {"email": "M1", "size": 5}, None)


async def test_the_evidence_is_there_before_it_begins_and_after_a_crash(db: Database) -> None:
    account = await make_account(db)
    op = await plan(account, "M1")
    begun = await account.twice(lambda tx: ops.start(tx, account.claim, op.id, {"uidnext": 7}, now=NOW))
    assert (begun.state, begun.evidence, begun.epoch) == (OpState.STARTED, {"uidnext": 7}, account.claim.epoch)
    found = await db.read(lambda rx: ops.open_ops(rx, account.row.id))
    assert found == [begun]
    await account.twice(lambda tx: ops.finish(tx, account.claim, op.id, now=NOW))
    assert await db.read(lambda rx: ops.open_ops(rx, account.row.id)) == []
    assert [each.id for each in await db.read(lambda rx: ops.page(rx, account.row.id, OpState.DONE))] == [op.id]
    again = await plan(account, "M1")
    assert again.id != op.id


async def test_started_ones_come_in_their_turn(db: Database) -> None:
    account = await make_account(db)
    made = [await plan(account, f"M{number}") for number in range(4)]
    await account.write(lambda tx: ops.start(tx, account.claim, made[2].id, {}, now=NOW))
    found = await db.read(lambda rx: ops.due(rx, account.row.id, NOW))
    assert [op.id for op in found] == [op.id for op in made]


async def test_what_is_put_off_waits_and_an_unknown_outcome_stays_unknown(db: Database) -> None:
    account = await make_account(db)
    refused, lost = await plan(account, "M1"), await plan(account, "M2")

    def unit(tx: Tx) -> None:
        for op, not_done in ((refused, True), (lost, False)):
            ops.start(tx, account.claim, op.id, {"uidnext": 3}, now=NOW)
            ops.put_off(
                tx, account.claim, op.id, "throttled", "later", not_before=NOW + 60, not_done=not_done, now=NOW
            )

    await account.write(unit)
    found = {op.key: op for op in await db.read(lambda rx: ops.open_ops(rx, account.row.id))}
    assert (found["M1"].state, found["M2"].state) == (OpState.PLANNED, OpState.STARTED)
    assert (found["M2"].evidence, found["M2"].failure, found["M2"].attempts) == ({"uidnext": 3}, "throttled", 1)
    assert await db.read(lambda rx: ops.due(rx, account.row.id, NOW + 59)) == []
    assert len(await db.read(lambda rx: ops.due(rx, account.row.id, NOW + 60))) == 2
    assert await db.read(lambda rx: ops.next_due(rx, account.row.id)) == NOW + 60


async def test_an_end_is_an_end(db: Database) -> None:
    account = await make_account(db)
    op = await plan(account, "M1")
    await account.twice(lambda tx: ops.fail(tx, account.claim, op.id, "refused_command", "NO\x00", now=NOW))
    for late in (
        lambda tx: ops.finish(tx, account.claim, op.id, now=NOW),
        lambda tx: ops.start(tx, account.claim, op.id, {}, now=NOW),
        lambda tx: ops.put_off(tx, account.claim, op.id, "x", "y", not_before=0, not_done=True, now=NOW),
    ):
        with pytest.raises(Changed):
            await account.write(late)
    with pytest.raises(NotFound):
        await account.write(lambda tx: ops.finish(tx, account.claim, OpId(op.id + 9), now=NOW))
    found = await db.read(lambda rx: ops.get(rx, account.row.id, op.id))
    assert (found.state, found.failure, found.reason) == (OpState.FAILED, "refused_command", "NO\ufffd")


async def test_what_ended_long_ago_is_forgotten(db: Database) -> None:
    account = await make_account(db)
    old, new = await plan(account, "M1"), await plan(account, "M2")
    await account.write(lambda tx: ops.finish(tx, account.claim, old.id, now=NOW))
    await account.write(lambda tx: ops.finish(tx, account.claim, new.id, now=NOW + ops.KEEP_S))
    assert [op.id for op in await db.read(lambda rx: ops.page(rx, account.row.id, OpState.DONE))] == [new.id]


async def test_who_lost_the_lease_begins_nothing(db: Database) -> None:
    account = await make_account(db)
    op = await plan(account, "M1")
    await account.write(lambda tx: lease.release(tx, account.claim))
    for late in (
        lambda tx: ops.start(tx, account.claim, op.id, {}, now=NOW),
        lambda tx: ops.finish(tx, account.claim, op.id, now=NOW),
        lambda tx: ops.plan(tx, account.claim, "M2", "append", {}, now=NOW),
    ):
        with pytest.raises(LeaseLost):
            await account.write(late)
    assert (await db.read(lambda rx: ops.get(rx, account.row.id, op.id))).state is OpState.PLANNED
