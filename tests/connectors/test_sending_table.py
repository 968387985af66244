"""The table of accounts that mail goes out through: kept up to date by what changed, however often states change."""

from __future__ import annotations

import asyncio
import random
import time

from gateway.app.sending_accounts import SendingAccounts
from gateway.connectors.gates import Gates
from gateway.connectors.options import Options, SmtpLeg
from gateway.connectors.plan.destination import DestinationLimits
from gateway.store.connectors import accounts
from gateway.store.connectors.rows import ConnectorRow
from gateway.store.db import Database
from tests.connectors.test_nodes import connectors, until


class Counting:
    """Stands where options are read from their text, which takes long beside clients."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def options(self, row: ConnectorRow) -> Options:
        self.read.append(row.id)
        return Options(smtp=SmtpLeg(host="smtp.elsewhere.test", enabled=True))


async def test_only_what_changed_is_read(db: Database) -> None:
    made = await connectors(db, 45)
    counting = Counting()
    gates = Gates(DestinationLimits(), random.random)
    table = SendingAccounts(db, counting, gates, clock=time.time)  # type: ignore[arg-type]
    stop = await table.start()
    task = asyncio.get_running_loop().create_task(table.run())
    try:
        assert sorted(counting.read) == [row.id for row in made]
        assert {account.id for account in table.table} == {row.id for row in made}
        counting.read.clear()
        await db.write(lambda tx: accounts.ask_sync(tx, made[3].id, now=5))  # wakes all who watch connectors
        await db.write(lambda tx: accounts.set_enabled(tx, made[7].id, False, now=5))
        await until(lambda: [one.id for one in table.table if one.paused] == [made[7].id])
        assert "gateway connector enable" in next(one.paused for one in table.table if one.paused)
        await db.write(lambda tx: accounts.set_enabled(tx, made[7].id, True, now=6))
        await until(lambda: not any(one.paused for one in table.table))
        assert set(counting.read) == {made[7].id}
    finally:
        stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
