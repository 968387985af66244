"""An SQLite store whose statements fail, or are told to a test, where the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.store import driver
from gateway.store.db import StoreSettings, Tx
from gateway.store.sqlite import SqliteDatabase, SqliteTx, connect
from gateway.store.sqlite_writer import Writer
from gateway.store.statements import Stmt

PUT = Stmt("INSERT INTO content_chunk (id, octets) VALUES (:id, :octets)")
IDS = Stmt("SELECT id FROM content_chunk ORDER BY id")
BIG = 2_000_000
SMALL = 1_000


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(path_of(url), StoreSettings(**settings))
    await database.start()
    try:
        yield database
    finally:
        await database.close()


def put(number: int, size: int) -> Callable[[Tx], int]:
    def unit(tx: Tx) -> int:
        tx.do(PUT, id=number, octets=b"x" * size)
        return number

    return unit


class Faulty:
    """A connection whose statements fail where a test says so."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.fail: Callable[[str], bool] = lambda sql: False
        self.error_code = 10  # SQLITE_IOERR

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    @property
    def total_changes(self) -> int:
        return int(self._connection.total_changes)

    def cursor(self) -> FaultyCursor:
        return FaultyCursor(self, self._connection.cursor())

    def close(self) -> None:
        self._connection.close()


class FaultyCursor:
    def __init__(self, owner: Faulty, cursor: Any) -> None:
        self._owner = owner
        self._cursor = cursor

    def execute(self, sql: str, params: Any = ()) -> Any:
        if self._owner.fail(sql):
            error = driver.load().OperationalError("disk I/O error")
            error.sqlite_errorcode = self._owner.error_code
            raise error
        return self._cursor.execute(sql, params)

    def fetchall(self) -> Any:
        return self._cursor.fetchall()

    @property
    def rowcount(self) -> int:
        return int(self._cursor.rowcount)


@asynccontextmanager
async def faulty_writer(url: str, **settings: Any) -> AsyncIterator[tuple[Faulty, Writer]]:
    faulty = Faulty(connect(path_of(url), reading=False))
    loop = asyncio.get_running_loop()
    chosen = StoreSettings(**{"checkpoint_pages": 0, "group_seconds": 60, **settings})
    writer = Writer(faulty, SqliteTx(faulty), chosen, loop, lambda wakes: None, [])
    writer.start()
    try:
        yield faulty, writer
    finally:
        await asyncio.to_thread(writer.stop)


def committed(url: str) -> list[int]:
    connection = connect(path_of(url), reading=True)
    try:
        return [row[0] for row in connection.execute("SELECT id FROM content_chunk ORDER BY id")]
    finally:
        connection.close()
