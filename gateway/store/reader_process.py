"""A reader process: it opens the store by itself and runs the jobs that its parent sends, one after another.

One interpreter runs on one core at a time; what takes long and only reads (rows to FETCH responses, SEARCH in texts)
is done here, so that sessions go on beside it. The parent's end of the socket is `store.processes`. Both ends are
the same program of the same user: what travels is pickled (`store.reader_frames`).
"""

from __future__ import annotations

import gc
import importlib
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from . import reader_frames
from .reader_frames import LENGTH, READY, Answer, Opening, frame
from .urls import Target


def run(channel: socket.socket) -> None:
    """Answer jobs, each `(function, arguments)`, until the parent closes its end or is gone."""
    reader_frames.apart = True
    opening: Opening = _receive(channel)
    for module in opening.modules:
        importlib.import_module(module)
    gc.freeze()
    read, close = _reader(opening.target)
    try:
        channel.sendall(frame(READY))
        while True:
            job, arguments = _receive(channel)
            channel.sendall(_answer(read, job, arguments))
    except (EOFError, ConnectionError):
        return
    finally:
        close()


def _answer(read: Callable[[Callable[[Any], Any]], Any], job: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    try:
        return frame(Answer(read(lambda rx: job(rx, *arguments))))
    except Exception as error:
        error.add_note("In a reader process:\n" + traceback.format_exc())  # a traceback is not pickled
        return _error_frame(error)


def _error_frame(error: Exception) -> bytes:
    try:
        octets = frame(Answer(None, error))
        pickle.loads(octets[LENGTH.size :])
    except Exception as failure:  # an exception whose arguments are not its constructor's
        return frame(Answer(None, RuntimeError(f"{error!r} (not handed over as it is: {failure!r})")))
    return octets


def _reader(target: Target) -> tuple[Callable[[Callable[[Any], Any]], Any], Callable[[], None]]:
    if target.dialect == "sqlite":
        from .sqlite import open_reader

        return open_reader(target.path)
    from .postgresql import open_reader as open_postgresql_reader

    return open_postgresql_reader(target.conninfo)


def _receive(channel: socket.socket) -> Any:
    return pickle.loads(_exactly(channel, LENGTH.unpack(_exactly(channel, LENGTH.size))[0]))


def _exactly(channel: socket.socket, size: int) -> bytearray:
    octets = bytearray(size)
    view = memoryview(octets)
    at = 0
    while at < size:
        got = channel.recv_into(view[at:])
        if not got:
            raise EOFError
        at += got
    return octets


def main() -> None:
    # The parent alone decides when it ends: a terminal and a service manager signal the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        run(channel)


if __name__ == "__main__":
    main()
