"""Rows of 5,000 who listen to one inbox: Server-Sent Events over TLS beside IDLE, on a process of its own each."""

from __future__ import annotations

import selectors
import ssl
import statistics
import time
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from tests.servers.process import cpu_seconds, memory_bytes

from .client import Account, Imap, Wire
from .corpus import message
from .gateway import start_gateway
from .measure import Row, Sample, Side, imap_of, in_threads
from .web_client import Http

LISTENERS = 5_000
CONNECTING = 4
EVENTS = 5


def sides(root: Path, stack: ExitStack) -> tuple[Side, Side]:
    """Memory that one kind has given back would be counted as the other's gain, so nobody shares a process."""
    found = []
    for name, of_web in (("gateway", True), ("own IDLE", False)):
        most = str(2 * LISTENERS)
        running = start_gateway(
            root / f"listeners-{name.replace(' ', '-')}", GATEWAY_LIMITS__CONNECTIONS_PER_IP=most,
            GATEWAY_LIMITS__CONNECTIONS_PER_INBOX=most,
        )
        stack.callback(running.stop)
        found.append(Side(name, running.process.pid, running.imap, web=running.web if of_web else None))
    return found[0], found[1]


class Listeners:
    """All connected and listening."""

    def __init__(self, side: Side, count: int) -> None:
        self._mark = b"\nevent: message.received" if side.web is not None else b" EXISTS\r\n"
        self.wires: list[Wire] = []
        account = side.web or imap_of(side)
        context = ssl.create_default_context(cafile=account.ca)

        def some(first: int) -> None:
            for _ in range(first, count, CONNECTING):
                self.wires.append(_sse(account, context) if side.web is not None else _idle(account, context))

        in_threads(CONNECTING, some)
        self._selector = selectors.DefaultSelector()
        for wire in self.wires:
            wire.sock.setblocking(False)
            wire.buffer.clear()
            self._selector.register(wire.sock, selectors.EVENT_READ, wire)

    def all_told(self) -> None:
        """Returns once each has heard of one more message."""
        waiting = set(map(id, self.wires))
        while waiting:
            for key, _ in self._selector.select(60):
                wire: Wire = key.data
                try:
                    wire.fill()
                except ssl.SSLWantReadError:
                    continue
                if self._mark in wire.buffer:
                    waiting.discard(id(wire))
                    wire.buffer.clear()

    def close(self) -> None:
        self._selector.close()
        for wire in self.wires:
            wire.close()


def _sse(account: Account, context: ssl.SSLContext) -> Wire:
    connection = Http(account, context=context)
    connection.send("GET", f"{connection.inbox}/events")
    while b"retry: " not in connection.wire.buffer:
        connection.wire.fill()
    return connection.wire


def _idle(account: Account, context: ssl.SSLContext) -> Wire:
    connection = Imap(account, context=context)
    connection.command("SELECT INBOX")
    connection.idle()
    return connection.wire


@cache
def _measured(side: Side) -> tuple[Sample, Sample]:
    """Memory and delivery: to connect so many takes longer than both."""
    first = Listeners(side, 10)
    base = memory_bytes(side.pid)
    listeners = Listeners(side, LISTENERS)
    used = memory_bytes(side.pid) - base
    first.close()
    return Sample(used / LISTENERS / 1024, None), _delivery(side, listeners)


def _delivery(side: Side, listeners: Listeners) -> Sample:
    writer = Imap(imap_of(side))
    writer.append("INBOX", message(0, 2048))
    listeners.all_told()
    taken = []
    before = cpu_seconds(side.pid)
    for number in range(EVENTS):
        octets = message(number + 1, 2048)
        start = time.perf_counter()
        writer.append("INBOX", octets)
        listeners.all_told()
        taken.append(time.perf_counter() - start)
    cpu = (cpu_seconds(side.pid) - before) * 1e6 / EVENTS / LISTENERS
    writer.logout()
    listeners.close()
    return Sample(statistics.median(taken) * 1e3, cpu)


def memory(side: Side) -> Sample:
    """KiB of proportional set size that each of them adds."""
    return _measured(side)[0]


def delivery(side: Side) -> Sample:
    """From the start of an APPEND until the last has heard of it, in ms, median of five; CPU a listener."""
    return _measured(side)[1]


ROWS: Iterable[Row] = (
    Row("HTTP memory a listener (SSE) at 5,000", "KiB", False, memory, "listeners", once=True),
    Row("HTTP an event to 5,000 listeners (SSE)", "ms", False, delivery, "listeners", once=True),
)
