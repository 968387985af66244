"""`flag_sync`: units that are answered before their flush, which comes soon, and covers only them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.model.errors import Unavailable
from gateway.store import counters
from gateway.store.db import Database, StoreSettings, Tx, open_database
from gateway.store.sqlite_writer import Writer
from gateway.store.statements import Stmt
from tests.store.faulty import IDS, SMALL, Faulty, committed, faulty_writer, put
from tests.store.helpers import make_inbox, until

FLUSH = "INSERT INTO meta"


def told(faulty: Faulty) -> list[str]:
    """What the writer does from now on, as words: how COMMIT flushes, and the unit that only flushes."""
    words: list[str] = []

    def note(sql: str) -> bool:
        if sql.startswith("PRAGMA synchronous"):
            words.append(sql.rpartition("=")[2])
        elif sql == "COMMIT":
            words.append("commit")
        elif sql.startswith(FLUSH):
            words.append("flush")
        return False

    faulty.fail = note
    return words


async def test_a_relaxed_unit_is_answered_without_a_flush_and_flushed_soon(
    sqlite_url: str, runner: asyncio.Runner
) -> None:
    async with faulty_writer(sqlite_url, checkpoint_pages=1000, flag_sync_seconds=0.02) as (faulty, writer):
        words = told(faulty)
        assert await writer.submit(put(1, SMALL), 0, quick=True, relaxed=True) == 1
        assert words == ["NORMAL", "commit"]
        assert committed(sqlite_url) == [1]  # others see it at once
        await until(lambda: words[2:] == ["FULL", "flush", "commit"])
        assert words[2:] == ["FULL", "flush", "commit"]
        await writer.submit(put(2, SMALL), 0, quick=True)
        assert words[5:] == ["commit"]


async def test_a_durable_unit_flushes_what_relaxed_ones_wrote(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url, checkpoint_pages=1000, flag_sync_seconds=0.02) as (faulty, writer):
        words = told(faulty)
        await asyncio.gather(*(writer.submit(put(n, SMALL), 0, quick=True, relaxed=True) for n in range(50)))
        await writer.submit(put(50, SMALL), 0)
        await asyncio.sleep(0.1)  # five times flag_sync: a flush that was still owed would have come
        groups = [word for word, before in zip(words, ["", *words], strict=False) if word != before]
        assert groups == ["NORMAL", "commit", "FULL", "commit"]  # and no further flush was owed


async def test_a_group_that_holds_a_durable_unit_is_durable(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url, checkpoint_pages=1000, flag_sync_seconds=60) as (faulty, writer):
        words = told(faulty)
        # The first one waits for the thread, and so the others for it.
        units = [writer.submit(put(n, SMALL), 0, quick=n > 0, relaxed=n % 2 == 1) for n in range(6)]
        assert await asyncio.gather(*units) == list(range(6))
        assert words == ["commit"]


async def test_without_the_setting_nothing_is_relaxed(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url) as (faulty, writer):
        words = told(faulty)
        await writer.submit(put(1, SMALL), 0, quick=True, relaxed=True)
        assert "NORMAL" not in words


@pytest.mark.parametrize("quick", [False, True])
async def test_a_relaxed_commit_that_fails_for_space_is_tried_again(
    sqlite_url: str, runner: asyncio.Runner, quick: bool
) -> None:
    async with faulty_writer(sqlite_url, checkpoint_pages=1000, flag_sync_seconds=60) as (faulty, writer):
        faulty.error_code = 13  # SQLITE_FULL
        commits: list[str] = []
        async with _held(writer):
            units = [writer.submit(put(n, SMALL), 0, quick=quick, relaxed=True) for n in (1, 2, 3)]
            faulty.fail = _once(commits, "PRAGMA synchronous=NORMAL", "COMMIT")
        assert await asyncio.gather(*units) == [1, 2, 3]
        assert writer.broken is None
        assert len(commits) == 3 + 1
    assert committed(sqlite_url) == [1, 2, 3]


def _once(seen: list[str], after: str, wanted: str) -> Callable[[str], bool]:
    """The first `wanted` fails that comes after `after`."""
    begun: list[str] = []

    def fails(sql: str) -> bool:
        if sql == after:
            begun.append(sql)
        elif sql == wanted and begun:
            seen.append(sql)
            return len(seen) == 1
        return False

    return fails


@asynccontextmanager
async def _held(writer: Writer) -> AsyncIterator[None]:
    """What is submitted within waits for a full group in the thread, so it becomes a group of its own."""
    begun, loop, go = asyncio.Event(), asyncio.get_running_loop(), threading.Event()

    def unit(tx: Tx) -> None:
        loop.call_soon_threadsafe(begun.set)
        go.wait()

    first = writer.submit(unit, StoreSettings().group_octets)
    await begun.wait()
    try:
        yield
    finally:
        go.set()
    await first


async def test_what_needs_no_flush_is_done_before_its_caller_waits(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url, checkpoint_pages=1000, flag_sync_seconds=60) as (faulty, writer):
        words = told(faulty)
        relaxed = writer.submit(put(1, SMALL), 0, quick=True, relaxed=True)
        assert relaxed.done()
        reading = writer.submit(lambda tx: tx.scalar(IDS), 0, quick=True)  # durable, and writes nothing
        assert (reading.done(), reading.result()) == (True, 1)
        assert words == ["NORMAL", "commit", "FULL", "commit"]
        assert writer._owed  # what the first one wrote has not been flushed by the second
        durable = writer.submit(put(2, SMALL), 0, quick=True)
        assert not durable.done()
        await durable
        assert not writer._owed


async def test_the_log_of_relaxed_units_is_copied_in_time(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url, checkpoint_pages=10, flag_sync_seconds=60) as (faulty, writer):
        copied: list[str] = []

        def note(sql: str) -> bool:
            if "(PASSIVE)" in sql:
                copied.append(sql)
            return False

        faulty.fail = note
        with capture_logs() as logged:
            for number in range(40):
                await writer.submit(put(number, SMALL), 0, quick=True, relaxed=True)
        assert copied
        assert logged == []


async def test_a_failed_flush_makes_the_store_read_only(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url, checkpoint_pages=1000, flag_sync_seconds=0.01) as (faulty, writer):
        await writer.submit(put(1, SMALL), 0, quick=True, relaxed=True)
        faulty.fail = lambda sql: sql == "COMMIT"
        await until(lambda: writer.broken is not None)
        faulty.fail = lambda sql: False
        with pytest.raises(Unavailable, match="read-only"):
            await writer.submit(put(2, SMALL), 0, quick=True, relaxed=True)


async def test_on_both_engines_a_relaxed_unit_is_seen_by_who_reads_next(url: str, runner: asyncio.Runner) -> None:
    database = open_database(url, StoreSettings(flag_sync_seconds=0.05))
    await database.start()
    try:
        inbox = await make_inbox(database)
        for relaxed in (True, False, True):
            await database.write(lambda tx: tx.run(_COUNT), inboxes=(inbox.id,), quick=True, relaxed=relaxed)
        assert await database.read(lambda rx: rx.scalar(_COUNTED)) == "3"
    finally:
        await database.close()


_COUNT = Stmt(
    "INSERT INTO meta (key, value) VALUES ('counted', '1')"
    " ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS INTEGER) + 1 AS TEXT)"
)
_COUNTED = Stmt("SELECT value FROM meta WHERE key = 'counted'")


async def test_after_a_relaxed_run_no_modseq_is_given_twice(db: Database) -> None:
    inbox = await make_inbox(db)

    def modseq(rx: Any) -> int:
        found: int = rx.scalar(Stmt("SELECT modseq FROM inbox WHERE id = :inbox"), inbox=inbox.id)
        return found

    before = await db.read(modseq)
    await db.write(lambda tx: counters.begin_relaxed(tx, False))
    await db.write(lambda tx: counters.begin_relaxed(tx, True))
    assert await db.read(modseq) == before, "no run had relaxed units before"
    await db.write(lambda tx: counters.begin_relaxed(tx, False))
    skipped = await db.read(modseq)
    assert skipped > before
    await db.write(lambda tx: counters.begin_relaxed(tx, False))
    assert await db.read(modseq) == skipped


async def test_a_staged_unit_is_not_flushed_and_owes_no_flush_of_its_own(
    sqlite_url: str, runner: asyncio.Runner
) -> None:
    async with faulty_writer(sqlite_url, checkpoint_pages=1000, flag_sync_seconds=0.02) as (faulty, writer):
        words = told(faulty)
        for number in range(3):
            await writer.submit(put(number, SMALL), 0, staged=True)
        await asyncio.sleep(0.1)  # five times flag_sync: a flush that was owed would have come
        assert words == ["NORMAL", "commit", "commit", "commit"]
        await writer.submit(put(3, SMALL), 0)  # what makes them whole
        assert words[4:] == ["FULL", "commit"]


async def test_a_relaxed_unit_beside_staged_ones_is_flushed_soon(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url, checkpoint_pages=1000, flag_sync_seconds=0.02) as (faulty, writer):
        words = told(faulty)
        await writer.submit(put(1, SMALL), 0, quick=True, relaxed=True)
        await writer.submit(put(2, SMALL), 0, staged=True)
        await until(lambda: words[-1] == "commit" and "flush" in words)
        assert words == ["NORMAL", "commit", "commit", "FULL", "flush", "commit"]
