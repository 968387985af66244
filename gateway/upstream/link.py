"""One connection's octets: what came waits in the reader, what goes waits for the peer; nothing is parsed here.

Whoever reads pulls: while nobody does, a little is buffered and then the peer has to wait. An idle connection costs
what one socket and one TLS session do (`encryption`).
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from typing import Any, Final, cast

from gateway.outbound.failure import Failure

from .encryption import SPACE, Encryption
from .endpoint import ImapLimits
from .errors import Closed
from .receiving import ResponseReader

ENOUGH: Final = 262_144  # octets that wait unread before the peer is stopped
_PIECE: Final = 65_536  # octets that are inflated in one go: what a few octets may swell to


class Link(asyncio.BufferedProtocol):
    """Made by `opening`. All that goes wrong is Closed."""

    __slots__ = (
        "_deflate", "_drained", "_inflate", "_lost", "_packed", "_paused", "_transport", "_waiter", "proxied", "reader",
        "received",
    )  # fmt: skip

    def __init__(self, limits: ImapLimits) -> None:
        self.reader = ResponseReader(limits)
        self.received = 0
        """Octets that came, all in all."""
        self.proxied = False
        """The peer is a proxy, and the server somewhere behind it."""
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._paused = False
        self._lost = False
        self._inflate: Any = None
        self._deflate: Any = None
        self._packed = b""

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return SPACE

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(SPACE[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        self.received += len(data)
        if self._inflate is not None:
            self._packed += data
        else:
            self.reader.feed(data)
        self.wake()
        if not self._paused and self.reader.buffered + len(self._packed) > ENOUGH and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._transport = None
        self.wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # What the dialogue calls.

    @property
    def lost(self) -> bool:
        return self._lost

    def wake(self) -> None:
        """Whoever waits in `more` looks again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    async def more(self, deadline: float) -> bool:
        """Waits until octets have come or somebody calls `wake`. False: none until `deadline` (the loop's). Closed."""
        if self._packed:
            self._unpack()
            return True
        if self._lost or self._transport is None:
            raise Closed(Failure.LOST, "The server closed the connection")
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        timer = loop.call_at(deadline, _expire, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def write(self, octets: bytes) -> None:
        transport = self.transport
        if self._deflate is not None:
            octets = self._deflate.compress(octets) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        transport.write(octets)

    async def drained(self, patience: float) -> None:
        """Waits while the peer takes nothing; Closed after `patience` seconds of it."""
        if self._drained is not None:
            try:
                async with asyncio.timeout(patience):
                    await asyncio.shield(self._drained)
            except TimeoutError:
                raise Closed(Failure.TIMEOUT, "The server takes no more octets") from None
        if self._lost:
            raise Closed(Failure.LOST, "The server closed the connection")

    async def encrypt(self, context: ssl.SSLContext, host: str, patience: float) -> None:
        """STARTTLS was granted. Closed when octets came that nobody had asked for: they were sent in the clear."""
        transport = self.transport
        if self.reader.buffered:
            raise Closed(Failure.NO_STARTTLS, "The server sent more before TLS was there: somebody may have put it in")
        if self._paused:
            self._paused = False
            transport.resume_reading()
        encryption = Encryption(self, context, host)
        encryption.connection_made(transport)
        transport.set_protocol(encryption)
        await encryption.shake(patience)
        if self._lost:
            raise Closed(Failure.LOST, "The server closed the connection")

    def compress(self) -> None:
        """COMPRESS DEFLATE was granted (RFC 4978)."""
        self._packed = self.reader.take_all()
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)

    def _unpack(self) -> None:
        try:
            self.reader.feed(self._inflate.decompress(self._packed, _PIECE))
        except zlib.error:
            raise Closed(Failure.PROTOCOL, "What the server sends is not compressed as agreed") from None
        self._packed = self._inflate.unconsumed_tail
        if self._inflate.eof:
            self._packed = b""
            self._lost = True

    @property
    def transport(self) -> asyncio.Transport:
        """Closed where there is none any more."""
        if self._transport is None:
            raise Closed(Failure.LOST, "The server closed the connection")
        return self._transport

    def extra(self, name: str) -> Any:
        return self._transport.get_extra_info(name) if self._transport is not None else None

    def abort(self) -> None:
        transport, self._transport = self._transport, None
        self._lost = True
        self.wake()
        self.resume_writing()
        if transport is not None:
            transport.abort()


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
