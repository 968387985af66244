"""A queue that empties into a server that takes everything, beside Postfix.

Each side takes the mail while nothing listens where it is to go, and keeps it. Then smtp-sink is started there, and
the side is told to try again: the clock runs until its queue is empty. Both deliver over plain SMTP with 20
connections, and write each outcome down durably.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from gateway.control.client import SocketCaller
from tests.servers.postfix import Postfix, start_postfix
from tests.servers.process import wait_for

from .client import Account, Smtp
from .corpus import fresh, message
from .gateway import Running, start_gateway
from .measure import Row, Sample, Side, in_threads, smtp_of, timed
from .sink import Sink

CONNECTIONS = 20
MESSAGES = 2_000
FILLERS = 8


@dataclass(frozen=True)
class Emptying:
    """How one side is made to keep mail, told to try it again, and asked how many messages are left."""

    sink: Sink
    keep: Callable[[], None]
    go: Callable[[], None]
    left: Callable[[], int]


def into_sink(side: Side) -> Sample:
    queue = side.queue
    assert queue is not None
    queue.keep()
    _fill(side)
    queue.sink.start()

    def work() -> None:
        queue.go()
        wait_for(lambda: not queue.left(), "the queue to be empty", 600)

    sample = timed(side, MESSAGES, work)
    queue.sink.stop()
    return sample


def _fill(side: Side) -> None:
    connections = [Smtp(smtp_of(side)) for _ in range(FILLERS)]
    mail = [fresh(message(number, sender=side.sender.decode())) for number in range(MESSAGES)]

    def one(number: int) -> None:
        for at, octets in enumerate(mail[number::FILLERS]):
            connections[number].submit(side.sender, b"to%dx%d@elsewhere.test" % (number, at), octets)

    in_threads(FILLERS, one)
    for connection in connections:
        connection.quit()


def sides(root: Path, stack: ExitStack) -> tuple[Side, Side]:
    """The gateway and Postfix, each with a sink of its own that does not listen yet."""
    ours, theirs = Sink(), Sink()
    stack.callback(ours.stop)
    stack.callback(theirs.stop)
    running = start_gateway(
        root / "queue", GATEWAY_RELAY__PORT=str(ours.port), GATEWAY_QUEUE__PER_DESTINATION=str(CONNECTIONS),
        GATEWAY_QUEUE__CONNECTIONS=str(CONNECTIONS),
    )
    stack.callback(running.stop)
    postfix = start_postfix(
        root / "postfix-queue",
        f"relayhost = [127.0.0.1]:{theirs.port}\ndefault_destination_concurrency_limit = {CONNECTIONS}\n",
    )
    stack.callback(postfix.stop)
    return (
        Side(
            "gateway", running.process.pid, running.imap, running.smtp, running.imap.user.encode(),
            queue=_of_gateway(running, ours),
        ),
        Side(
            "Postfix", postfix.process.pid, None, Account(postfix.smtps, postfix.ca, "", ""),
            queue=_of_postfix(postfix, theirs),
        ),
    )


def _of_gateway(running: Running, sink: Sink) -> Emptying:
    store = running.gateway.data_dir / "gateway.db"
    socket = running.gateway.data_dir / "control.sock"

    def go() -> None:
        os.kill(running.process.pid, signal.SIGHUP)  # lifts the pause of the next hop
        asyncio.run(SocketCaller(socket).call("queue.retry", {}))  # and what was tried does not wait for its time

    def left() -> int:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT count(*) FROM submission WHERE finished_at IS NULL").fetchone()
        return int(found[0])

    return Emptying(sink, lambda: None, go, left)


def _of_postfix(postfix: Postfix, sink: Sink) -> Emptying:
    etc = postfix.queue.parent / "etc"

    def configure(*lines: str) -> None:
        main = etc / "main.cf"
        kept = [line for line in main.read_text().splitlines() if not line.startswith("defer_transports")]
        main.write_text("\n".join([*kept, *lines]) + "\n")
        _run("postfix", "-c", str(etc), "reload")

    def go() -> None:
        configure()
        _run("postqueue", "-c", str(etc), "-f")

    def left() -> int:
        places = (postfix.queue / name for name in ("incoming", "active", "deferred"))
        return sum(len(files) for place in places for _, _, files in os.walk(place))

    return Emptying(sink, lambda: configure("defer_transports = smtp"), go, left)


def _run(program: str, *arguments: str) -> None:
    command = [f"/usr/sbin/{program}", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


ROWS: Iterable[Row] = (Row("queue into smtp-sink, 4 KB, 20 connections", "/s", True, into_sink, "queue"),)
