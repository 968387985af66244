"""What the tests of the whole process share: raw clients over TLS that may say anything, and the control socket."""

from __future__ import annotations

import itertools
import re
import select
import socket
import sqlite3
import ssl
import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.servers.process import wait_for
from tests.support.closing import Closing
from tests.support.gateway import HOST, Gateway

PATIENCE = 60.0  # seconds until a test says that an event does not come; never what it takes
_SOURCES = itertools.count(1)


def new_source() -> str:
    """A loopback address of its own: failed logins are counted by address."""
    number = next(_SOURCES)
    return f"127.77.{number // 250}.{number % 250 + 1}"


def control(gateway: Gateway, op: str, **params: Any) -> Any:
    """An operation of the running server, over its control socket as the command line does it."""
    return gateway.operate(op, **params)


def new_inbox(gateway: Gateway, address: str, **key: Any) -> tuple[str, str]:
    """An inbox in a domain that exists, and a key for it."""
    control(gateway, "inbox.add", address=address)
    return address, new_key(gateway, inbox=address, **key)


ISSUED: set[str] = set()
"""All keys that tests have made: none may ever stand in a log."""


def new_key(gateway: Gateway, **params: Any) -> str:
    key = str(control(gateway, "key.create", **params)["key"])
    ISSUED.add(key)
    return key


def secrets_in(gateway: Gateway) -> list[str]:
    """Lines of the log that hold a key, the secret part of one, or what a login with it looks like."""
    text = gateway.log_file.read_text(errors="replace")
    parts = [part for key in {gateway.key, *ISSUED} for part in (key[13:41], b64encode(key[12:42].encode()).decode())]
    return [line for line in text.splitlines() if any(part in line for part in parts)]


class Wire(Closing):
    """A connection. Reads whole lines; "" and b"" are its end, whatever way it came."""

    def __init__(
        self, port: int, tls: ssl.SSLContext | None, *, source: str | None = None, receive_buffer: int | None = None
    ) -> None:
        plain = socket.socket()
        if receive_buffer is not None:  # before connecting, or the window has been offered already
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(PATIENCE)
        self.socket: socket.socket = plain
        self._buffer = b""
        try:
            plain.bind((source or new_source(), 0))
            plain.connect(("127.0.0.1", port))
            if tls is not None:
                self.start_tls(tls)
        except BaseException:
            plain.close()
            raise

    def start_tls(self, tls: ssl.SSLContext) -> None:
        assert not self._buffer, "the server said more than it may before the handshake"
        self.socket = tls.wrap_socket(self.socket, server_hostname=HOST)

    def peer_certificate(self) -> bytes:
        """The server's certificate, DER."""
        assert isinstance(self.socket, ssl.SSLSocket)
        octets = self.socket.getpeercert(binary_form=True)
        assert octets is not None
        return octets

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def send_and_hear(self, octets: bytes) -> None:
        """Send more than the server takes before its answers are read; they are kept for `line` and the others.

        By one thread: a TLS connection that two use at once may lose octets of either.
        """
        left = memoryview(octets)
        self.socket.setblocking(False)
        try:
            while left:
                readable, writable, _ = select.select([self.socket], [self.socket], [], PATIENCE)
                assert readable or writable, "the server neither reads nor answers"
                with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    left = left[self.socket.send(left[:65536]) :]
                if readable:
                    with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        piece = self.socket.recv(65536)
                        assert piece, "the server hung up"
                        self._buffer += piece
        finally:
            self.socket.settimeout(PATIENCE)

    def send_while_open(self, octets: bytes) -> None:
        """As `send`, to a server that may hang up in the middle."""
        try:
            self.send(octets)
        except OSError:
            return

    def _more(self) -> bool:
        try:
            octets = self.socket.recv(65536)
        except TimeoutError:
            raise
        except OSError:
            return False
        self._buffer += octets
        return bool(octets)

    def line(self) -> bytes:
        """The next line without its end; b"" at the end of the connection."""
        while b"\r\n" not in self._buffer:
            if not self._more():
                assert not self._buffer, self._buffer
                return b""
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def exactly(self, count: int) -> bytes:
        pieces, have = [self._buffer], len(self._buffer)
        while have < count:
            piece = self.socket.recv(min(count - have, 1 << 20))
            assert piece, "the connection ended inside a literal"
            pieces.append(piece)
            have += len(piece)
        octets = b"".join(pieces)
        self._buffer = octets[count:]
        return octets[:count]

    def rest(self) -> bytes:
        """All that comes until the connection ends."""
        while self._more():
            pass
        octets, self._buffer = self._buffer, b""
        return octets

    def wait_cut(self) -> None:
        """Until the server has reset the connection, without reading anything that waits."""
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLHUP | select.POLLERR)
        assert poll.poll(PATIENCE * 1000), "the server never gave the connection up"

    def close(self) -> None:
        self.socket.close()

    def cut(self) -> None:
        """End without any goodbye: a reset, as when a cable is pulled and the machine starts anew."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Imap(Wire):
    """IMAP, by hand."""

    def __init__(self, gateway: Gateway, login: tuple[str, str] | None = None, **options: Any) -> None:
        super().__init__(gateway.imaps, gateway.tls(), **options)
        self._tags = itertools.count(1)
        self.greeting = self.line()
        assert self.greeting.startswith(b"* OK"), self.greeting
        if login is not None:
            self.ok(f"LOGIN {login[0]} {login[1]}".encode())

    def until(self, tag: bytes) -> list[bytes]:
        """Lines up to the tagged one, which is the last; literals stand in the line they belong to."""
        lines: list[bytes] = []
        while True:
            line = self._whole_line()
            assert line, f"the connection ended; before it came {lines[-5:]}"
            lines.append(line)
            if line.startswith(tag + b" "):
                return lines

    def _whole_line(self) -> bytes:
        line = self.line()
        while literal := re.search(rb"\{(\d+)\}\Z", line):
            line += b"\r\n" + self.exactly(int(literal[1])) + self.line()
        return line

    def ask(self, command: bytes) -> list[bytes]:
        tag = b"t%d" % next(self._tags)
        self.send(tag + b" " + command + b"\r\n")
        lines = self.until(tag)
        return [*lines[:-1], lines[-1][len(tag) + 1 :]]

    def ok(self, command: bytes) -> list[bytes]:
        lines = self.ask(command)
        assert lines[-1].startswith(b"OK"), (command[:100], lines[-3:])
        return lines

    def refused(self, command: bytes) -> bytes:
        """The NO or BAD that the command gets."""
        last = self.ask(command)[-1]
        assert last.startswith((b"NO ", b"BAD ")), (command[:100], last)
        return last

    def append(self, mailbox: bytes, message: bytes) -> bytes:
        """The tagged reply to APPEND, in one go by a non-synchronising literal."""
        return self.ask(b"APPEND %b {%d+}\r\n%b" % (mailbox, len(message), message))[-1]

    def idle(self) -> None:
        self.send(b"idle IDLE\r\n")
        assert self.line().startswith(b"+ ")

    def bye(self) -> bytes:
        """Untagged lines up to BYE, after which the connection must end; the BYE."""
        while (line := self.line()) and not line.startswith(b"* BYE"):
            assert line.startswith(b"* "), line
        assert line, "the connection ended without BYE"
        assert self.rest() == b""
        return line


class Smtp(Wire):
    """SMTP, by hand; the greeting has been read."""

    def __init__(
        self, gateway: Gateway, login: tuple[str, str] | None = None, *, tls: bool = True, **options: Any
    ) -> None:
        super().__init__(gateway.smtps if tls else gateway.submission, gateway.tls() if tls else None, **options)
        assert self.reply().startswith("220 ")
        if login is not None:
            assert self.say("EHLO client.test").startswith("250")
            assert self.say(f"AUTH PLAIN {plain(*login)}").startswith("235")

    def reply(self) -> str:
        """The last line of the next reply; "" at the end of the connection."""
        while (line := self.line().decode("ascii"))[3:4] == "-":
            pass
        return line

    def say(self, command: str) -> str:
        self.send(command.encode() + b"\r\n")
        return self.reply()

    def submit(self, sender: str, recipient: str, message: bytes) -> str:
        """The first refusal, or the reply to the message's end."""
        for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            reply = self.say(command)
            if reply[0] not in "23":
                self.say("RSET")
                return reply
        self.send(message + b".\r\n")
        return self.reply()


