"""A PostgreSQL writer: one thread and connection that commits the units of its queue, several in a transaction.

Units may share a transaction only when the inbox rows of all are locked first, by id, in one statement: two
nodes that lock in different orders deadlock. There are no savepoints: when a unit of a batch fails, the batch is
undone and done again unit by unit.

A COMMIT whose connection broke has an unknown outcome. So each transaction first writes its number into this writer's
row of `unit_done`, and a retry locks that row (which waits for the old backend to end) and looks whether the
number is there before it does anything again.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import psycopg
import structlog
from psycopg.errors import IdleInTransactionSessionTimeout

from gateway.model.errors import Unavailable
from gateway.model.ids import InboxId

from .counters import lock
from .db import StoreSettings, Tx, Wake, joined, settle
from .postgresql_silent import limit_silence
from .statements import Stmt

if TYPE_CHECKING:
    from .postgresql import PostgresqlTx

log = structlog.get_logger(__name__)

CONFLICTS: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock: redo it
CONFLICT_TRIES: Final = 10
RECONNECT_DELAYS: Final = (0.0, 0.1, 0.5, 1.5)  # seconds; a failover takes longer, and then callers hear Unavailable
FORGOTTEN_SECONDS: Final = 7 * 86400  # rows of processes that were killed

_BEGIN = Stmt(postgresql="BEGIN")
_NO_FLUSH = Stmt(postgresql="SET LOCAL synchronous_commit TO off")
_COMMIT = Stmt(postgresql="COMMIT")
_NOTE = Stmt(postgresql="UPDATE unit_done SET last = :number, at = :at WHERE writer = :writer")
_LAST = Stmt(postgresql="SELECT last FROM unit_done WHERE writer = :writer FOR UPDATE")
_REGISTER = Stmt(
    postgresql="INSERT INTO unit_done (writer, last, at) VALUES (:writer, 0, :at) ON CONFLICT (writer) DO NOTHING"
)
_LEAVE = Stmt(postgresql="DELETE FROM unit_done WHERE writer = :writer OR at < :before")


class _Unit:
    __slots__ = ("call", "error", "future", "inboxes", "octets", "relaxed", "value", "wakes")

    def __init__(
        self,
        call: Callable[[Tx], Any],
        future: asyncio.Future[Any],
        inboxes: tuple[InboxId, ...],
        octets: int,
        relaxed: bool,
    ) -> None:
        self.call = call
        self.future = future
        self.inboxes = inboxes
        self.octets = octets
        self.relaxed = relaxed
        self.value: Any = None
        self.error: BaseException | None = None
        self.wakes: dict[Wake, None] = {}


class _CommitLost(Exception):
    """COMMIT did not commit: the transaction had already failed."""


class Writer:
    """`connect` makes a connection's Tx; `announce` tells other nodes (any thread), `publish` this one (the loop)."""

    def __init__(
        self,
        connect: Callable[[], PostgresqlTx],
        name: str,
        settings: StoreSettings,
        loop: asyncio.AbstractEventLoop,
        publish: Callable[[dict[Wake, None]], None],
        announce: Callable[[dict[Wake, None]], None],
    ) -> None:
        self._connect = connect
        self._name = name
        self._settings = settings
        self._loop = loop
        self._publish = publish
        self._announce = announce
        self._queue: SimpleQueue[_Unit | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=f"store-writer-{name}", daemon=True)
        self._tx: PostgresqlTx | None = None
        self._number = 0

    def start(self) -> None:
        self._thread.start()

    def submit(
        self, call: Callable[[Tx], Any], inboxes: tuple[InboxId, ...], octets: int, *, relaxed: bool = False
    ) -> asyncio.Future[Any]:
        """Queue a unit; called on the loop."""
        future = self._loop.create_future()
        self._queue.put(_Unit(call, future, inboxes, octets, relaxed and self._settings.flag_sync_seconds > 0))
        return future

    def stop(self) -> None:
        """Commit what is queued and end the thread. Called off the loop."""
        self._queue.put(None)
        self._thread.join()

    # -- the thread

    def _serve(self) -> None:
        following: _Unit | None = None
        while True:
            unit = following or self._queue.get()
            if unit is None:
                break
            batch, following = self._gather(unit)
            try:
                self._batch(batch)
            except BaseException as error:  # a defect of this module: tell the callers, keep serving
                log.exception("store.writer_defect")
                for each in batch:
                    each.error = each.error or error
                self._drop()
            self._answer(batch)
        self._leave()

    def _gather(self, first: _Unit) -> tuple[list[_Unit], _Unit | None]:
        """A batch of units that may share a transaction, and the one taken from the queue that may not."""
        batch = [first]
        octets = first.octets
        while (
            first.inboxes
            and octets < self._settings.group_octets
            and len(batch) < self._settings.group_units
            and not self._queue.empty()
        ):
            unit = self._queue.get()
            if unit is None:
                self._queue.put(None)  # the sign to stop: finish this batch first
                break
            if not unit.inboxes or unit.relaxed is not first.relaxed:
                return batch, unit
            batch.append(unit)
            octets += unit.octets
        return batch, None

    def _batch(self, batch: list[_Unit]) -> None:
        live = [unit for unit in batch if not unit.future.cancelled()]
        if len(live) > 1:
            try:
                self._transaction(live)
            except BaseException as error:  # whoever failed: alone each one shows its own outcome
                log.debug("store.batch_redone", units=len(live), error=repr(error))
            else:
                return
        for unit in live:
            self._alone(unit)

    def _alone(self, unit: _Unit) -> None:
        for attempt in range(CONFLICT_TRIES):
            unit.value, unit.error, unit.wakes = None, None, {}
            try:
                self._transaction([unit])
            except psycopg.Error as error:
                if error.sqlstate in CONFLICTS and attempt + 1 < CONFLICT_TRIES:
                    # apart by chance, or the two that deadlocked meet again; this thread has nothing else to do
                    time.sleep(random.uniform(0, 0.005 * 2**attempt))
                    continue
                unit.error = _outage(error) if _is_outage(error) else error
            except BaseException as error:  # it belongs to the unit's caller, whatever it is
                unit.error = error
            return

    def _transaction(self, units: list[_Unit]) -> None:
        """Run `units` in one transaction that is durable when this returns; survives a broken connection."""
        self._number += 1
        number = self._number
        for delay in RECONNECT_DELAYS:
            time.sleep(delay)  # the server restarts or fails over: nothing to wait on but the next attempt
            try:
                tx = self._open()
                if delay and self._is_done(tx, number):
                    return
                self._attempt(tx, units, number)
            except (psycopg.OperationalError, psycopg.InterfaceError, IdleInTransactionSessionTimeout) as error:
                if self._tx is not None and not self._tx.connection.closed:
                    self._rollback()
                    raise
                self._drop()
                lost = error
            except BaseException:
                self._rollback()
                raise
            else:
                return
        raise lost

    def _attempt(self, tx: PostgresqlTx, units: list[_Unit], number: int) -> None:
        tx.locked = set()
        try:
            with tx.connection.pipeline() as pipeline:
                tx.pipeline = pipeline
                tx.do(_BEGIN)
                if units[0].relaxed:
                    tx.do(_NO_FLUSH)
                tx.do(_NOTE, number=number, at=int(time.time()), writer=self._name)
                inboxes = {inbox for unit in units for inbox in unit.inboxes}
                if inboxes:
                    lock(tx, *sorted(inboxes))
                for unit in units:
                    tx.begin_unit()
                    unit.value = unit.call(tx)
                    unit.wakes = tx.wakes
                self._commit(tx)
        finally:
            tx.pipeline = None

    def _commit(self, tx: PostgresqlTx) -> None:
        cursor = tx.finish(_COMMIT, {})
        if cursor.statusmessage != "COMMIT":  # PostgreSQL answers ROLLBACK, without an error, when the unit hid one
            raise _CommitLost

    def _is_done(self, tx: PostgresqlTx, number: int) -> bool:
        """Whether the transaction whose COMMIT was not answered took place. Waits for its backend to end."""
        return bool(tx.scalar(_LAST, writer=self._name) == number)

    def _open(self) -> PostgresqlTx:
        if self._tx is None:
            tx = self._connect()
            limit_silence(tx.connection, self._settings.silent_seconds)
            tx.run(_REGISTER, writer=self._name, at=int(time.time()))
            self._tx = tx
        return self._tx

    def _rollback(self) -> None:
        if self._tx is None:
            return
        try:
            self._tx.connection.rollback()
        except psycopg.Error:
            self._drop()

    def _drop(self) -> None:
        tx, self._tx = self._tx, None
        if tx is not None:
            tx.connection.close()

    def _leave(self) -> None:
        tx = self._tx
        if tx is None:
            return
        try:
            tx.run(_LEAVE, writer=self._name, before=int(time.time()) - FORGOTTEN_SECONDS)
        except psycopg.Error as error:  # only a row that is swept a week later
            log.debug("store.leave_failed", error=repr(error))
        self._drop()

    def _answer(self, batch: list[_Unit]) -> None:
        wakes = joined(wake for unit in batch if unit.error is None for wake in unit.wakes)
        for unit in batch:
            if unit.error is not None:
                unit.value = None
        if wakes:
            self._announce(wakes)
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch, wakes)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _deliver(self, batch: list[_Unit], wakes: dict[Wake, None]) -> None:
        for unit in batch:
            settle(unit.future, unit.value, unit.error)
        if wakes:
            self._publish(wakes)


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def _outage(cause: BaseException) -> Unavailable:
    unavailable = Unavailable("The database cannot do this now; try again later")
    unavailable.__cause__ = cause
    return unavailable
