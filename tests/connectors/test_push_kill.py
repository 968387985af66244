"""kill -9 while changes of both sides go up and come down: once, and all of them."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

from gateway.connectors.supervisor import Supervisor
from gateway.ingest.writer import Ingest
from gateway.store.db import Database
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS, living, same, two_way
from tests.support.soak import SOAK
from tests.support.upstream import DOVECOT, FakeUpstream, example

KILLS = 25 if SOAK else 5
ROOT = Path(__file__).resolve().parents[2]


async def test_nothing_is_lost_or_doubled(db: Database, url: str) -> None:
    chance = random.Random(3)
    async with two_way(db, DOVECOT, {"INBOX": 40, "Work": 5}) as (server, here, local):
        await stop_supervisor()  # the processes below take its place
        total = 45
        for _ in range(KILLS):
            total += await change(local, server, chance)
            writes = len(server.writes())
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.connectors.push_child", url, str(server.port), server.account.user,
                server.account.password, cwd=ROOT,
            )  # fmt: skip
            wanted = writes + chance.randrange(9, 22)
            async with asyncio.timeout(60):
                await server.until(lambda wanted=wanted: len(server.writes()) >= wanted)  # type: ignore[misc]
            process.kill()
            await process.wait()
        here.supervisor = Supervisor(
            db, Ingest(db, now=time.time), here.given, SETTINGS, clock=time.time, chance=random.random
        )
        task = asyncio.get_running_loop().create_task(here.supervisor.run())
        for _ in range(4):
            await here.sync()
        await here.good_sync()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await same(here, server, "INBOX", "Work", "Drafts", "Trash")
        assert sum(sum(living(server, name).values()) for name in ("INBOX", "Work", "Drafts", "Trash")) == total


async def stop_supervisor() -> None:
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "Supervisor.run":
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def change(local: Local, server: FakeUpstream, chance: random.Random) -> int:
    """Some of each; how many messages there are more."""
    uids = await local.uids("INBOX")
    some = chance.sample(uids, 6)
    await local.move("INBOX", some[:2], "Work")
    await local.expunge("INBOX", some[2:3])
    await local.flag("INBOX", some[3:], "add", chance.choice(["\\Seen", "\\Flagged", "work"]))
    await local.append("Drafts", example())
    server.account.deliver_many(2)
    server.account.add_flags("INBOX", chance.choice(server.account.mailbox("INBOX").uids), "\\Answered")
    return 3
