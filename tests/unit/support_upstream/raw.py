"""A client of a few lines that says octets and shows octets, for what well-behaved clients cannot ask."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.upstream.listener import Listener


class Raw:
    """`ask` sends a line and reads up to its tagged answer; literals are skipped by their length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def line(self) -> bytes:
        """b"" at the end of the connection."""
        try:
            return await self.reader.readline()
        except ConnectionError:
            return b""

    async def ask(self, line: str) -> list[str]:
        """All responses, each with its literals, without CRLF; the tagged one is the last, if the server did not go."""
        tag = line.split(" ")[0]
        self.send(line.encode() + b"\r\n")
        return await self.until(f"{tag} ")

    async def until(self, start: str) -> list[str]:
        found: list[str] = []
        while response := await self._response():
            found.append(response.decode("utf-8", "replace").removesuffix("\r\n"))
            if found[-1].startswith(start):
                break
        return found

    async def _response(self) -> bytes:
        octets = b""
        while line := await self.line():
            octets += line
            literal = re.search(rb"\{(\d+)\}\r\n\Z", line)
            if not literal:
                return octets
            octets += await self.reader.readexactly(int(literal[1]))
        return octets

    async def rest(self) -> bytes:
        """Up to the end of the connection; ConnectionResetError if that was rude."""
        return await self.reader.read()

    async def login(self) -> list[str]:
        await self.line()
        return await self.ask("l LOGIN user@upstream.test secret")


@asynccontextmanager
async def connected(server: Listener[Any], context: ssl.SSLContext | None = None) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(
        server.host, server.port, ssl=context, server_hostname="localhost" if context else None, limit=2**22
    )
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def selected(server: Listener[Any], command: str = "SELECT INBOX") -> AsyncIterator[Raw]:
    """Logged in, with a mailbox selected."""
    async with connected(server) as client:
        await client.login()
        assert (await client.ask(f"s {command}"))[-1].startswith("s OK")
        yield client
