"""A SOCKS5 and an HTTP proxy for tests, written from RFC 1928, 1929 and 9110 alone; each notes what it heard."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class TestProxy:
    """`login`: (user, password) that it demands. `names`: name -> address that it knows.

    `answer`: said in place of its own answer to the request. `together`: the server's first octets come in one packet
    with the proxy's answer.
    """

    __test__ = False

    login: tuple[str, str] | None = None
    names: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""
    together: bool = True
    asked: list[tuple[str, int]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    async def socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if self.login else 0
        if version != 5 or wanted not in methods:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, wanted]))
        if self.login:
            _, size = await reader.readexactly(2)
            user = (await reader.readexactly(size)).decode()
            secret = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            self.logins.append((user, secret))
            good = (user, secret) == self.login
            writer.write(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return
        _, command, _, kind = await reader.readexactly(4)
        assert command == 1
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly({1: 4, 4: 16}[kind])))
        port = int.from_bytes(await reader.readexactly(2), "big")
        # RFC 1928 6: BND.ADDR may be a name too
        good, bad = b"\x05\x00\x00\x03\x05proxy\x12\x34", b"\x05\x05\x00\x01" + bytes(6)
        await self._serve(reader, writer, host, port, good, bad)

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        assert method == "CONNECT"
        assert fields["Host"] == target
        if self.login:
            scheme, _, coded = fields.get("Proxy-Authorization", "").partition(" ")
            user, _, secret = base64.b64decode(coded).decode().partition(":")
            self.logins.append((user, secret))
            if (scheme, user, secret) != ("Basic", *self.login):
                writer.write(b'HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n')
                return
        host, _, port = target.rpartition(":")
        good = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Connection established\r\nVia: 1.1 test\r\n\r\n"
        await self._serve(reader, writer, host.strip("[]"), int(port), good, b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, good: bytes, bad: bytes
    ) -> None:
        self.asked.append((host, port))
        if self.answer:
            writer.write(self.answer)
            return
        try:
            there, onwards = await asyncio.open_connection(self.names.get(host, host), port)
        except OSError:
            writer.write(bad)
            return
        try:
            writer.write(good + (await there.read(1000) if self.together else b""))
            await asyncio.gather(_pump(reader, onwards), _pump(there, writer))
        finally:
            onwards.transport.abort()

    async def _handle(
        self, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await (self.socks5 if kind == "socks5" else self.http)(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever came through has gone
        finally:
            writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while octets := await source.read(65_536):
        sink.write(octets)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


@asynccontextmanager
async def proxy(kind: str, one: TestProxy | None = None) -> AsyncIterator[TestProxy]:
    """`kind`: socks5 or http."""
    running = one or TestProxy()
    server = await asyncio.start_server(lambda *streams: running._handle(kind, *streams), "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
