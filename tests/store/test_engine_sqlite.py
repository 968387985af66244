"""The SQLite writer's traps: a full disk, a failed flush, a growing write-ahead log, an SQLite that loses commits."""

from __future__ import annotations

import asyncio
import os
import threading
from types import ModuleType

import pytest

from gateway.model.errors import ConfigError, InvalidRequest, Unavailable
from gateway.store import driver
from gateway.store.db import Database, Rx, Tx
from gateway.store.sqlite import connect
from gateway.store.statements import Stmt
from tests.store.faulty import BIG, IDS, PUT, SMALL, committed, faulty_writer, opened, path_of, put


async def limit_pages(db: Database, extra: int | None) -> None:
    """A full disk, `extra` pages from now; None: space returned."""

    def unit(tx: Tx) -> None:
        pages = tx.scalar(Stmt("PRAGMA page_count"))
        tx.scalar(Stmt(f"PRAGMA max_page_count = {pages + extra if extra is not None else 1_000_000_000}"))

    await db.write(unit)


async def stored(db: Database) -> list[int]:
    return [row[0] for row in await db.read(lambda rx: rx.all(IDS))]


async def test_a_full_disk_fails_who_does_not_fit_and_nobody_else(sqlite_url: str, runner: asyncio.Runner) -> None:
    """SQLITE_FULL rolls the whole group back: whoever was acknowledged must be there, whoever was not must not."""
    async with opened(sqlite_url) as db:
        await limit_pages(db, 100)
        sizes = [SMALL, SMALL, BIG, SMALL, BIG, SMALL]
        results = await asyncio.gather(
            *(db.write(put(number, size)) for number, size in enumerate(sizes)), return_exceptions=True
        )
        acknowledged = [result for result in results if isinstance(result, int)]
        assert acknowledged == [0, 1, 3, 5]
        assert [type(results[number]) for number in (2, 4)] == [Unavailable, Unavailable]
        assert await stored(db) == acknowledged
        await limit_pages(db, None)
        assert await db.write(put(2, BIG)) == 2  # service resumes by itself


async def test_a_unit_that_hides_the_full_disk_commits_nothing(sqlite_url: str, runner: asyncio.Runner) -> None:
    """After the automatic rollback the next statement would open a transaction of its own and commit it."""

    def hiding(tx: Tx) -> str:
        tx.do(PUT, id=10, octets=b"before")
        with pytest.raises(Exception, match="full"):
            tx.do(PUT, id=11, octets=b"x" * BIG)
        with pytest.raises(Unavailable):
            tx.do(PUT, id=12, octets=b"after")
        return "all well"

    async with opened(sqlite_url) as db:
        await limit_pages(db, 100)
        results = await asyncio.gather(
            db.write(put(1, SMALL)), db.write(hiding), db.write(put(2, SMALL)), return_exceptions=True
        )
        assert [results[0], type(results[1]), results[2]] == [1, Unavailable, 2]
        assert await stored(db) == [1, 2]


