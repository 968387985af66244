"""Reader threads: each owns a connection and answers one query after another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from gateway.model.errors import Unavailable

from .db import Rx, settle

Query = Callable[[Rx], Any]
_Job = tuple[Query, asyncio.Future[Any]]


class ReaderPool:
    """`size` threads that share one queue and answer each query, also when they cannot connect."""

    def __init__(self, name: str, size: int, connect: Callable[[], tuple[Callable[[Query], Any], Callable[[], None]]]):
        """`connect` is called in each thread: (run a query in a transaction of its own, close), or Unavailable."""
        self._name = name
        self._size = size
        self._connect = connect
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        for number in range(self._size):
            thread = threading.Thread(target=self._serve, name=f"{self._name}-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, query: Query) -> asyncio.Future[Any]:
        """Queue `query`; the future is answered on the loop."""
        if self._loop is None:
            raise Unavailable("The store is not open")
        future = self._loop.create_future()
        self._queue.put((query, future))
        return future

    def stop(self) -> None:
        """Finish what was queued; returns once all threads are gone. Called off the loop."""
        self._loop = None
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _serve(self) -> None:
        run: Callable[[Query], Any] | None = None
        close: Callable[[], None] = _nothing_to_close
        try:
            while (job := self._queue.get()) is not None:
                query, future = job
                if future.cancelled():
                    continue
                value: Any = None
                error: BaseException | None = None
                try:
                    if run is None:  # also after a failure to connect: the next query tries again
                        run, close = self._connect()
                    value = run(query)
                except BaseException as failure:  # whatever a query raises belongs to its caller, not to this thread
                    error = failure
                answer(future, value, error)
        finally:
            close()


def _nothing_to_close() -> None:
    """Stands for the close function of a thread that never got a connection."""


def answer(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Settle `future` from another thread."""
    try:
        future.get_loop().call_soon_threadsafe(settle, future, value, error)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return
