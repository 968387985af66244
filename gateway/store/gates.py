"""What holds SQLite's readers off for a moment, so that the writer can let the WAL begin again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol


class ReaderGate(Protocol):
    """One reader's gate as the writer sees it. A reader thread's is a plain lock, held during each transaction."""

    def acquire(self, blocking: bool = True, timeout: float = -1, /) -> bool:
        """Let no transaction begin, and wait until none runs; False when one still does after `timeout` seconds."""

    def release(self) -> None:
        """Transactions may go on."""


class ProcessGate:
    """A reader process's gate: the serving process asks it before it sends a job."""

    def __init__(self, reopened: Callable[[], None]) -> None:
        """`reopened` is called, in the writer's thread, when jobs may go on."""
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._active = 0
        self._held = False
        self._reopened = reopened

    def enter(self) -> bool:
        """One more job; False while the writer holds the gate."""
        with self._lock:
            if self._held:
                return False
            self._active += 1
            self._idle.clear()
            return True

    def leave(self) -> None:
        with self._lock:
            self._active -= 1
            if not self._active:
                self._idle.set()

    def acquire(self, blocking: bool = True, timeout: float = -1, /) -> bool:
        """As `ReaderGate.acquire`, in the writer's thread."""
        with self._lock:
            self._held = True
        if self._idle.wait(timeout if blocking and timeout >= 0 else None):
            return True
        self.release()
        return False

    def release(self) -> None:
        with self._lock:
            self._held = False
        self._reopened()
