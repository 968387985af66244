"""A strict SMTP server for tests of the transport alone: it knows states, answers late, and notes what came at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.mime import encode_parts, parse
from gateway.model.recipient import Recipient
from gateway.outbound.endpoint import Endpoint, Timeouts
from gateway.outbound.mail import OutgoingMail
from gateway.outbound.smtp_transport import SmtpConnection
from gateway.outbound.tls import Security, TlsPolicy

DROP = "drop"
FAST = Timeouts(connect=5, greeting=5, mail=5, rcpt=5, data=5, block=5, final=5, quit=1)


class Text:
    """A message in memory as the transport reads it."""

    def __init__(self, octets: bytes, *, step: int = 1000) -> None:
        found = parse(octets)
        self._octets, self._step, self._parts = octets, step, encode_parts(found.root)
        self.header = found.header
        self.size = len(octets)

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._octets), self._step):
            yield self._octets[at : at + self._step]

    async def parts(self) -> bytes:
        return self._parts

    async def read(self, start: int, stop: int) -> bytes:
        return self._octets[len(self.header) :][start:stop]


@dataclass
class Got:
    """One message with its envelope's lines."""

    mail: str
    rcpts: list[str]
    octets: bytes
    by: str


@dataclass
class Peer:
    """`replies`: verb -> what it says next time, DROP to hang up instead; then all goes well.

    `reads`: the lines of each turn, for it reads all that has come before it answers. `grants_data`: 354 even with no
    recipient, as RFC 2920 3.1 warns.
    """

    extensions: Sequence[str] = ()
    replies: dict[str, list[str]] = field(default_factory=dict)
    grants_data: bool = False
    reads: list[list[str]] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await _Session(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, EOFError):
            pass  # the other side went first, which is what some tests are about
        finally:
            writer.transport.abort()

    def endpoint(self, **changes: object) -> Endpoint:
        values: dict[str, object] = {
            "host": "127.0.0.1", "port": self.port, "tls": TlsPolicy(Security.NONE), "helo": "mail.example.org",
            "allow_private": True, "timeouts": FAST,
        }  # fmt: skip
        return Endpoint(**{**values, **changes})  # type: ignore[arg-type]

    def verbs(self) -> list[list[str]]:
        return [[line.split(":")[0].split()[0] for line in lines] for lines in self.reads]


class _Hangup(Exception):
    pass


class _Session:
    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer, self.reader, self.writer = peer, reader, writer
        self.buffer = b""
        self.mail: str | None = None
        self.rcpts: list[str] = []
        self.chunks = b""

    async def run(self) -> None:
        try:
            await self.say("greeting", "220 peer ESMTP")
            while True:
                line = (await self.until(b"\r\n")).decode()
                await self.command(line)
        except _Hangup:
            return

    async def until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            await self.more()
        octets, _, self.buffer = self.buffer.partition(mark)
        return octets

    async def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            await self.more()
        octets, self.buffer = self.buffer[:size], self.buffer[size:]
        return octets

    async def more(self) -> None:
        octets = await self.reader.read(1 << 20)
        if not octets:
            raise EOFError
        self.buffer += octets
        if self.buffer == octets:
            self.peer.reads.append([])

    async def say(self, verb: str, default: str) -> str:
        waiting = self.peer.replies.get(verb)
        reply = waiting.pop(0) if waiting else default
        if reply == DROP:
            raise _Hangup
        self.writer.write(reply.encode() + b"\r\n")
        await self.writer.drain()
        if reply.startswith("421"):
            raise _Hangup
        return reply

    async def command(self, line: str) -> None:
        verb = line.split(":")[0].split()[0].upper()
        self.peer.reads[-1].append(line)
        if verb == "EHLO":
            lines = ["peer", *self.peer.extensions]
            await self.say("EHLO", "\r\n".join([f"250-{each}" for each in lines[:-1]] + [f"250 {lines[-1]}"]))
        elif verb == "MAIL":
            if self.mail is not None:
                await self.say("", "503 5.5.1 nested MAIL")
            elif (await self.say("MAIL", "250 2.1.0 ok")).startswith("2"):
                self.mail, self.rcpts, self.chunks = line, [], b""
        elif verb == "RCPT":
            if self.mail is None:
                await self.say("", "503 5.5.1 MAIL first")
            elif (await self.say("RCPT", "250 2.1.5 ok")).startswith("2"):
                self.rcpts.append(line)
        elif verb == "DATA":
            await self.data()
        elif verb == "BDAT":
            await self.bdat(line)
        elif verb == "RSET":
            self.mail, self.rcpts = None, []
            await self.say("RSET", "250 2.0.0 ok")
        elif verb == "AUTH":
            await self.say("AUTH", "235 2.7.0 come in")
        elif verb == "QUIT":
            await self.say("QUIT", "221 2.0.0 bye")
            raise _Hangup
        else:
            await self.say("", "500 5.5.2 what")

    async def data(self) -> None:
        if not self.rcpts and not self.peer.grants_data:
            await self.say("", "554 5.5.1 no valid recipients" if self.mail else "503 5.5.1 MAIL first")
            return
        if not (await self.say("DATA", "354 go")).startswith("354"):
            return
        if "body" in self.peer.replies:
            await self.exactly(1)
            await self.say("body", "")
            raise _Hangup
        lines = []
        while (line := await self.until(b"\r\n")) != b".":
            lines.append(line.removeprefix(b"."))
        reply = await self.say("dot", "250 2.0.0 taken")
        self.end(reply, b"".join(line + b"\r\n" for line in lines), "DATA")

    async def bdat(self, line: str) -> None:
        words = line.split()
        octets = await self.exactly(int(words[1]))
        if not self.rcpts:
            await self.say("", "503 5.5.1 no")
            return
        self.chunks += octets
        last = words[-1] == "LAST"
        reply = await self.say("last" if last else "BDAT", "250 2.0.0 ok")
        if last:
            self.end(reply, self.chunks, "BDAT")

    def end(self, reply: str, octets: bytes, by: str) -> None:
        if reply.startswith("250"):
            self.peer.got.append(Got(self.mail or "", self.rcpts, octets, by))
        self.mail, self.rcpts = None, []


@asynccontextmanager
async def peer(one: Peer, host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    server = await asyncio.start_server(one.serve, host, one.port)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


@asynccontextmanager
async def connected(one: Peer) -> AsyncIterator[SmtpConnection]:
    connection = await SmtpConnection.open(one.endpoint())
    try:
        yield connection
    finally:
        await connection.close()


MESSAGE = b"From: ann@example.org\r\nSubject: hi\r\n\r\n.dot\r\nbody\r\n"


def mail(*recipients: str | Recipient, octets: bytes = MESSAGE, **facts: object) -> OutgoingMail:
    to = [each if isinstance(each, Recipient) else Recipient(each) for each in recipients or ("eve@elsewhere.net",)]
    values: dict[str, object] = {"mail_from": "ann@example.org", "recipients": to, "source": Text(octets), **facts}
    return OutgoingMail(**values)  # type: ignore[arg-type]
