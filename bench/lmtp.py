"""Mail handed on by a server in front: LMTP over TCP, a message a transaction, for an inbox a connection."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass

from .corpus import message
from .measure import Row, Sample, Side, in_threads, timed

CONNECTIONS = 20  # as many as Postfix opens to one destination unless it is told otherwise
MESSAGES = 2_000


@dataclass(frozen=True)
class Place:
    """Where to hand mail on, and for whom: one recipient a connection."""

    port: int
    recipients: tuple[bytes, ...]


class Lmtp:
    """One connection; any reply that is not as expected is a RuntimeError with the server's words."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._sock.makefile("rb")
        self._reply(b"220")
        self._ask(b"LHLO bench.example.org", b"250")

    def _reply(self, code: bytes) -> None:
        line = self._file.readline()
        while line[3:4] == b"-":
            line = self._file.readline()
        if not line.startswith(code):
            raise RuntimeError(line.decode(errors="replace"))

    def _ask(self, line: bytes, code: bytes) -> None:
        self._sock.sendall(line + b"\r\n")
        self._reply(code)

    def deliver(self, recipient: bytes, octets: bytes) -> None:
        """The envelope in one packet, as Postfix sends it, without SIZE, which Dovecot does not know.

        `octets` must need no dot-stuffing.
        """
        self._sock.sendall(b"MAIL FROM:<bench@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\n" % recipient)
        self._reply(b"250")
        self._reply(b"250")
        self._reply(b"354")
        self._sock.sendall(octets + b".\r\n")
        self._reply(b"250")

    def quit(self) -> None:
        self._ask(b"QUIT", b"221")
        self._sock.close()


def intake(side: Side) -> Sample:
    place = side.lmtp
    assert place is not None
    connections = [Lmtp(place.port) for _ in range(CONNECTIONS)]
    mail = [message(number) for number in range(MESSAGES)]
    for number, connection in enumerate(connections):
        connection.deliver(place.recipients[number], mail[0])  # warm

    def one(number: int) -> None:
        for octets in mail[number::CONNECTIONS]:
            connections[number].deliver(place.recipients[number], octets)

    sample = timed(side, MESSAGES, lambda: in_threads(CONNECTIONS, one))
    for connection in connections:
        connection.quit()
    return sample


ROWS: Iterable[Row] = (
    Row("LMTP intake, 4 KB, 20 connections", "/s", True, intake, "lmtp"),
)
