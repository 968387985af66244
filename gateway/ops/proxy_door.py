"""A listening socket behind proxies: each connection says first whose it is (`proxy_protocol`), then a server has it.

The header is read from the bare socket and not an octet more: TLS, or whatever follows, finds all that is its own,
and no server has to know of any of this but for the client's address. Nobody but the proxies may connect: a header is
believed, so it must never come from anybody else, and whoever is let in without one would be throttled by an address
that is not his.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from .proxy_protocol import MAX_BLOCK, NoProxyHeader, ProxyHeader, read_header

log = structlog.get_logger(__name__)

Admit = Callable[[socket.socket, str], Awaitable[None]]
"""Takes over a connected socket and the client's address; the socket is its own from then on."""

_A_TURN: Final = 64  # connections accepted before others get the loop
_PAUSE_S: Final = 1.0  # out of descriptors: until the next try


class ProxyDoor:
    """One listener. `trusted` says of a peer's IP address whether a proxy is there; `seconds`: for the header."""

    def __init__(self, sock: socket.socket, trusted: Callable[[str], bool], seconds: float, admit: Admit) -> None:
        self._sock = sock
        self._trusted = trusted
        self._seconds = seconds
        self._admit = admit
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """The bound port."""
        return int(self._sock.getsockname()[1])

    def open(self) -> None:
        self._pause = None
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more; who has not said yet who comes is cut."""
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._sock.close()
        for task in self._tasks:
            task.cancel()

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_A_TURN):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("proxy.accept_failed", reason=error.strerror)
                loop.remove_reader(self._sock.fileno())
                self._pause = loop.call_later(_PAUSE_S, self.open)
                return
            sock.setblocking(False)
            if not self._trusted(address[0]):
                log.info("proxy.refused", peer=address[0], reason="no proxy of this listener")
                sock.close()
                continue
            task = loop.create_task(self._welcome(sock, address[0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _welcome(self, sock: socket.socket, proxy: str) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                header = await _header(sock)
        except (NoProxyHeader, TimeoutError, OSError) as error:
            log.info("proxy.refused", peer=proxy, reason=f"no PROXY header ({type(error).__name__})")
            sock.close()
            return
        except BaseException:
            sock.close()
            raise
        # A proxy that speaks for itself (a health check) is a client like any other, under its own address.
        await self._admit(sock, header.source[0] if header.source is not None else proxy)


async def _header(sock: socket.socket) -> ProxyHeader:
    """Reads the header and leaves what comes behind it. NoProxyHeader, OSError."""
    octets = b""
    while True:
        await _readable(sock)
        try:
            seen = sock.recv(MAX_BLOCK, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            continue
        if not seen:
            raise NoProxyHeader
        header = read_header(octets + seen)
        if header is not None:
            sock.recv(header.octets - len(octets))
            return header
        octets += sock.recv(len(seen))  # all of it belongs to the header


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), tell)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())
