"""A process that syncs one connector both ways until it is killed: `python -m tests.connectors.push_child URL PORT …`.

The other words are the user and the password.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

from gateway.connectors.supervisor import Supervisor
from gateway.ingest.writer import Ingest
from gateway.store.connectors import accounts
from gateway.store.db import StoreSettings, open_database
from tests.connectors.kit import Given, options
from tests.connectors.push_kit import SETTINGS


async def main(url: str, port: int, user: str, password: str) -> None:
    db = open_database(url, StoreSettings())
    await db.start()
    given = Given(options(mode="two-way"), port, user, password)
    supervisor = Supervisor(db, Ingest(db, now=time.time), given, SETTINGS, clock=time.time, chance=random.random)
    task = asyncio.get_running_loop().create_task(supervisor.run())
    (row,) = await db.read(accounts.page)
    while not task.done():
        await supervisor.sync(row.id)


if __name__ == "__main__":
    address, port, user, password = sys.argv[1:]
    asyncio.run(main(address, int(port), user, password))