async def test_reading_goes_on_while_the_disk_is_full(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with opened(sqlite_url) as db:
        await db.write(put(1, SMALL))
        await limit_pages(db, 0)
        for number in range(2, 6):
            with pytest.raises(Unavailable):
                await db.write(put(number, BIG))
            assert await stored(db) == [1]
        assert db.writable


async def test_a_failed_flush_makes_the_store_read_only(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url) as (faulty, writer):
        assert await writer.submit(put(1, SMALL), 0) == 1
        faulty.fail = lambda sql: sql == "COMMIT"
        results = await asyncio.gather(*(writer.submit(put(n, SMALL), 0) for n in (2, 3)), return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable, Unavailable]
        faulty.fail = lambda sql: False
        with pytest.raises(Unavailable, match="read-only"):  # the kernel may have dropped the pages: no second try
            await writer.submit(put(4, SMALL), 0)
        assert writer.broken is not None
    assert committed(sqlite_url) == [1]


async def test_a_failed_checkpoint_is_not_ignored(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url) as (faulty, writer):
        faulty.fail = lambda sql: "PASSIVE" in sql
        assert await writer.submit(put(1, SMALL), 0) == 1  # its own commit was flushed
        with pytest.raises(Unavailable, match="read-only"):
            await writer.submit(put(2, SMALL), 0)
    assert committed(sqlite_url) == [1]


async def test_a_commit_that_fails_for_space_is_tried_unit_by_unit(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with faulty_writer(sqlite_url) as (faulty, writer):
        faulty.error_code = 13  # SQLITE_FULL
        commits: list[str] = []

        def first_commit(sql: str) -> bool:
            if sql == "COMMIT":
                commits.append(sql)
            return sql == "COMMIT" and len(commits) == 1

        hold = threading.Event()
        blocker = writer.submit(lambda tx: hold.wait(10), 0)  # all of the rest wait behind it: one group
        faulty.fail = first_commit
        waiting = [writer.submit(put(number, SMALL), 0) for number in (1, 2, 3)]
        hold.set()
        assert await asyncio.gather(blocker, *waiting) == [True, 1, 2, 3]
        assert len(commits) > 1
        assert writer.broken is None
    assert committed(sqlite_url) == [1, 2, 3]


async def test_group_bounds_hold(sqlite_url: str, runner: asyncio.Runner) -> None:
    """A group ends at its octets: a unit behind the bound is not rolled back with it."""
    async with faulty_writer(sqlite_url) as (faulty, writer):
        begins: list[str] = []
        faulty.fail = lambda sql: bool(begins.append(sql)) if sql.startswith("BEGIN") else False
        hold = threading.Event()
        blocker = writer.submit(lambda tx: hold.wait(10), 0)
        waiting = [writer.submit(put(number, SMALL), 600_000) for number in range(4)]
        hold.set()
        await asyncio.gather(blocker, *waiting)
        assert len(begins) == 2  # two units of 600,000 octets fill a group


async def test_the_write_ahead_log_stays_short(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with opened(sqlite_url, checkpoint_pages=50) as db:
        for number in range(60):
            await db.write(put(number, 40_000))
        wal = os.stat(f"{path_of(sqlite_url)}-wal").st_size
    assert wal < 40 * 40_000  # far less than the 2.4 MB written: it starts over after each checkpoint


async def test_busy_readers_cannot_keep_the_log_growing(sqlite_url: str, runner: asyncio.Runner) -> None:
    """Readers that overlap all the time would keep the WAL from ever starting over: the gate holds them a moment."""
    async with opened(sqlite_url, checkpoint_pages=20, gate_pages=100) as db:
        stop = threading.Event()

        def overlapping(rx: Rx) -> None:
            rx.all(IDS)
            stop.wait(0.005)

        async def read_on() -> None:
            while not stop.is_set():
                await db.read(overlapping)

        readers = [asyncio.ensure_future(read_on()) for _ in range(4)]
        for number in range(150):
            await db.write(put(number, 40_000))
        stop.set()
        await asyncio.gather(*readers)
        wal = os.stat(f"{path_of(sqlite_url)}-wal").st_size
    assert wal < 150 * 40_000 / 2


def test_new_files_have_the_page_layout(sqlite_url: str) -> None:
    connection = connect(path_of(sqlite_url), reading=True)
    try:
        facts = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "auto_vacuum", "journal_mode", "synchronous", "wal_autocheckpoint")
        }
    finally:
        connection.close()
    assert facts == {
        "page_size": 4096,
        "auto_vacuum": 2,
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 0,
    }


@pytest.mark.parametrize(
    ("version", "fixed"),
    [
        ((3, 51, 3), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
        ((3, 51, 2), False),
        ((3, 50, 7), True),
        ((3, 50, 6), False),
        ((3, 44, 6), True),
        ((3, 45, 1), False),
        ((3, 40, 1), False),
    ],
)
def test_version_gate(version: tuple[int, int, int], fixed: bool) -> None:
    assert driver.is_fixed(version) is fixed


def test_the_refusal_names_version_and_remedy() -> None:
    old = ModuleType("sqlite3")
    old.sqlite_version_info, old.sqlite_version = (3, 40, 1), "3.40.1"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"3\.40\.1.*pip install") as refusal:
        driver.choose([old])
    assert "3.51.3" in str(refusal.value)
    good = ModuleType("pysqlite3.dbapi2")
    good.sqlite_version_info, good.sqlite_version = (3, 51, 3), "3.51.3"  # type: ignore[attr-defined]
    assert driver.choose([old, good]) is good


async def test_reads_wait_out_a_file_that_cannot_be_opened(
    sqlite_url: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that cannot connect answers Unavailable and tries again, instead of leaving callers waiting."""
    async with opened(sqlite_url, readers=1) as db:
        path = path_of(sqlite_url)
        monkeypatch.setattr(db, "_path", path.with_name("missing") / path.name)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await db.read(lambda rx: rx.all(IDS))
        monkeypatch.setattr(db, "_path", path)
        assert await db.read(lambda rx: rx.all(IDS)) == []


async def test_the_loop_reads_while_the_writer_holds_a_transaction(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with opened(sqlite_url) as db:
        await db.write(put(1, SMALL))
        entered, hold = threading.Event(), threading.Event()

        def slow(tx: Tx) -> None:
            tx.do(PUT, id=2, octets=b"x")
            entered.set()
            hold.wait(10)
            raise InvalidRequest("undone")

        task = asyncio.ensure_future(db.write(slow))
        await asyncio.to_thread(entered.wait, 10)
        assert await db.tiny(lambda rx: rx.all(IDS)) == [(1,)]
        hold.set()
        with pytest.raises(InvalidRequest):
            await task
