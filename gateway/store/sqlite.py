"""The SQLite engine: one writing thread, a few reading ones, tiny reads on the loop.

Durability: WAL with synchronous=FULL; NORMAL loses acknowledged commits when the power fails. Checkpoints are the
writer's own (`sqlite_writer`), because the automatic one hides a failed flush.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from gateway.model.errors import Unavailable
from gateway.model.ids import InboxId

from . import driver
from .db import Database, Rx, StoreSettings, Tx
from .gates import ReaderGate
from .processes import ReaderProcesses
from .sqlite_errors import READONLY, error_code, translate
from .sqlite_writer import Writer
from .statements import DialectName, Stmt, bind, json_list
from .urls import Target
from .workers import Query, ReaderPool

T = TypeVar("T")

PAGE_SIZE: Final = 4096
BUSY_MS: Final = 5_000  # only another process's check or backup can hold the lock
STATEMENTS: Final = 512  # prepared statements kept a connection


def connect(path: Path, *, reading: bool) -> Any:
    """A connection with the settings every connection of ours has. A new file gets its page layout here."""
    connection = driver.load().connect(
        str(path),
        isolation_level=None,  # transactions are ours alone
        check_same_thread=False,
        cached_statements=STATEMENTS,
        timeout=BUSY_MS / 1000,
    )
    execute = connection.execute
    if not reading:
        execute(f"PRAGMA page_size={PAGE_SIZE}")
        execute("PRAGMA auto_vacuum=INCREMENTAL")  # both only matter before the first table
        execute("PRAGMA journal_mode=WAL").fetchall()
    execute("PRAGMA synchronous=FULL")
    execute("PRAGMA wal_autocheckpoint=0").fetchall()
    execute("PRAGMA foreign_keys=ON")
    execute("PRAGMA temp_store=MEMORY")
    execute("PRAGMA cache_size=-16384")
    if reading:
        execute("PRAGMA query_only=ON")
    return connection


class SqliteRx(Rx):
    dialect: ClassVar[DialectName] = "sqlite"

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self.connection = connection
        self._cursor = connection.cursor()

    def all(self, stmt: Stmt, /, **params: Any) -> list[tuple[Any, ...]]:
        compiled = stmt.for_sqlite()
        if compiled.lists or compiled.defaults:
            params = bind(compiled, params, str, json_list)
        rows: list[tuple[Any, ...]] = self._cursor.execute(compiled.sql, params).fetchall()
        return rows


class SqliteTx(Tx, SqliteRx):
    """Refuses to go on once SQLite has ended the transaction by itself: the next statement would commit alone."""

    def __init__(self, connection: Any) -> None:
        Tx.__init__(self)
        self.connection = connection
        self._cursor = connection.cursor()
        self._lost = False

    def begin_unit(self) -> None:
        super().begin_unit()
        self._lost = False

    def all(self, stmt: Stmt, /, **params: Any) -> list[tuple[Any, ...]]:
        cursor = self._execute(stmt, params)
        try:
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        except BaseException:
            self._lost = not self.connection.in_transaction
            raise
        return rows

    def run(self, stmt: Stmt, /, **params: Any) -> int:
        count: int = self._execute(stmt, params).rowcount
        return count

    def do(self, stmt: Stmt, /, **params: Any) -> None:
        self._execute(stmt, params)

    def _execute(self, stmt: Stmt, params: dict[str, Any]) -> Any:
        if self._lost:
            raise Unavailable("The transaction was rolled back")
        compiled = stmt.for_sqlite()
        if compiled.lists or compiled.defaults:
            params = bind(compiled, params, str, json_list)
        try:
            return self._cursor.execute(compiled.sql, params)
        except BaseException:
            self._lost = not self.connection.in_transaction
            raise


class SqliteDatabase(Database):
    dialect: ClassVar[DialectName] = "sqlite"

    def __init__(self, path: Path, settings: StoreSettings) -> None:
        """Raises ConfigError when no safe SQLite is installed; nothing is opened yet."""
        super().__init__()
        driver.load()
        self._path = path
        self._settings = settings
        self._writer: Writer | None = None
        self._readers = ReaderPool("store-reader", settings.readers, self._open_reader)
        self._gates: list[ReaderGate] = []
        self._inline: SqliteRx | None = None
        if settings.reader_processes:
            target = Target("sqlite", path, "")
            count, modules = settings.reader_processes, settings.reader_modules
            self._processes = ReaderProcesses(target, count, modules, self._gates, job_seconds=settings.job_seconds)

    async def start(self) -> None:
        """Raises Unavailable when the file cannot be opened."""
        loop = asyncio.get_running_loop()
        try:
            connection = await asyncio.to_thread(connect, self._path, reading=False)
            self._inline = SqliteRx(connect(self._path, reading=True))
        except driver.load().Error as error:
            raise translate(error) from error
        self._writer = Writer(
            connection, SqliteTx(connection), self._settings, loop, self._publish, self._gates,
            lambda: connect(self._path, reading=False),
        )
        self._writer.start()
        self._readers.start(loop)
        if self._processes is not None:
            self._processes.start(loop)

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        inline, self._inline = self._inline, None
        if writer is not None:
            if self._processes is not None:
                await self._processes.stop()
            await asyncio.to_thread(self._readers.stop)
            if inline is not None:
                inline.connection.close()
            await asyncio.to_thread(writer.stop)

    @property
    def writable(self) -> bool:
        return self._writer is not None and self._writer.broken is None

    async def write(
        self,
        unit: Callable[[Tx], T],
        *,
        inboxes: tuple[InboxId, ...] = (),
        octets: int = 0,
        quick: bool = False,
        relaxed: bool = False,
        staged: bool = False,
    ) -> T:
        if self._writer is None:
            raise Unavailable("The store is not open")
        value: T = await self._writer.submit(unit, octets, quick=quick, relaxed=relaxed, staged=staged)
        return value

    async def read(self, query: Callable[[Rx], T]) -> T:
        value: T = await self._readers.submit(query)
        return value

    async def tiny(self, query: Callable[[Rx], T]) -> T:
        if self._inline is None:
            raise Unavailable("The store is not open")
        value: T = _in_transaction(self._inline, query)
        return value

    def _open_reader(self) -> tuple[Callable[[Query], Any], Callable[[], None]]:
        run, close = open_reader(self._path)
        gate = threading.Lock()
        self._gates.append(gate)

        def gated(query: Query) -> Any:
            with gate:
                return run(query)

        def leave() -> None:
            self._gates.remove(gate)
            close()

        return gated, leave


def open_reader(path: Path) -> tuple[Callable[[Query], Any], Callable[[], None]]:
    """A connection that reads: (run a query in a transaction of its own, close). Raises Unavailable."""
    try:
        rx = SqliteRx(connect(path, reading=True))
    except driver.load().Error as error:
        raise translate(error) from error
    return lambda query: _in_transaction(rx, query), rx.connection.close


def _in_transaction(rx: SqliteRx, query: Query) -> Any:
    try:
        rx.connection.execute("BEGIN")
        try:
            return query(rx)
        finally:
            rx.connection.execute("COMMIT")
    except BaseException as error:
        translated = translate(error)
        if translated is error or error_code(error) == READONLY:  # a query that tries to write is a defect
            raise
        raise translated from error
