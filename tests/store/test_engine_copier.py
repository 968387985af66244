"""The write-ahead log is copied beside the writer while a large message arrives, and starts over all the same."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from gateway.model.errors import Unavailable
from gateway.store.db import StoreSettings
from gateway.store.sqlite import SqliteTx, connect
from gateway.store.sqlite_copier import Copier
from gateway.store.sqlite_writer import Writer
from tests.store.faulty import Faulty, committed, opened, path_of, put

PIECE = 64 * 1024


def wal_octets(url: str) -> int:
    return os.stat(f"{path_of(url)}-wal").st_size


async def test_the_log_of_a_stream_is_copied_beside_and_bounded(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with opened(sqlite_url, checkpoint_pages=50) as db:
        for number in range(200):
            await db.write(put(number, PIECE), staged=True)
        assert "store-copier" in {thread.name for thread in threading.enumerate()}
        assert wal_octets(sqlite_url) < 200 * PIECE / 4  # 4 times 50 pages, and what came while the rest was copied
        await db.write(put(200, 10))
    assert "store-copier" not in {thread.name for thread in threading.enumerate()}
    assert committed(sqlite_url) == list(range(201))


async def test_small_units_never_start_it(sqlite_url: str, runner: asyncio.Runner) -> None:
    async with opened(sqlite_url, checkpoint_pages=50) as db:
        for number in range(60):
            await db.write(put(number, PIECE))
        assert "store-copier" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(("code", "broken"), [(10, True), (13, False)])  # SQLITE_IOERR, SQLITE_FULL
async def test_a_failed_copy_is_not_ignored(
    sqlite_url: str, runner: asyncio.Runner, code: int, broken: bool
) -> None:
    """An I/O error makes the store read-only, as in the writer's own checkpoint; a full disk only delays."""
    beside: list[Faulty] = []
    tried = threading.Event()

    def open_beside() -> Faulty:
        faulty = Faulty(connect(path_of(sqlite_url), reading=False))
        faulty.error_code = code

        def fails(sql: str) -> bool:
            tried.set()
            return True

        faulty.fail = fails
        beside.append(faulty)
        return faulty

    connection = connect(path_of(sqlite_url), reading=False)
    settings = StoreSettings(checkpoint_pages=50)
    writer = Writer(
        connection, SqliteTx(connection), settings, asyncio.get_running_loop(), lambda wakes: None, [], open_beside
    )
    writer.start()
    try:
        number = 0
        while not tried.is_set():
            try:
                await writer.submit(put(number, PIECE), 0, staged=True)
            except Unavailable:  # the copy has failed while this one waited for its turn
                assert broken
                assert tried.is_set()
            number += 1
        writer._wal._copier.wait()  # type: ignore[union-attr]
        if broken:
            with pytest.raises(Unavailable, match="read-only"):
                await writer.submit(put(number, 10), 0)
        else:
            await writer.submit(put(number, 10), 0)
        assert (writer.broken is not None) is broken
    finally:
        await asyncio.to_thread(writer.stop)
    assert len(beside) == 1


def test_a_connection_that_cannot_be_opened_is_told_and_the_next_copy_tries_again() -> None:
    opened_at: list[int] = []
    copied: list[Any] = []

    class Opened:
        def close(self) -> None:
            copied.append("closed")

    def open_beside() -> Opened:
        opened_at.append(1)
        if len(opened_at) == 1:
            raise OSError("no more files")
        return Opened()

    failures: list[Exception] = []
    copier = Copier(open_beside, copied.append, failures.append)
    for _ in range(3):
        copier.start()
        copier.wait()
    copier.stop()
    assert [str(failure) for failure in failures] == ["no more files"]
    assert len(opened_at) == 2
    assert [type(each).__name__ for each in copied] == ["Opened", "Opened", "str"]
