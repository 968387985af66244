"""A thin blocking client for both protocols: it costs little, so what is measured is the server."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """Where and as whom to log in; the host is always `localhost`, the certificate is always verified."""

    port: int
    ca: Path
    user: str
    secret: str

    def connect(self, context: ssl.SSLContext | None = None) -> Wire:
        """`context`: one for many connections, which takes less of the client."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = context or ssl.create_default_context(cafile=self.ca)
        return Wire(context.wrap_socket(raw, server_hostname="localhost"))


class Wire:
    """Lines and bulk reads over one TLS socket."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.buffer = bytearray()
        self._chunk = bytearray(262144)

    def fill(self) -> None:
        got = self.sock.recv_into(self._chunk)
        if not got:
            raise ConnectionError("the server closed the connection")
        self.buffer += memoryview(self._chunk)[:got]

    def line(self) -> bytes:
        while (end := self.buffer.find(b"\n")) < 0:
            self.fill()
        found = bytes(self.buffer[: end + 1])
        del self.buffer[: end + 1]
        return found

    def close(self) -> None:
        self.sock.close()


class Imap:
    """One IMAP connection; a command that is not OK raises RuntimeError with the server's words."""

    def __init__(self, account: Account, *, login: bool = True, context: ssl.SSLContext | None = None) -> None:
        self.wire = account.connect(context)
        self.wire.line()
        self._number = 0
        if login:
            self.command(f'LOGIN "{account.user}" "{account.secret}"')

    def send(self, text: str | bytes) -> bytes:
        self._number += 1
        tag = b"a%d" % self._number
        octets = text.encode() if isinstance(text, str) else text
        self.wire.sock.sendall(tag + b" " + octets + b"\r\n")
        return tag

    def command(self, text: str | bytes) -> int:
        """Run one command; return how many octets the answer had. The answer itself is thrown away."""
        return self.finish(self.send(text))

    def finish(self, tag: bytes) -> int:
        """Read up to the tagged line without looking at what comes before it."""
        wire, marker, seen, first = self.wire, b"\r\n" + tag + b" ", 0, True
        while True:
            buffer = wire.buffer
            at = 0 if first and seen == 0 and buffer.startswith(tag + b" ") else -1
            if at < 0:
                found = buffer.find(marker)
                at = found + 2 if found >= 0 else -1
            if at >= 0 and (end := buffer.find(b"\n", at)) >= 0:
                line = bytes(buffer[at : end + 1])
                seen += end + 1
                del buffer[: end + 1]
                if not line.startswith(tag + b" OK"):
                    raise RuntimeError(line.decode(errors="replace"))
                return seen
            keep = len(marker)
            if at < 0 and len(buffer) > keep:
                seen += len(buffer) - keep
                del buffer[:-keep]
                first = False
            wire.fill()

    def append(self, mailbox: str, octets: bytes) -> None:
        tag = self.send(b"APPEND %s {%d+}\r\n%s" % (mailbox.encode(), len(octets), octets))
        self.finish(tag)

    def append_many(self, mailbox: str, batch: Iterable[bytes]) -> None:
        """Pipelined: fills a mailbox quickly; not for measuring."""
        tags: list[bytes] = []
        for octets in batch:
            tags.append(self.send(b"APPEND %s {%d+}\r\n%s" % (mailbox.encode(), len(octets), octets)))
            if len(tags) >= 16:
                self.finish(tags.pop(0))
        for tag in tags:
            self.finish(tag)

    def idle(self) -> bytes:
        tag = self.send("IDLE")
        while not self.wire.line().startswith(b"+"):
            pass
        return tag

    def logout(self) -> None:
        self.command("LOGOUT")
        self.wire.close()


class Smtp:
    """One submission connection over implicit TLS; `secret` empty: no AUTH (the peer trusts the network)."""

    def __init__(self, account: Account) -> None:
        self.wire = account.connect()
        self.reply(b"220")
        self.ask(b"EHLO bench.example.org", b"250")
        if account.secret:
            plain = base64.b64encode(f"\0{account.user}\0{account.secret}".encode())
            self.ask(b"AUTH PLAIN " + plain, b"235")

    def reply(self, code: bytes) -> None:
        while True:
            line = self.wire.line()
            if line[3:4] != b"-":
                break
        if not line.startswith(code):
            raise RuntimeError(line.decode(errors="replace"))

    def ask(self, line: bytes, code: bytes) -> None:
        self.wire.sock.sendall(line + b"\r\n")
        self.reply(code)

    def submit(self, sender: bytes, recipient: bytes, octets: bytes) -> None:
        """`octets` must need no dot-stuffing."""
        self.ask(b"MAIL FROM:<%s> SIZE=%d" % (sender, len(octets)), b"250")
        self.ask(b"RCPT TO:<%s>" % recipient, b"250")
        self.ask(b"DATA", b"354")
        self.wire.sock.sendall(octets + b".\r\n")
        self.reply(b"250")

    def submit_chunk(self, sender: bytes, recipient: bytes, octets: bytes) -> None:
        """The whole message in one BDAT."""
        self.ask(b"MAIL FROM:<%s> SIZE=%d" % (sender, len(octets)), b"250")
        self.ask(b"RCPT TO:<%s>" % recipient, b"250")
        self.wire.sock.sendall(b"BDAT %d LAST\r\n" % len(octets) + octets)
        self.reply(b"250")

    def quit(self) -> None:
        self.ask(b"QUIT", b"221")
        self.wire.close()
