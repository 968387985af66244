"""TLS between the loop's transport and a connection, with no buffer of its own.

The loops' own TLS receives into 256 KiB a connection (uvloop) or grows to what ever came at once; of a thousand
connections that idle each would keep what it got of them, 30 to 120 KiB. Here all of them receive into one space, each
takes out of it at once, and OpenSSL is handed a piece at a time: what stays is a TLS session, some 30 KB.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any, Final, Protocol, cast

SPACE: Final = memoryview(bytearray(65_536))
"""What has come, as it came. Whoever the loop tells of it takes it before anybody else receives."""
_CLEAR: Final = memoryview(bytearray(65_536))
_PIECE: Final = 8_192  # octets; OpenSSL's memory for what goes in and out never shrinks


class Receiver(Protocol):
    """Who is behind the encryption."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def data_received(self, data: memoryview) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class Encryption(asyncio.Transport, asyncio.BufferedProtocol):
    """The loop's protocol on one side, the receiver's transport on the other: it begins where `shake` has returned."""

    __slots__ = ("_incoming", "_lower", "_outgoing", "_receiver", "_shaken", "_tls", "_unsent")

    def __init__(self, receiver: Receiver, context: ssl.SSLContext, host: str) -> None:
        super().__init__()
        self._receiver = receiver
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._lower: asyncio.Transport | None = None
        self._shaken: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self._unsent: list[bytes] = []
        """What waits for octets of the server first: it is agreeing on new keys (before TLS 1.3)."""

    async def shake(self, patience: float) -> None:
        """The handshake, over a transport that is this protocol's; the receiver is then connected.

        SSLError, OSError, TimeoutError; the transport is then cut.
        """
        shaken = self._shaken
        assert shaken is not None
        try:
            self._go_on()
            async with asyncio.timeout(patience):
                await shaken
        except BaseException:
            self.abort()
            raise

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._lower = cast(asyncio.Transport, transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return SPACE

    def buffer_updated(self, nbytes: int) -> None:
        for start in range(0, nbytes, _PIECE):
            self._incoming.write(SPACE[start : min(nbytes, start + _PIECE)])
            self._go_on()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lower = None
        if self._shaken is None:
            self._receiver.connection_lost(exc)
        else:
            self._failed(exc or ConnectionResetError("The connection was closed"))

    def pause_writing(self) -> None:
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        self._receiver.resume_writing()

    # Octets.

    def _go_on(self) -> None:
        """Do what can be done with what has come."""
        try:
            if self._shaken is not None:
                self._tls.do_handshake()
                shaken, self._shaken = self._shaken, None
                self._receiver.connection_made(self)
                if not shaken.done():  # else nobody waits for it any more
                    shaken.set_result(None)
            with suppress(ssl.SSLWantReadError):
                self._read()
            self._send()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # the alert that says why
            if self._shaken is not None:
                self._failed(error)
            else:
                self.abort()

    def _read(self) -> None:
        while self._incoming.pending or self._tls.pending():
            size = cast(int, self._tls.read(len(_CLEAR), _CLEAR))
            if not size:  # nothing comes any more, the server says
                self.abort()
                return
            self._receiver.data_received(_CLEAR[:size])

    def _failed(self, error: Exception) -> None:
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(error)

    def _send(self) -> None:
        """SSLWantReadError, SSLError."""
        while self._unsent:
            self._tls.write(self._unsent[0])
            del self._unsent[0]
            self._flush()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            octets = self._outgoing.read()
            if self._lower is not None:
                self._lower.write(octets)

    # What the receiver calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        octets = bytes(data)
        self._unsent += [octets[start : start + _PIECE] for start in range(0, len(octets), _PIECE)]
        try:
            self._send()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            self.abort()

    def pause_reading(self) -> None:
        if self._lower is not None:
            self._lower.pause_reading()

    def resume_reading(self) -> None:
        if self._lower is not None:
            self._lower.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._tls
        return self._lower.get_extra_info(name, default) if self._lower is not None else default

    def is_closing(self) -> bool:
        return self._lower is None or self._lower.is_closing()

    def abort(self) -> None:
        if self._lower is not None:
            self._lower.abort()
