"""kill -9 while changes of both sides go up and come down: once, and all of them."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path

from gateway.connectors.supervisor import Supervisor
from gateway.ingest.writer import Ingest
from gateway.store.db import Database
from tests.connectors.kit import Connected, all_mail, connected, options, upstream_mail
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS, living, same, two_way
from tests.support.soak import SOAK
from tests.support.upstream import DOVECOT, GMAIL, FakeUpstream, digest, example

KILLS = 25 if SOAK else 5
ALL, TRASH = "[Gmail]/All Mail", "[Gmail]/Trash"
ROOT = Path(__file__).resolve().parents[2]


async def test_nothing_is_lost_or_doubled(db: Database, url: str) -> None:
    chance = random.Random(3)
    async with two_way(db, DOVECOT, {"INBOX": 40, "Work": 5}) as (server, here, local):
        await stop_supervisor()  # the processes below take its place
        total = 45
        for _ in range(KILLS):
            total += await change(local, server, chance)
            await killed_after(server, url, chance.randrange(9, 22))
        await brought_to_rest(here)
        await same(here, server, "INBOX", "Work", "Drafts", "Trash")
        assert sum(sum(living(server, name).values()) for name in ("INBOX", "Work", "Drafts", "Trash")) == total


async def test_labels_that_are_changed_renamed_and_deleted(db: Database, url: str) -> None:
    """Gmail: each message once, under the labels that both sides gave it, whatever became of a label on the way."""
    chance = random.Random(5)
    async with (
        FakeUpstream(GMAIL) as server,
        connected(db, server, options(mode="two-way"), settings=SETTINGS) as here,
    ):
        for number in range(40):
            server.account.deliver(ALL, labels=[["\\Inbox"], ["\\Inbox", "Work0"], ["Gone0"], []][number % 4])
        await here.good_sync()
        local = Local(here)
        await stop_supervisor()
        total = 40
        for turn in range(KILLS):
            total += await relabel(local, server, chance, turn)
            await killed_after(server, url, chance.randrange(1, 14))
        await brought_to_rest(here)
        every, trash = (Counter(server.account.digests(raw)) for raw in (ALL, TRASH))
        assert sum((every + trash).values()) == total, "lost, or doubled"
        assert set((every + trash).values()) == {1}, "doubled"
        assert {name for name in server.account.mailboxes if name[:4] in ("Work", "Gone")} == {
            f"Work{KILLS}", f"Gone{KILLS}",
        }  # fmt: skip
        wanted = {"INBOX": "INBOX", "Trash": TRASH, f"Work{KILLS}": f"Work{KILLS}", f"Gone{KILLS}": f"Gone{KILLS}"}
        found = await all_mail(db, here.inbox.id)
        for name, raw in wanted.items():
            assert found[name] == upstream_mail(server, raw), name
        archived = Counter(
            (frozenset(one.mail.flags), digest(one.mail.octets))
            for one in server.account.mailbox(ALL).places.values()
            if not one.mail.labels - {"\\Starred", "\\Important"}
        )
        assert found["Archive"] == archived


async def relabel(local: Local, server: FakeUpstream, chance: random.Random, turn: int) -> int:
    """Labels on both sides, a mailbox renamed and one deleted; how many messages there are more."""
    work, gone, every = f"Work{turn}", f"Gone{turn}", server.account.mailbox(ALL).places
    some = chance.sample(await local.uids("INBOX"), 3)
    await local.move("INBOX", some[:1], work)
    await local.copy("INBOX", some[1:2], work)
    await local.flag("INBOX", some[2:], "add", "\\Seen")
    await local.rename(work, f"Work{turn + 1}")
    await local.delete(gone)
    await local.create(f"Gone{turn + 1}")
    await local.move("INBOX", some[2:], f"Gone{turn + 1}")
    await local.append(f"Work{turn + 1}", example())
    uid = chance.choice(list(every))
    server.account.set_labels(ALL, uid, every[uid].mail.labels | {"\\Inbox"})
    server.account.deliver(ALL, labels=["\\Inbox", "\\Important"])
    server.account.deliver(ALL, labels=["\\Inbox"])
    return 3


async def killed_after(server: FakeUpstream, url: str, more: int) -> None:
    """A process that syncs, until it has written so often."""
    wanted = len(server.writes()) + more
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.connectors.push_child", url, str(server.port), server.account.user,
        server.account.password, cwd=ROOT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        await server.until(lambda: len(server.writes()) >= wanted)
    process.kill()
    await process.wait()


async def brought_to_rest(here: Connected) -> None:
    here.supervisor = Supervisor(
        here.db, Ingest(here.db, now=time.time), here.given, SETTINGS, clock=time.time, chance=random.random
    )
    task = asyncio.get_running_loop().create_task(here.supervisor.run())
    for _ in range(4):
        await here.sync()
    await here.good_sync()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


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
