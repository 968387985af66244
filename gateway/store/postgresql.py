"""The PostgreSQL engine: psycopg connections in threads, READ COMMITTED, wake-ups for other nodes by NOTIFY."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import psycopg
from psycopg import Connection, Cursor
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from gateway.model.errors import GatewayError, Unavailable
from gateway.model.ids import InboxId, base62

from .db import Database, Rx, StoreSettings, Tx, Wake
from .postgresql_notify import Notifier
from .postgresql_writer import Writer
from .processes import ReaderProcesses
from .statements import DialectName, Stmt, bind
from .urls import Target
from .workers import Query, ReaderPool

T = TypeVar("T")
Row = tuple[Any, ...]

CONNECT_SECONDS: Final = 10


def translate(error: BaseException) -> BaseException:
    """A database that is away, full or shutting down is Unavailable; all else stays what it is."""
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not isinstance(error, GatewayError):
        unavailable = Unavailable("The database cannot do this now; try again later")
        unavailable.__cause__ = error
        return unavailable
    return error


def connect(conninfo: str) -> Connection[Row]:
    """A connection whose transactions are written by hand (BEGIN … COMMIT), so that they can be pipelined."""
    connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS, prepare_threshold=2)
    # One type for each int, whatever its value: else each magnitude would prepare a statement of its own.
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    return connection


class PostgresqlRx(Rx):
    dialect: ClassVar[DialectName] = "postgresql"

    def __init__(self, connection: Connection[Row]) -> None:
        super().__init__()
        self.connection = connection

    def execute(self, stmt: Stmt, params: dict[str, Any]) -> Cursor[Row]:
        """Send a statement; in a pipeline it is not waited for."""
        compiled = stmt.for_postgresql()
        if compiled.lists or compiled.defaults:
            params = bind(compiled, params, list, list)  # a tuple would become a composite
        cursor = self.connection.cursor(binary=True)
        cursor.execute(compiled.sql, params)
        return cursor

    def all(self, stmt: Stmt, /, **params: Any) -> list[Row]:
        return self.execute(stmt, params).fetchall()


class PostgresqlTx(Tx, PostgresqlRx):
    def __init__(self, connection: Connection[Row]) -> None:
        Tx.__init__(self)
        self.connection = connection
        self.pipeline: psycopg.Pipeline | None = None
        """The pipeline this transaction runs in."""

    def run(self, stmt: Stmt, /, **params: Any) -> int:
        return self.finish(stmt, params).rowcount

    def finish(self, stmt: Stmt, params: dict[str, Any]) -> Cursor[Row]:
        """Send a statement and wait for it and all before it."""
        cursor = self.execute(stmt, params)
        if self.pipeline is not None:
            self.pipeline.sync()
        return cursor

    def do(self, stmt: Stmt, /, **params: Any) -> None:
        self.execute(stmt, params)


BEGIN_READ: Final = Stmt(postgresql="BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
COMMIT: Final = Stmt(postgresql="COMMIT")


class PostgresqlDatabase(Database):
    dialect: ClassVar[DialectName] = "postgresql"

    def __init__(self, conninfo: str, settings: StoreSettings) -> None:
        super().__init__()
        self._conninfo = conninfo
        self._settings = settings
        self._node = base62(12)
        self._readers = ReaderPool("store-reader", settings.readers, lambda: open_reader(conninfo))
        self._writers: list[Writer] = []
        self._notifier: Notifier | None = None
        if settings.reader_processes:
            target = Target("postgresql", Path(), conninfo)
            count, modules = settings.reader_processes, settings.reader_modules
            self._processes = ReaderProcesses(target, count, modules, job_seconds=settings.job_seconds)

    async def start(self) -> None:
        """Raises Unavailable when the database cannot be reached."""
        loop = asyncio.get_running_loop()
        try:
            probe = await asyncio.to_thread(connect, self._conninfo)
        except psycopg.Error as error:
            raise Unavailable("The database cannot be reached") from error
        await asyncio.to_thread(probe.close)

        def publish(wakes: dict[Wake, None]) -> None:
            self._publish(wakes)

        notifier = Notifier(lambda: connect(self._conninfo), self._node, self._settings, loop, publish)
        notifier.start()
        self._notifier = notifier
        for number in range(self._settings.writers):
            writer = Writer(
                lambda: PostgresqlTx(connect(self._conninfo)),
                f"{self._node}-{number}",
                self._settings,
                loop,
                publish,
                notifier.announce,
            )
            writer.start()
            self._writers.append(writer)
        self._readers.start(loop)
        if self._processes is not None:
            self._processes.start(loop)

    async def close(self) -> None:
        writers, self._writers = self._writers, []
        notifier, self._notifier = self._notifier, None
        if notifier is None:
            return
        if self._processes is not None:
            await self._processes.stop()
        await asyncio.to_thread(self._readers.stop)
        for writer in writers:
            await asyncio.to_thread(writer.stop)
        await asyncio.to_thread(notifier.stop)

    @property
    def writable(self) -> bool:
        return bool(self._writers)

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
        if not self._writers:
            raise Unavailable("The store is not open")
        # A `staged` unit is as durable as any other: a server that restarts, while we live on, must not lose it.
        # Units of one inbox wait for each other anyway: one thread takes them together instead of several in turn.
        # Units that name none keep their order: giving up a staged body must come after its last piece.
        others = len(self._writers) - 1
        turn = 1 + min(inboxes) % others if inboxes and others else 0
        value: T = await self._writers[turn].submit(unit, inboxes, octets, relaxed=relaxed)
        return value

    async def read(self, query: Callable[[Rx], T]) -> T:
        value: T = await self._readers.submit(query)
        return value

    async def tiny(self, query: Callable[[Rx], T]) -> T:
        return await self.read(query)


def open_reader(conninfo: str) -> tuple[Callable[[Query], Any], Callable[[], None]]:
    """(run a query in a transaction of its own, close); connects with the first query, and anew after a loss."""
    held: list[PostgresqlRx] = []

    def attempt(query: Query) -> Any:
        if not held:
            held.append(PostgresqlRx(connect(conninfo)))
        rx = held[0]
        try:
            with rx.connection.pipeline():
                rx.execute(BEGIN_READ, {})
                value = query(rx)
                rx.execute(COMMIT, {})
        except BaseException:
            if rx.connection.closed:
                held.clear()
            else:
                rx.connection.rollback()
            raise
        return value

    def run(query: Query) -> Any:
        try:
            try:
                return attempt(query)
            except psycopg.OperationalError:
                if held:  # the connection lives: the failure is the query's own
                    raise
                return attempt(query)  # a restarted server: reads may simply be asked again
        except psycopg.Error as error:
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error

    def close() -> None:
        for rx in held:
            rx.connection.close()

    return run, close
