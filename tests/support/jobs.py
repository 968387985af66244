"""Jobs for the reader processes of tests: a process must be able to import them."""

from __future__ import annotations

import os
import signal

from gateway.model.errors import NotFound
from gateway.store.db import Rx
from gateway.store.statements import Stmt
from tests.servers.process import wait_for

_COUNT = Stmt("SELECT count(*) FROM meta")


def pid_and_count(rx: Rx) -> tuple[int, int]:
    return os.getpid(), rx.scalar(_COUNT)


def echo(rx: Rx, octets: bytes, *, times: int = 1) -> bytes:
    return octets * times


def not_found(rx: Rx, name: str) -> None:
    raise NotFound(f"No {name} here")


class _Odd(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def odd(rx: Rx) -> None:
    """An error that cannot be made again from its arguments."""
    raise _Odd(1, 2)


def die(rx: Rx, parent: int) -> int:
    """End the process, unless it is `parent`'s own thread that runs this."""
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def work_until(rx: Rx, path: str, *, began: str = "") -> int:
    """Work until the file `path` is there; the process id is written to `began`."""
    if began:
        with open(f"{began}.new", "w") as file:
            file.write(str(os.getpid()))
        os.replace(f"{began}.new", began)
    wait_for(lambda: os.path.exists(path), "the test to say that it may end", 600, 0.002)
    return os.getpid()


def loop(rx: Rx, parent: int) -> None:
    """Never end, but in `parent`'s own thread."""
    while os.getpid() != parent:
        pass
