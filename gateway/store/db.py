"""What the rest of the gateway sees of a database: units of work, short reads, wake-ups.

A unit is a plain function of a `Tx` that never awaits. It may be called more than once: after a rollback of the
group it shared a transaction with, a deadlock or a broken connection. So it must have no effect but on `tx`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar

import structlog

from gateway.model.ids import ContentId, InboxId, MailboxId, ModSeq

from .statements import DialectName, Stmt

if TYPE_CHECKING:
    from .processes import ReaderProcesses

T = TypeVar("T")
P = ParamSpec("P")
log = structlog.get_logger(__name__)


class WakeKind(StrEnum):
    MAIL = "mail"
    """Messages, flags or mailboxes of an inbox changed."""
    KEYS = "keys"
    """A key was revoked or changed."""
    INBOX = "inbox"
    """An inbox was created or deleted."""
    QUEUE = "queue"
    """Something may be due in the delivery queue."""
    SENT = "sent"
    """An inbox has sent mail, or something became of it."""
    WEBHOOK = "webhook"
    """A webhook was made, changed or removed, or is to deliver again."""
    CONNECTOR = "connector"
    """A connector was made, changed, released or asked to sync, or its state changed."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Says where to look, never what happened, so a lost one costs a delay only.

    `inbox_id` None: any inbox (after an outage of the notification channel). `mailbox_id` None: any mailbox.
    `modseq`: who knows the mailbox up to there need not look; None: whatever it knows.
    """

    kind: WakeKind
    inbox_id: InboxId | None = None
    mailbox_id: MailboxId | None = None
    modseq: ModSeq | None = field(default=None, compare=False)


def joined(wakes: Iterable[Wake]) -> dict[Wake, None]:
    """One wake-up a place, with the last MODSEQ; without one where any of them has none."""
    found: dict[Wake, Wake] = {}
    for wake in wakes:
        known = found.get(wake)
        if known is None or known.modseq is not None:
            found[wake] = wake
    return dict.fromkeys(found.values())


class Rx(ABC):
    """A read transaction: all its reads see one state. Only valid inside the function it was given to."""

    dialect: ClassVar[DialectName]

    @abstractmethod
    def all(self, stmt: Stmt, /, **params: Any) -> list[tuple[Any, ...]]:
        """All rows. Binds that the statement declares as lists take any sequence."""

    def one(self, stmt: Stmt, /, **params: Any) -> tuple[Any, ...] | None:
        """The first row, or None."""
        rows = self.all(stmt, **params)
        return rows[0] if rows else None

    def scalar(self, stmt: Stmt, /, **params: Any) -> Any:
        """The first column of the first row, or None."""
        rows = self.all(stmt, **params)
        return rows[0][0] if rows else None


class Tx(Rx):
    """A write unit, inside the writer's transaction. `all`, `one` and `scalar` also run writes with RETURNING.

    Violated constraints are defects: a unit that expects a conflict writes ON CONFLICT, for on PostgreSQL
    an error ends the whole transaction.
    """

    def __init__(self) -> None:
        self.modseqs: dict[InboxId, ModSeq] = {}
        """MODSEQ this unit has drawn, one an inbox (`store.counters`)."""
        self.locked: set[InboxId] = set()
        """Inboxes whose rows this transaction has locked."""
        self.wakes: dict[Wake, None] = {}
        self.completed: set[ContentId] = set()
        """Contents this unit has written (`store.content`)."""

    @abstractmethod
    def run(self, stmt: Stmt, /, **params: Any) -> int:
        """Execute a write; the number of rows it touched."""

    @abstractmethod
    def do(self, stmt: Stmt, /, **params: Any) -> None:
        """Execute a write whose result nobody needs: PostgreSQL sends it together with what follows."""

    def wake(
        self,
        inbox_id: InboxId | None,
        mailbox_id: MailboxId | None = None,
        kind: WakeKind = WakeKind.MAIL,
        *,
        modseq: ModSeq | None = None,
    ) -> None:
        """Publish a wake-up once this unit is committed. `modseq`: all that changed are messages, by the unit's own."""
        wake = Wake(kind, inbox_id, mailbox_id, modseq)
        if modseq is None:
            self.wakes.pop(wake, None)  # one with a MODSEQ would say less
        self.wakes.setdefault(wake)

    def begin_unit(self) -> None:
        """Forget what an earlier unit of the same transaction drew: each unit has its own MODSEQ."""
        self.modseqs = {}
        self.wakes = {}
        self.completed = set()


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Tuning of the engines; the defaults are measured (docs/performance)."""

    readers: int = 2
    """Reader threads, each with a connection of its own."""
    reader_processes: int = 0
    """Reader processes: they use further cores for FETCH pages and searches (`Database.offload`)."""
    reader_modules: tuple[str, ...] = ()
    """Modules whose functions are offloaded; a process imports them before its first job."""
    job_seconds: float = 60.0
    """A job of a reader process that takes longer is given up, with its process (`TookTooLong`)."""
    group_octets: int = 1_000_000
    """A group of units is committed once it holds about this many octets …"""
    group_seconds: float = 0.010
    """… or has held the writer this long."""
    group_units: int = 200
    """… or so many units."""
    checkpoint_pages: int = 1_000
    """SQLite: checkpoint once the WAL holds more pages."""
    gate_pages: int = 16_384
    """SQLite: readers are held for a moment when checkpoints cannot keep the WAL below this."""
    writers: int = 4
    """PostgreSQL: writing connections."""
    silent_seconds: float = 15.0
    """PostgreSQL: a unit that says nothing for so long loses its locks and runs again (`postgresql_silent`)."""
    notify_seconds: float = 0.010
    """PostgreSQL: wake-ups for other nodes are gathered this long and sent in one small transaction."""
    flag_sync_seconds: float = 0.0
    """Relaxed units are answered before their flush, which follows within this time; 0: there are none."""
    mail_poll_seconds: float = 15.0
    """PostgreSQL: how late a lost wake-up may be noticed for mail …"""
    revocation_poll_seconds: float = 1.0
    """… and for revoked keys and deleted inboxes."""


class Database(ABC):
    """One open store. All methods are called on the event loop that `start` ran on."""

    dialect: ClassVar[DialectName]

    def __init__(self) -> None:
        self._listeners: dict[int, Callable[[Wake], None]] = {}
        self._next_listener = 0
        self._processes: ReaderProcesses | None = None

    @abstractmethod
    async def start(self) -> None:
        """Open connections and threads. The schema must be current (`store.migrate`)."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was queued, then close. Later calls raise Unavailable."""

    @abstractmethod
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
        """Run `unit`; what it did is durable when this returns, unless it is `relaxed` and the settings allow that.

        `staged`: it keeps a part of what a later unit makes whole, and is durable with that one at the latest.
        `inboxes`: all inboxes whose rows the unit changes; only a unit that names them may share a transaction with
        others on PostgreSQL; units that name none run in the order given. `octets`: about how much it writes, which
        bounds the group. Raises what the unit raises (only that unit is undone then), or Unavailable when the disk is
        full or the database is away. When the caller is cancelled the unit may still be done.
        """

    @abstractmethod
    async def read(self, query: Callable[[Rx], T]) -> T:
        """Run `query` in a read transaction of its own, in a reader thread. Keep it to one page of rows."""

    @abstractmethod
    async def tiny(self, query: Callable[[Rx], T]) -> T:
        """A read of a few rows by key: SQLite runs it on the loop itself (8 us against 84 through a thread)."""

    async def offload(
        self, job: Callable[Concatenate[Rx, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`read` for what takes long: `job` is a module's function, its arguments and result can be pickled.

        It runs in a reader process, so that this one's interpreter is free meanwhile; without one, in a thread.
        """
        return await self._elsewhere(job, args, kwargs, bulk=False)

    async def offload_bulk(
        self, job: Callable[Concatenate[Rx, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`offload` for work whose pages never end (searches in texts): it leaves one process to the others."""
        return await self._elsewhere(job, args, kwargs, bulk=True)

    @property
    def reader_processes(self) -> int:
        """How many reader processes are up."""
        return self._processes.up if self._processes is not None else 0

    async def _elsewhere(
        self, job: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], *, bulk: bool
    ) -> T:
        call = partial(job, **kwargs) if kwargs else job
        future = self._processes.submit(call, args, bulk=bulk) if self._processes is not None else None
        if future is not None:
            try:
                value: T = await future
            except ReaderLost:
                pass  # it only reads: a thread does it again
            else:
                return value
        return await self.read(lambda rx: call(rx, *args))

    @property
    @abstractmethod
    def writable(self) -> bool:
        """False after a failed flush to disk: the store stays read-only until restart and a check."""

    def subscribe(self, listener: Callable[[Wake], None]) -> Callable[[], None]:
        """Call `listener` on the loop after each commit that woke something; returns the way to stop it."""
        number = self._next_listener
        self._next_listener += 1
        self._listeners[number] = listener

        def unsubscribe() -> None:
            self._listeners.pop(number, None)

        return unsubscribe

    def _publish(self, wakes: Iterable[Wake]) -> None:
        for wake in wakes:
            for listener in list(self._listeners.values()):
                try:
                    listener(wake)
                except Exception:  # one listener's defect must not keep the others asleep
                    log.exception("store.listener_failed", kind=wake.kind.value)


class ReaderLost(Exception):
    """A reader process died with its job: ask a thread."""


def settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Answer a caller who may have been cancelled meanwhile."""
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)


def open_database(url: str, settings: StoreSettings | None = None) -> Database:
    """A database for `sqlite:///path/gateway.db` or `postgresql://…`, not yet started.

    Raises ConfigError for another URL or an SQLite that can lose commits (security.md "SQLite version").
    """
    from .urls import parse_url  # the engines import this module

    target = parse_url(url)
    if target.dialect == "sqlite":
        from .sqlite import SqliteDatabase

        return SqliteDatabase(target.path, settings or StoreSettings())
    from .postgresql import PostgresqlDatabase

    return PostgresqlDatabase(target.conninfo, settings or StoreSettings())
