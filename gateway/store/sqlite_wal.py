"""When SQLite's write-ahead log is copied into the database, by whom, and what a failure of that means.

Checkpoints are explicit, for a failed flush shows in their result and nowhere else. The writer makes them between its
transactions; while a large message arrives a `Copier` does it beside.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

import structlog

from .db import StoreSettings
from .gates import ReaderGate
from .sqlite_copier import LONGEST, Copier
from .sqlite_errors import FULL, error_code, is_io_error

log = structlog.get_logger(__name__)

NOOP_CHECKPOINT: Final = (3, 51, 0)  # first SQLite with wal_checkpoint(NOOP), which only tells the WAL's length
GATE_WAIT_SECONDS: Final = 2.0  # a reader's transaction is one page; longer means it is stuck, and we go on without
COUNT_UP: Final = (
    "INSERT INTO meta (key, value) VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
)


class WriteAheadLog:
    """Of the writing connection, whose cursor's `execute` it is given; all methods are for whoever has that."""

    def __init__(
        self,
        execute: Callable[..., Any],
        settings: StoreSettings,
        gates: list[ReaderGate],
        lost: Callable[[Exception], None],
        beside: Callable[[], Any] | None,
    ) -> None:
        """`lost` hears of an I/O error, in whatever thread; `beside` opens a connection for the copier."""
        self._execute = execute
        self._settings = settings
        self._gates = gates
        self._lost = lost
        self._copier = None if beside is None else Copier(beside, _copy, self._failed)
        text: str = execute("SELECT sqlite_version()").fetchone()[0]
        self._tells_length = tuple(int(part) for part in text.split(".")) >= NOOP_CHECKPOINT
        self._full = False  # the last checkpoint found no space
        self._unflushed = 0  # octets written since the last checkpoint, where the length cannot be asked

    def wrote(self, octets: int) -> None:
        """A transaction of about so many octets was committed."""
        self._unflushed += octets

    def due(self, *, streams: bool) -> bool:
        """Whether it is to be copied here and now. Not within a transaction.

        `streams`: what was committed is of a message that is still arriving. Then it is copied beside.
        """
        most = self._settings.checkpoint_pages
        if not self._tells_length:
            return self._unflushed > most * 4096
        try:
            _busy, pages, copied = self._execute("PRAGMA wal_checkpoint(NOOP)").fetchone()
        except Exception as error:  # the checkpoint itself meets the same error and judges it
            log.warning("store.wal_length_unknown", error=repr(error))
            return True
        copier = self._copier
        if copier is None or pages > LONGEST * most or not (streams or copier.busy):
            return bool(pages > most)
        if pages - copied > most and not copier.busy:
            copier.start()
        return False

    def checkpoint(self, *, patient: bool) -> None:
        """Copy it into the database and look at the result: a failed flush shows here.

        `patient`: where readers keep a long one from starting over, they are held for a moment.
        """
        if self._copier is not None:
            self._copier.wait()
        try:
            _busy, pages, copied = self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._unflushed = 0
            if copied < pages and pages > self._settings.gate_pages and patient:
                self._behind_gate(pages)
            self._full = False
        except Exception as error:
            self._failed(error)

    def stop(self) -> None:
        """Nothing is copied beside any more."""
        if self._copier is not None:
            self._copier.stop()

    def _failed(self, error: Exception) -> None:
        if error_code(error) == FULL:
            # Nothing is lost: the WAL keeps what was acknowledged. Told once, for each unit would tell it again.
            if not self._full:
                log.warning("store.checkpoint_delayed", error=repr(error), remedy="free space on the disk")
            self._full = True
            return
        log.error("store.checkpoint_failed", error=repr(error))
        if is_io_error(error):
            self._lost(error)

    def _behind_gate(self, pages: int) -> None:
        """Readers always somewhere in the WAL keep it from starting over: hold them while it is copied and reset."""
        with ExitStack() as held:
            for gate in list(self._gates):
                if gate.acquire(True, GATE_WAIT_SECONDS):
                    held.callback(gate.release)
            _busy, left, copied = self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._execute(COUNT_UP, ("wal_reset",))  # the first write after a complete checkpoint starts the WAL over
        log.info("store.wal_gate", pages=pages, left=left - copied)


def _copy(connection: Any) -> None:
    connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
