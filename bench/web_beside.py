"""Rows of IMAP beside HTTP load and without it: the same command on the same server, in turn."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.synchronize import Event

from .client import Account, Imap
from .corpus import message
from .measure import Row, Sample, Side, each_timed, imap_of, web_of
from .web_client import Http
from .web_reads import pages

CONNECTIONS = 4


def _ask(account: Account, paths: list[str], pause: float, begun: Event) -> None:
    """Lists and messages in turn; `pause` 0: each connection asks again at once, else a request that often."""
    turn = itertools.cycle(paths)
    clock = itertools.count()
    start = time.monotonic()

    def one() -> None:
        connection = Http(account)
        while True:
            if pause:
                # The pace is what is measured beside: so many requests a second, and not as many as the server answers.
                # There is no event to wait for, only the next request's moment.
                time.sleep(max(0.0, start + next(clock) * pause - time.monotonic()))
            connection.get(next(turn))
            begun.set()

    threads = [threading.Thread(target=one) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def http_beside(side: Side, rate: float) -> Iterator[None]:
    """`rate` requests a second, half of them lists of 50; 0: as many as four connections get."""
    lists, messages = pages(side)
    paths = [path for pair in zip(lists, messages, strict=False) for path in pair]
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(
        target=_ask, args=(web_of(side), paths, 1 / rate if rate else 0.0, begun), daemon=True
    )
    process.start()
    if not begun.wait(60):
        raise RuntimeError("the HTTP load had no answer")
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _beside(rate: float, operations: int, work: Callable[[Imap, int], object]) -> Callable[[Side], Sample]:
    """`work` by one connection that asks without a pause; a side with HTTP has that load beside it."""

    def run(side: Side) -> Sample:
        connection = Imap(imap_of(side))
        connection.command("SELECT INBOX")
        with http_beside(side, rate) if side.web is not None else nullcontext():
            sample = each_timed(side, 1, operations, lambda _, number: work(connection, number))
        connection.logout()
        return Sample(sample.value, None, sample.times)

    return run


def _body(connection: Imap, number: int) -> object:
    return connection.command(f"UID FETCH {1 + number * 7 % 9000} (UID BODY.PEEK[])")


def _noop(connection: Imap, _: int) -> object:
    return connection.command("NOOP")


def _append(connection: Imap, number: int) -> object:
    return connection.append("Trash", message(number))


def _row(name: str, run: Callable[[Side], Sample]) -> Row:
    return Row(f"IMAP {name}", "/s", True, run, "beside", quiet=True)


ROWS: Iterable[Row] = (
    _row("NOOP beside 50 HTTP requests a second", _beside(50, 4000, _noop)),
    _row("one small body beside 50 HTTP requests a second", _beside(50, 1500, _body)),
    _row("durable APPEND beside 50 HTTP requests a second", _beside(50, 500, _append)),
    _row("one small body beside all that 4 HTTP connections get", _beside(0, 600, _body)),
)