def plain(user: str, secret: str, authorize: str = "") -> str:
    return b64encode(f"{authorize}\0{user}\0{secret}".encode()).decode()


def mail(sender: str, subject: str, octets: int = 0, **fields: str) -> bytes:
    """A message of at least `octets`, with lines as mail has them."""
    named = {"From": sender, "To": sender, "Subject": subject, "Message-ID": f"<{subject}@process.test>"} | fields
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items() if value) + "\r\n"
    line = (subject.encode() + b" 0123456789")[:60].ljust(70, b".") + b"\r\n"
    return head.encode() + line * max(1, octets // len(line))


def exists(client: Imap, mailbox: bytes = b"INBOX") -> int:
    """Messages in a mailbox."""
    (status,) = (line for line in client.ok(b"STATUS %b (MESSAGES)" % mailbox) if line.startswith(b"* STATUS"))
    return int(status.rpartition(b"MESSAGES ")[2].rstrip(b")"))


def subjects(client: Imap, mailbox: bytes = b"INBOX") -> list[bytes]:
    """Subjects in a mailbox, oldest first."""
    client.ok(b"EXAMINE %b" % mailbox)
    found = client.ok(b"FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
    client.ok(b"UNSELECT")
    return [match[1] for line in found if (match := re.search(rb"Subject: ([^\r\n]*)", line))]


@contextmanager
def logged_out(client: Imap) -> Iterator[Imap]:
    """Ends with a proper LOGOUT: the session was whole to the end."""
    with client:
        yield client
        lines = client.ok(b"LOGOUT")
        assert any(line.startswith(b"* BYE") for line in lines)
        assert client.rest() == b""


def text_counts(gateway: Gateway) -> tuple[int, int]:
    """Of the text for SEARCH: (contents that have their text, contents that wait)"""
    connection = sqlite3.connect(f"file:{gateway.data_dir / 'gateway.db'}?mode=ro", uri=True)
    try:
        made = connection.execute("SELECT count(*) FROM content_text").fetchone()[0]
        return made, connection.execute("SELECT count(*) FROM text_due").fetchone()[0]
    finally:
        connection.close()


def until_texts(gateway: Gateway, reached: Callable[[int, int], bool]) -> tuple[int, int]:
    found = (0, 0)

    def far_enough() -> bool:
        nonlocal found
        found = text_counts(gateway)
        return reached(*found)

    wait_for(far_enough, "the texts for SEARCH", 40, 0.002)
    return found
