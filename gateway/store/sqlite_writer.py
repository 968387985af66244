"""The SQLite writer: whatever units wait are run in one transaction, flushed by one thread, and answered after it.

One flush of the disk serves a whole group: 1,300 commits a second become 11,500 messages a second.

Where a unit runs: a `quick` one (a few statements by key: a delivery, a few flags) on the loop itself, and only the
COMMIT with its flush goes to the thread; all else in the thread. Each statement gives up the interpreter's lock, so
a thread that runs ten of them beside a busy loop waits for the lock ten times, up to half a millisecond each: on the
loop the same unit costs half the CPU. Those of several clients wait for each other (`gathering`). Loop and thread never
use the connection at once: `_busy` is set while a transaction or a checkpoint is under way, and units wait in order.

A unit runs between SAVEPOINT and RELEASE, so a failing one undoes itself only, with one exception that everything here
turns on: SQLITE_FULL, IOERR and NOMEM may roll back the *whole* transaction, and the next SAVEPOINT would silently open
a new one. So after each failure `in_transaction` is asked. When the transaction is gone, so is the work of every unit
before: each is run again alone, and only what then commits is acknowledged.

After an I/O error nothing is written any more until restart: the kernel may have dropped the pages whose flush
failed, and a later flush that succeeds says nothing about them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import structlog

from gateway.model.errors import Unavailable

from .db import StoreSettings, Tx, Wake, joined, settle
from .gates import ReaderGate
from .gathering import Gathering
from .sqlite_errors import BUSY, error_code, is_io_error, translate
from .sqlite_wal import COUNT_UP, WriteAheadLog

if TYPE_CHECKING:
    from .sqlite import SqliteTx

log = structlog.get_logger(__name__)

LOOP_SECONDS: Final = 0.003  # quick units run on the loop so long at a time; the rest waits for the next group
BUSY_SECONDS: Final = 5.0  # only another process's check or backup can hold the lock
BUSY_PAUSE: Final = 0.005


class _Unit:
    __slots__ = ("call", "error", "future", "octets", "owes", "quick", "relaxed", "staged", "value", "wakes")

    def __init__(
        self,
        call: Callable[[Tx], Any],
        future: asyncio.Future[Any],
        octets: int,
        quick: bool,
        owes: bool,
        staged: bool,
    ) -> None:
        self.call = call
        self.future = future
        self.octets = octets
        self.quick = quick
        self.owes = owes  # a flush soon after its answer
        self.staged = staged
        self.relaxed = owes or staged  # no flush before its answer
        self.value: Any = None
        self.error: BaseException | None = None
        self.wakes: dict[Wake, None] = {}


class _GroupLost(Exception):
    """The transaction is gone, with the units that ran in it. `culprit` is the unit that ended it, if one did."""

    def __init__(self, cause: BaseException | None, culprit: _Unit | None = None) -> None:
        super().__init__("transaction lost")
        self.cause = cause
        self.culprit = culprit


class _Job:
    """What the thread does next: commit the units that ran on the loop or, without any, run and commit what waits.

    `committed`: that has been done, and answered; what is left is the checkpoint.
    """

    __slots__ = ("committed", "group", "lost")

    def __init__(self, group: list[_Unit], lost: _GroupLost | None = None, *, committed: bool = False) -> None:
        self.group = group
        self.lost = lost
        self.committed = committed


class Writer:
    """Owns the writing connection. `broken` is set for good after an I/O error."""

    def __init__(
        self,
        connection: Any,
        tx: SqliteTx,
        settings: StoreSettings,
        loop: asyncio.AbstractEventLoop,
        publish: Callable[[Iterable[Wake]], None],
        gates: list[ReaderGate],
        beside: Callable[[], Any] | None = None,
    ) -> None:
        """`beside` opens a further connection, for checkpoints while a large message arrives."""
        self.broken: BaseException | None = None
        self._connection = connection
        self._execute = connection.cursor().execute
        self._execute("PRAGMA busy_timeout=0")  # the loop never waits for a lock; the thread does, in `_begin`
        self._tx = tx
        self._settings = settings
        self._loop = loop
        self._publish = publish
        self._waiting: deque[_Unit] = deque()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._busy = False  # the thread has the connection; set and read on the loop
        self._scheduled = False
        self._gathering = Gathering(settings.group_units)
        self._closing = False
        self._relaxed = False  # COMMIT does not flush now
        self._owes = False  # the open transaction holds a unit whose flush is to follow
        self._streams = False  # … and one of a message that is still arriving
        self._wal = WriteAheadLog(self._execute, settings, gates, lambda error: self._break(error, []), beside)
        self._owed = False  # something is committed and not flushed yet
        self._before = 0  # rows that this connection had changed before the open transaction
        self._flush: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(
        self,
        call: Callable[[Tx], Any],
        octets: int,
        *,
        quick: bool = False,
        relaxed: bool = False,
        staged: bool = False,
    ) -> asyncio.Future[Any]:
        """Queue a unit; called on the loop."""
        future = self._loop.create_future()
        owes = relaxed and self._settings.flag_sync_seconds > 0
        self._waiting.append(_Unit(call, future, octets, quick, owes, staged))
        if not self._busy and not self._scheduled:
            if quick:
                self._turn()  # at once, and one that is not flushed is done then: its caller need not even wait
            else:
                self._scheduled = True
                self._loop.call_soon(self._turn)  # what else arrives in this turn of the loop joins the group
        return future

    def stop(self) -> None:
        """Commit what is queued, end the thread and close the connection. Called off the loop, while it runs."""
        self._loop.call_soon_threadsafe(self._close)
        self._thread.join()
        self._connection.close()

    def _close(self) -> None:
        self._closing = True
        self._turn()

    # -- the loop

    def _turn(self) -> None:
        """Begin the next group, if the connection is free."""
        self._scheduled = False
        if self._busy:
            return
        if not self._waiting:
            if self._closing:
                self._jobs.put(None)
            return
        first = self._waiting[0]
        quick = first.quick and self.broken is None
        gathers = quick and not first.relaxed and not self._closing
        if gathers and self._gathering.goes_on(len(self._waiting), time.monotonic()):
            self._scheduled = True
            self._loop.call_soon(self._turn)
            return
        self._busy = True
        job = self._run_here() if quick else _Job([])
        if not (quick and self._committed_here(job)):
            # With the next turn: until then the loop has the interpreter's lock, and the thread would wake to wait.
            self._loop.call_soon(self._jobs.put, job)

    def _run_here(self) -> _Job:
        """Run quick units; the thread commits them. A lock that is held is waited for in the thread."""
        group: list[_Unit] = []
        try:
            self._begin(relaxed=self._waiting[0].relaxed)
            self._run(group, LOOP_SECONDS, quick=True)
        except _GroupLost as lost:
            return _Job(group, lost)
        return _Job(group)

    def _committed_here(self, job: _Job) -> bool:
        """A COMMIT without a flush only writes into the system's memory; the thread is needed for all that can wait.

        One with nothing to write does not even that: a STORE of flags that were set already.
        """
        if job.lost is not None or (self._wrote and not self._relaxed):
            return False
        try:
            self._commit()
        except _GroupLost as lost:
            job.lost = lost
            return False
        self._wal.wrote(sum(unit.octets for unit in job.group))
        self._deliver(job.group, free=False, soon=True)
        if self._wal.due(streams=self._streams):  # in an open transaction SQLite refuses to say
            self._jobs.put(_Job([], committed=True))
            return True
        self._busy = False
        if (self._waiting or self._closing) and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)
        return True

    @property
    def _wrote(self) -> bool:
        """The open transaction has changed rows."""
        return bool(self._connection.total_changes != self._before)

    def _flush_owed(self) -> None:
        """The end of `flag_sync`: a durable unit flushes what relaxed ones have written before it."""
        self._flush = None
        if self._owed and not self._closing and self.broken is None:
            self.submit(lambda tx: self._execute(COUNT_UP, ("flushes",)), 0, quick=True)

    # -- the thread

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            group = job.group
            try:
                if self.broken is not None:
                    self._refuse(group)
                elif group and job.lost is not None:
                    self._rollback()
                    self._recover(group, job.lost)
                elif not job.committed:
                    self._finish(group)
            except BaseException as error:  # a defect of this module: fail loudly, keep answering
                log.exception("store.writer_defect")
                self._break(error, group)
            self._answer_and_tidy(group)
        self._wal.stop()
        if self.broken is None:
            self._wal.checkpoint(patient=False)

    def _refuse(self, group: list[_Unit]) -> None:
        while self._waiting:
            group.append(self._waiting.popleft())
        for unit in group:
            unit.value, unit.wakes, unit.error = None, {}, _read_only()

    def _finish(self, group: list[_Unit]) -> None:
        """Commit what ran on the loop; without any, run what waits, gathered in `group`, and commit it."""
        try:
            if not group:
                self._begin(relaxed=self._waiting[0].relaxed, patient=True)
                self._run(group, self._settings.group_seconds)
            self._commit()
            self._wal.wrote(sum(unit.octets for unit in group))
        except _GroupLost as lost:
            self._rollback()
            if not group:  # not even begun: the unit that waits first hears of it
                group.append(self._waiting.popleft())
            self._recover(group, lost)

    def _answer_and_tidy(self, group: list[_Unit]) -> None:
        """Answer first, then look after the WAL; the connection is free once both are done."""
        if self.broken is None and self._wal.due(streams=self._streams):
            self._tell(group, free=False)
            self._wal.checkpoint(patient=not self._closing)
            group = []
        self._tell(group, free=True)

    # -- either

    def _run(self, group: list[_Unit], seconds: float, *, quick: bool = False) -> None:
        """Run units in the open transaction, gathered in `group`, up to the bounds of a group. Raises _GroupLost."""
        until = time.monotonic() + seconds
        waiting, settings = self._waiting, self._settings
        octets = 0
        while waiting and waiting[0].quick >= quick and waiting[0].relaxed >= self._relaxed:
            unit = waiting.popleft()
            group.append(unit)
            self._one(unit)
            octets += unit.octets
            if octets >= settings.group_octets or len(group) >= settings.group_units or time.monotonic() >= until:
                break

    def _recover(self, group: list[_Unit], lost: _GroupLost) -> None:
        """Nothing of `group` was committed: run each unit again alone, but the one that ended the transaction."""
        log.warning("store.group_lost", units=len(group), error=repr(lost.cause))
        if is_io_error(lost.cause):
            self._break(lost.cause, group)
            return
        alone = len(group) == 1
        for unit in group:
            unit.value, unit.error, unit.wakes = None, None, {}
            if self.broken is not None:
                unit.error = _read_only()
            elif unit is lost.culprit or alone:
                unit.error = _outage(lost.cause)
            else:
                self._alone(unit)

    def _alone(self, unit: _Unit) -> None:
        try:
            self._begin(relaxed=False, patient=True)
            self._one(unit)
            self._commit()
        except _GroupLost as lost:
            self._rollback()
            unit.value, unit.wakes = None, {}
            unit.error = _outage(lost.cause)
            if is_io_error(lost.cause):
                self._break(lost.cause, [unit])

    def _begin(self, *, relaxed: bool, patient: bool = False) -> None:
        """Open a transaction whose COMMIT flushes unless it is `relaxed`.

        `patient` (in the thread) waits for another process that holds the lock.
        """
        if relaxed is not self._relaxed:
            self._execute(f"PRAGMA synchronous={'NORMAL' if relaxed else 'FULL'}")
            self._relaxed = relaxed
        self._owes = self._streams = False
        self._before = self._connection.total_changes
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._execute("BEGIN IMMEDIATE")
                return
            except Exception as error:
                if not patient or error_code(error) != BUSY or time.monotonic() >= until:
                    raise _GroupLost(error) from error
            time.sleep(BUSY_PAUSE)  # the holder is another process: SQLite's own wait does just this

    def _commit(self) -> None:
        wrote = self._wrote
        try:
            self._execute("COMMIT")
        except Exception as error:
            raise _GroupLost(error) from error
        if wrote:  # a flush of the WAL is one of all that stands in it
            self._owed = self._relaxed and (self._owed or self._owes)

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            try:
                self._execute("ROLLBACK")
            except Exception as error:  # a connection that cannot even roll back is of no use any more
                self._break(error, [])

    def _one(self, unit: _Unit) -> None:
        """Run one unit in a savepoint; its error is kept with it. Raises _GroupLost."""
        if unit.future.cancelled():
            return
        self._owes |= unit.owes
        self._streams |= unit.staged
        tx = self._tx
        tx.begin_unit()
        try:
            self._execute("SAVEPOINT unit")
            unit.value = unit.call(tx)
        except BaseException as error:  # it belongs to the unit's caller, whatever it is
            unit.error = translate(error)
            if not self._connection.in_transaction or is_io_error(error):
                raise _GroupLost(error, unit) from error
            try:
                self._execute("ROLLBACK TO unit")
                self._execute("RELEASE unit")
            except Exception as failure:
                raise _GroupLost(failure, unit) from failure
            return
        if not self._connection.in_transaction:  # the unit swallowed the error that ended the transaction
            raise _GroupLost(None, unit)
        try:
            self._execute("RELEASE unit")
        except Exception as failure:
            raise _GroupLost(failure, unit) from failure
        unit.wakes = tx.wakes

    def _break(self, error: BaseException | None, units: list[_Unit]) -> None:
        if self.broken is None:
            self.broken = error or Unavailable("The store failed")
            log.critical("store.read_only", error=repr(error), remedy="restart, then gateway doctor --store")
        for unit in units:
            unit.value, unit.wakes = None, {}
            unit.error = _read_only()

    def _tell(self, group: list[_Unit], *, free: bool) -> None:
        """Hand all results to the loop in one call, and the connection when it is `free`."""
        try:
            self._loop.call_soon_threadsafe(self._deliver, group, free)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._jobs.put(None)

    def _deliver(self, group: list[_Unit], free: bool, soon: bool = False) -> None:
        """Answer units. `soon`: within the call of one that asks, so nobody is woken before the next turn."""
        for unit in group:
            settle(unit.future, unit.value, unit.error)
        if group:
            self._gathering.answered(len(group))
            wakes = group[0].wakes if len(group) == 1 else joined(wake for unit in group for wake in unit.wakes)
            if wakes and soon:
                self._loop.call_soon(self._publish, wakes)
            elif wakes:
                self._publish(wakes)
        if self._owed and self._flush is None:
            self._flush = self._loop.call_later(self._settings.flag_sync_seconds, self._flush_owed)
        if free:
            self._busy = False
            if self._waiting or self._closing:
                self._turn()


def _outage(cause: BaseException | None) -> Unavailable:
    unavailable = Unavailable("The store cannot write now (disk full or failing); try again later")
    unavailable.__cause__ = cause
    return unavailable


def _read_only() -> Unavailable:
    return Unavailable("The store is read-only after a disk error until it is restarted and checked")
