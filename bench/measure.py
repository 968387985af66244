"""What a row is: a server under test, steps that run on it, and the rate or time and CPU that come of them."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.process import cpu_seconds

from .client import Account, Imap

if TYPE_CHECKING:
    from .lmtp import Place
    from .queue import Emptying
    from .web_hooks import Hooks


@dataclass(frozen=True)
class Side:
    """One server under test: the accounts to use and the process whose tree pays the CPU."""

    name: str
    pid: int
    imap: Account | None = None
    smtp: Account | None = None
    sender: bytes = b"bench@example.org"
    recipient: bytes = b"someone@elsewhere.test"
    lmtp: Place | None = None
    queue: Emptying | None = None
    web: Account | None = None
    """The HTTP side; a side without it does the same by IMAP or SMTP."""
    hooks: Hooks | None = None


@dataclass(frozen=True)
class Sample:
    """`value` in the row's unit; `cpu_us` microseconds of server CPU an operation (None: not meaningful).

    `times`: p50 and p99 of an operation in milliseconds, where each was timed.
    """

    value: float
    cpu_us: float | None
    times: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    name: str
    unit: str
    higher_is_better: bool
    run: Callable[[Side], Sample]
    protocol: str = "imap"
    once: bool = False
    """It takes long: one round, and none beside a busy session."""
    quiet: bool = False
    """It brings a load of its own: nothing else is busy."""


def timed(side: Side, operations: int, work: Callable[[], None], *, rate: bool = True, unit: float = 1.0) -> Sample:
    before, start = cpu_seconds(side.pid), time.perf_counter()
    work()
    wall = time.perf_counter() - start
    cpu = (cpu_seconds(side.pid) - before) * 1e6 / operations
    return Sample(operations / wall if rate else wall / operations * unit, cpu)


def imap_of(side: Side) -> Account:
    assert side.imap is not None
    return side.imap


def smtp_of(side: Side) -> Account:
    assert side.smtp is not None
    return side.smtp


def web_of(side: Side) -> Account:
    assert side.web is not None
    return side.web


def spread(taken: Sequence[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds of `taken` in seconds."""
    return statistics.median(taken) * 1e3, statistics.quantiles(taken, n=100)[-1] * 1e3


def each_timed(side: Side, connections: int, operations: int, work: Callable[[int, int], object]) -> Sample:
    """`work(connection, number)` for all numbers, spread over the connections, each of which asks without a pause."""
    taken: list[float] = []

    def one(connection: int) -> None:
        for number in range(connection, operations, connections):
            start = time.perf_counter()
            work(connection, number)
            taken.append(time.perf_counter() - start)

    sample = timed(side, operations, lambda: in_threads(connections, one))
    return Sample(sample.value, sample.cpu_us, spread(taken))


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run `work(n)` in `count` threads; the first failure is raised here."""
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def on_selected(side: Side, operations: int, command: Callable[[int], str], *, unit: float = 0.0) -> Sample:
    """Numbered commands on a connection that has INBOX selected: a rate, or the seconds of each times `unit`."""
    connection = Imap(imap_of(side))
    connection.command("SELECT INBOX")
    connection.command(command(0))  # warm

    def work() -> None:
        for number in range(operations):
            connection.command(command(number))

    sample = timed(side, operations, work, rate=unit == 0.0, unit=unit)
    connection.logout()
    return sample
