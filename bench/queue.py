"""`python -m bench.queue`: how fast a queue empties into a server that takes everything, beside Postfix.

Both take the same mail while nothing listens where it is to go, and keep it. Then smtp-sink is started there, and both
are told to try again: the clock runs until the queue is empty. Each delivers over plain SMTP with 20 connections, and
writes the outcome down durably.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from gateway.control.client import SocketCaller
from tests.servers.postfix import Postfix, start_postfix
from tests.servers.process import cpu_seconds

from .client import Account, Smtp
from .corpus import message
from .gateway import Running, start_gateway
from .measure import in_threads
from .report import replace_between
from .sink import Sink

BEGIN, END = "<!-- queue: begin -->", "<!-- queue: end -->"
CONNECTIONS = 20
_numbers = itertools.count(1_000_000)
"""Of messages: the same mail again would be known, and not sent twice."""


@dataclass(frozen=True)
class Emptied:
    """Messages a second, and microseconds of CPU a message of all processes of the server."""

    rate: float
    cpu_us: float


@dataclass(frozen=True)
class Side:
    name: str
    pid: int
    account: Account
    sender: str
    go: Callable[[], None]
    left: Callable[[], int]


def fill(side: Side, count: int, size: int) -> None:
    connections = [Smtp(side.account) for _ in range(8)]
    mail = [message(next(_numbers), size, sender=side.sender) for _ in range(count)]

    def one(number: int) -> None:
        for at, octets in enumerate(mail[number::8]):
            to = f"to{number}x{at}@elsewhere.test"
            connections[number].submit(side.sender.encode(), to.encode(), octets)

    in_threads(8, one)
    for connection in connections:
        connection.quit()


def empty(side: Side, sink: Sink, count: int) -> Emptied:
    sink.start()
    before, start = cpu_seconds(side.pid), time.perf_counter()
    side.go()
    while side.left():
        time.sleep(0.02)  # another process works: there is nothing to wait on
    wall = time.perf_counter() - start
    cpu = (cpu_seconds(side.pid) - before) * 1e6 / count
    sink.stop()
    return Emptied(count / wall, cpu)


def gateway_side(running: Running) -> Side:
    store = running.gateway.data_dir / "gateway.db"
    socket = running.gateway.data_dir / "control.sock"

    def go() -> None:
        os.kill(running.process.pid, signal.SIGHUP)  # lifts the pause of the next hop
        asyncio.run(SocketCaller(socket).call("queue.retry", {}))  # and what was tried does not wait for its time

    def left() -> int:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT count(*) FROM submission WHERE finished_at IS NULL").fetchone()
        return int(found[0])

    return Side("gateway", running.process.pid, running.smtp, running.gateway.address, go, left)


def postfix_side(postfix: Postfix) -> Side:
    etc = postfix.queue.parent / "etc"

    def configure(deferred: bool) -> None:
        main = etc / "main.cf"
        lines = [line for line in main.read_text().splitlines() if not line.startswith("defer_transports")]
        main.write_text("\n".join([*lines, *(["defer_transports = smtp"] if deferred else [])]) + "\n")
        for command in (["/usr/sbin/postfix", "-c", str(etc), "reload"], ["/usr/sbin/postqueue", "-c", str(etc), "-f"]):
            if not deferred or "reload" in command:
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def left() -> int:
        return sum(
            1 for name in ("incoming", "active", "deferred") for _, _, files in os.walk(postfix.queue / name)
            for _ in files
        )

    configure(deferred=True)
    return Side(
        "Postfix", postfix.process.pid, Account(postfix.smtps, postfix.ca, "", ""), "bench@example.org",
        lambda: configure(deferred=False), left,
    )


def throughput(count: int, size: int, rounds: int) -> tuple[list[Emptied], list[Emptied]]:
    ours: list[Emptied] = []
    theirs: list[Emptied] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        root, sink = Path(name), Sink()
        stack.callback(sink.stop)
        running = start_gateway(
            root / "gateway", GATEWAY_RELAY__PORT=str(sink.port), GATEWAY_QUEUE__PER_DESTINATION=str(CONNECTIONS),
            GATEWAY_QUEUE__CONNECTIONS=str(CONNECTIONS),
        )
        stack.callback(running.stop)
        for number in range(rounds):
            side = gateway_side(running)
            fill(side, count, size)
            ours.append(empty(side, sink, count))
            print(f"gateway: {ours[-1]}", flush=True)
            postfix = start_postfix(
                root / f"postfix{number}",
                f"relayhost = [127.0.0.1]:{sink.port}\ndefault_destination_concurrency_limit = {CONNECTIONS}\n",
            )
            try:
                peer = postfix_side(postfix)
                fill(peer, count, size)
                theirs.append(empty(peer, sink, count))
            finally:
                postfix.stop()
            print(f"Postfix: {theirs[-1]}", flush=True)
    return ours, theirs


def row(name: str, ours: list[Emptied], theirs: list[Emptied]) -> str:
    rate, peer = (statistics.median(each.rate for each in side) for side in (ours, theirs))
    cpu, peer_cpu = (statistics.median(each.cpu_us for each in side) for side in (ours, theirs))
    return (
        f"| {name} | {rate:,.0f} | {peer:,.0f} | {rate / peer:.2f} | {cpu:,.0f} | {peer_cpu:,.0f} |"
        f" {peer_cpu / cpu:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.queue", description=__doc__)
    parser.add_argument("--messages", type=int, default=3000, help="messages a round (default 3000)")
    parser.add_argument("--size", type=int, default=4096, help="octets of each (default 4096)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds on each side (default 3)")
    parser.add_argument("--write", type=Path, help="write the table into this Markdown file")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    ours, theirs = throughput(options.messages, options.size, options.rounds)
    lines = [
        "| queue into smtp-sink | gateway /s | Postfix /s | ratio | CPU us | Postfix's CPU us | CPU ratio |",
        "|---|---|---|---|---|---|---|",
        row(f"{options.messages:,} messages of {options.size // 1024} KiB, 20 connections", ours, theirs),
    ]
    note = f"{os.cpu_count()} cores, load average before {load:.1f}; medians of {options.rounds} rounds.\n\n"
    print(note + "\n".join(lines))
    if options.write:
        replace_between(options.write, BEGIN, END, note + "\n".join(lines))


if __name__ == "__main__":
    main()
