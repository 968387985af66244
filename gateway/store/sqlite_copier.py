"""Copies SQLite's write-ahead log into the database beside the writer, while a large message is still arriving.

A checkpoint of 4 MB takes as long as it took to write them (13 ms), and in the writer's thread nothing is written
meanwhile. A body that streams in would wait for one every 4 MB; so then, and only then, a thread with a connection
of its own copies, and the writer goes on appending. SQLite allows that; the log merely cannot start over until a
checkpoint has all of it, which the writer does itself once the log is a few times as long as usual.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

LONGEST: Final = 4
"""Times `checkpoint_pages` that the log may hold before the writer copies the rest itself, and the log starts over."""


class Copier:
    """One thread and one connection, both made when they are first wanted. All methods are the writer's thread's."""

    def __init__(
        self, connect: Callable[[], Any], copy: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None:
        """`copy(connection)` and, with what that or `connect` raises, `failed` are called in the thread."""
        self._connect = connect
        self._copy = copy
        self._failed = failed
        self._jobs: SimpleQueue[bool] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        return not self._idle.is_set()

    def start(self) -> None:
        """Begin to copy what the log holds. Not while `busy`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="store-copier", daemon=True)
            self._thread.start()
        self._idle.clear()
        self._jobs.put(True)

    def wait(self) -> None:
        """Until nothing is being copied: two checkpoints exclude each other."""
        self._idle.wait()

    def stop(self) -> None:
        if self._thread is not None:
            self._jobs.put(False)
            self._thread.join()
            self._thread = None

    def _serve(self) -> None:
        connection = None
        try:
            while self._jobs.get():
                try:
                    if connection is None:
                        connection = self._connect()
                    self._copy(connection)
                except Exception as error:
                    self._failed(error)
                finally:
                    self._idle.set()
        finally:
            if connection is not None:
                connection.close()
