"""A reset repairs what the check complains about, forgets nothing and doubles nothing."""

from __future__ import annotations

import pytest

from gateway.model.errors import NotFound
from gateway.store.check import check
from gateway.store.connectors import accounts, lease, poison, remap, reset, state
from gateway.store.connectors.rows import ConnectorId, ConnectorState, LeaseLost
from gateway.store.connectors.window import Cursor
from gateway.store.db import Database
from gateway.store.statements import Stmt
from tests.store.helpers import NOW

from .kit import LIFE, NODE, VALIDITY, Account, arrival, make_account


async def run(account: Account) -> int:
    after: int | None = 0
    units = 0
    while after is not None:
        at = after
        after = await account.write(lambda tx, at=at: reset.reset(tx, account.row.id, at, now=NOW))
        units += 1
    return units


async def test_everything_is_compared_anew_and_nothing_comes_twice(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    window = [arrival(uid, box) for uid in (1, 2, 3)]
    await account.bring(folder, window, Cursor(uidnext=4, backfill_low=1, phase="live"))
    await account.write(
        lambda tx: poison.note(tx, account.claim, folder.id, VALIDITY, 9, "NIL", next_try=NOW + 999, now=NOW)
    )
    await account.write(
        lambda tx: state.failed(
            tx, account.claim, ConnectorState.QUARANTINED, "protocol", "x", not_before=NOW + 999, now=NOW
        )
    )
    await db.write(lambda tx: tx.run(Stmt("UPDATE remote_folder SET live = 17, modseq_ok = 0, resets = 5")))
    await db.write(lambda tx: tx.run(Stmt("DELETE FROM remote_message WHERE uid = 2")))
    assert {finding.code for finding in await db.read(check)} == {"folder.live", "place.message"}
    assert await run(account) == 2
    assert await db.read(check) == []
    row = await db.read(lambda rx: accounts.get(rx, account.row.id))
    assert (row.state, row.failures, row.failure, row.not_before) == (ConnectorState.NEW, 0, None, 0)
    after = await account.get(folder.id)
    assert (after.uidvalidity, after.uidnext, after.backfill_low, after.phase) == (VALIDITY, 4, 4, "backfill")
    assert (after.live, after.modseq_ok, after.resets, after.highest_modseq) == (3, True, 0, None)
    assert [each.next_try for each in await db.read(lambda rx: poison.page(rx, folder.id, VALIDITY))] == [0]
    with pytest.raises(LeaseLost):
        await account.bring(folder, window)
    claim = await db.write(lambda tx: lease.claim_one(tx, account.row.id, NODE, LIFE, NOW))
    assert claim is not None
    account.claim = claim
    made = await account.bring(folder, window)
    assert made.known == (1, 2, 3)
    assert len(await account.mail()) == 3


async def test_what_is_under_way_or_new_stays_so(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    await account.write(
        lambda tx: remap.begin(tx, account.claim, folder.id, uidvalidity=9, uidnext=5, modseq=None, now=NOW)
    )
    await db.write(
        lambda tx: tx.run(
            Stmt("INSERT INTO remote_folder (connector_id, raw, name, created_at, updated_at)"
                 " VALUES (:connector, :raw, 'x', 1, 1)"), connector=account.row.id, raw=b"x",
        )
    )  # fmt: skip
    assert await run(account) == 3
    assert [(each.phase, each.uidvalidity) for each in await account.folders()] == [("remap", 9), ("new", None)]
    with pytest.raises(NotFound):
        await db.write(lambda tx: reset.reset(tx, ConnectorId(account.row.id + 9), now=NOW))
