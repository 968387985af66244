"""One connection of the scripted upstream: lines in, octets out, TLS and COMPRESS when the session asks for them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

BLOCK = 65_536


class Gone(Exception):
    """The connection ends: the peer went, or a fault or the server ends it. `abruptly`: by RST instead of FIN."""

    def __init__(self, *, abruptly: bool = False) -> None:
        super().__init__()
        self.abruptly = abruptly


class Octets(bytes):
    """A literal's content, which faults may want to find."""


class Gate(Protocol):
    """What a fault does to the octets of a response."""

    def offset(self, piece: bytes) -> int | None:
        """Where in this piece the gate stands; each piece is shown once, in order."""

    async def reached(self, wire: Wire) -> None: ...


class Accepted(asyncio.StreamReaderProtocol):
    """A connection as streams. `held`: nothing is read before the handshake, or the client's hello would be lost."""

    def __init__(self, connected: Callable[..., Awaitable[None]], *, held: bool) -> None:
        self._held = held
        loop = asyncio.get_running_loop()
        super().__init__(asyncio.StreamReader(loop=loop), connected, loop=loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._held:
            self._held = False
            cast(asyncio.Transport, transport).pause_reading()
        super().connection_made(transport)


class Wire:
    """Reads by its own buffer, so that what came too early (before a `+`, before TLS) can be seen."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        # What was drained is with the kernel: a cut falls where it should. Not 0: TLS pauses at the limit itself, and
        # with nothing in its buffer it would at every second write.
        writer.transport.set_write_buffer_limits(1, 0)
        self._buffer = bytearray()
        self._pending: list[bytes] = []
        self._inflate: Any = None  # zlib names its objects' types only to checkers
        self._deflate: Any = None
        self.gates: list[Gate] = []
        self.drip: tuple[int, float] | None = None
        """(octets, seconds): every so many seconds so many octets."""
        self.sent = self.received = 0

    @property
    def early(self) -> bytes:
        """What came and was not read yet."""
        return bytes(self._buffer)

    @property
    def tls(self) -> bool:
        return self._writer.get_extra_info("ssl_object") is not None

    async def line(self, limit: int) -> bytes:
        """A line without its end; ValueError if it is longer than `limit`, Gone at the end of the stream."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > limit:
                raise ValueError("line too long")
            await self._more()
        found = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        if len(found) > limit:
            raise ValueError("line too long")
        return found.removesuffix(b"\r")

    async def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more()
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    async def _more(self) -> None:
        try:
            octets = await self._reader.read(BLOCK)
        except OSError as error:  # a reset, or TLS that ended without goodbye
            raise Gone from error
        if not octets:
            raise Gone
        self.received += len(octets)
        self._buffer += self._inflate.decompress(octets) if self._inflate else octets

    def write(self, *pieces: bytes) -> None:
        """Kept until `flush`."""
        self._pending += pieces

    @property
    def waiting(self) -> int:
        return sum(map(len, self._pending))

    async def flush(self) -> None:
        """Everything out, past the gates."""
        pieces, self._pending = self._pending, []
        for piece in pieces:
            rest = piece
            for gate in list(self.gates):
                at = gate.offset(rest)
                if at is not None:
                    self.gates.remove(gate)
                    await self._send(rest[:at])
                    await self._drain()
                    await gate.reached(self)
                    rest = rest[at:]
            await self._send(rest)
        await self._drain()

    async def _send(self, octets: bytes) -> None:
        step, seconds = self.drip or (len(octets) or 1, 0.0)
        for at in range(0, len(octets), step):
            piece = octets[at : at + step]
            self.sent += len(piece)
            if self._deflate:
                piece = self._deflate.compress(piece) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
            self._writer.write(piece)
            if seconds:
                await self._drain()
                await asyncio.sleep(seconds)

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError as error:
            raise Gone from error
        if self._writer.is_closing():
            raise Gone

    def hold(self) -> None:
        """Reads no more, until `start_tls` goes on: what comes next is TLS."""
        cast(asyncio.Transport, self._writer.transport).pause_reading()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """The handshake; Gone if the client does not like us."""
        self._buffer.clear()
        try:
            await self._writer.start_tls(context, ssl_handshake_timeout=60.0)
        except (OSError, ssl.SSLError) as error:
            raise Gone(abruptly=True) from error
        self._writer.transport.set_write_buffer_limits(1, 0)

    def start_compress(self) -> None:
        """RFC 4978: raw deflate, both ways."""
        self._inflate, self._deflate = zlib.decompressobj(-15), zlib.compressobj(6, zlib.DEFLATED, -15)
        if self._buffer:
            self._buffer = bytearray(self._inflate.decompress(bytes(self._buffer)))

    def write_now(self, octets: bytes) -> None:
        """While nobody else writes: last words, then the end."""
        self._writer.write(octets)
        self._writer.close()

    async def until_gone(self) -> None:
        """Until the peer hangs up; what it says is thrown away."""
        try:
            while True:
                await self._more()
                self._buffer.clear()
        except Gone:
            return

    def end(self, *, abruptly: bool) -> None:
        if abruptly:
            connection = self._writer.get_extra_info("socket")
            if connection is not None:  # uvloop's is gone with the connection
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        else:
            self._writer.close()
