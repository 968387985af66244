"""A process that keeps one connector in sync until it is killed: `python -m tests.connectors.child URL PORT USER …`.

The last two words are the password and N: with N it makes that many syncs and ends with status 0, or 1 when one failed.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from dataclasses import replace

from gateway.connectors.supervisor import Supervisor
from gateway.ingest.writer import Ingest
from gateway.store.connectors import accounts
from gateway.store.db import StoreSettings, open_database
from tests.connectors.kit import QUICK, Given, options


async def main(url: str, port: int, user: str, password: str, syncs: int) -> int:
    db = open_database(url, StoreSettings())
    await db.start()
    wanted = options(push=not syncs, vanished="delete")
    supervisor = Supervisor(
        db, Ingest(db, now=time.time), Given(wanted, port, user, password), replace(QUICK, others_every=0.1),
        clock=time.time, chance=random.random,
    )  # fmt: skip
    task = asyncio.get_running_loop().create_task(supervisor.run())
    status = 0
    if syncs:
        (row,) = await db.read(accounts.page)
        supervisor.confirm(row.id)
        for _ in range(syncs):
            result = await supervisor.sync(row.id)
            if result is None or result.failure is not None:
                print(result, file=sys.stderr)
                status = 1
    else:
        await task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await db.close()
    return status


if __name__ == "__main__":
    address, port, user, password, *syncs = sys.argv[1:]
    sys.exit(asyncio.run(main(address, int(port), user, password, int(syncs[0]) if syncs else 0)))
