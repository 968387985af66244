"""Commands out, replies in, in order: the connection once it is greeted, encrypted and logged in.

The library that did all that keeps one reply at a time and throws away what comes beyond; with PIPELINING (RFC 2920)
several are under way. So its transport gets this protocol in place of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

from .replies import BadReply, Reply, ReplyParser

MAX_WAITING: Final = 2_000  # replies that nobody has read yet: more than any transaction asks for


class Lost(ConnectionError):
    """The connection has ended."""


class Dialogue(asyncio.Protocol):
    """One connection. `replies` are read strictly in the order of commands."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parser = ReplyParser()
        self._waiting: deque[Reply] = deque()
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        transport.set_protocol(self)

    @property
    def connected(self) -> bool:
        """Neither closed nor broken, as far as is known."""
        return self._failure is None and not self._transport.is_closing()

    @property
    def spoken(self) -> bool:
        """The server has said something that was not read yet, or has gone."""
        return bool(self._waiting) or not self._parser.empty or not self.connected

    @property
    def answered(self) -> bool:
        """A whole reply waits to be read."""
        return bool(self._waiting)

    def write(self, octets: bytes) -> None:
        """Lost. What was not read stays to be read."""
        if self._transport.is_closing():
            raise Lost("Connection lost")
        self._transport.write(octets)

    async def drained(self, patience: float) -> None:
        """Until the transport takes more. Lost; TimeoutError after `patience` seconds."""
        if not self._writable.is_set():
            async with asyncio.timeout(patience):
                await self._writable.wait()
        if self._transport.is_closing():
            raise Lost("Connection lost")

    async def reply(self, patience: float) -> Reply:
        """The next one. Lost, BadReply; TimeoutError after `patience` seconds."""
        async with asyncio.timeout(patience):
            while not self._waiting:
                if self._failure is not None:
                    raise self._failure
                self._changed.clear()
                await self._changed.wait()
        return self._waiting.popleft()

    async def ask(self, command: bytes, patience: float) -> Reply:
        """One command and its reply."""
        self.write(command + b"\r\n")
        return await self.reply(patience)

    def abort(self) -> None:
        """At once: what is not sent yet is dropped, for half a message must not be ended."""
        self._fail(Lost("Connection lost"))
        self._transport.abort()

    # -- asyncio's side

    def data_received(self, data: bytes) -> None:
        if self._failure is not None:
            return
        try:
            for reply in self._parser.feed(data):
                self._waiting.append(reply)
                if len(self._waiting) > MAX_WAITING:
                    raise BadReply("More replies than commands")
        except BadReply as error:
            self._fail(error)
            self._transport.abort()
        self._changed.set()

    def eof_received(self) -> bool:
        self._fail(Lost("Connection lost"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(Lost("Connection lost"))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        self._changed.set()
        self._writable.set()


def taken_over(transport: object) -> Dialogue:
    """A dialogue on a transport that the library opened; a cast, for uvloop's are no subclasses of asyncio's."""
    return Dialogue(cast("asyncio.Transport", transport))
