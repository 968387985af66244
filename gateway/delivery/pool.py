"""Connections to one route: opened when needed, used for one message after another, closed when they have been idle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gateway.outbound.smtp_transport import SmtpConnection

log = structlog.get_logger(__name__)

Opener = Callable[[], Awaitable[SmtpConnection]]


class ConnectionPool:
    """At most as many connections as there are deliveries at once; the runner limits those."""

    def __init__(self, opener: Opener, *, idle_s: float, messages: int) -> None:
        self._opener = opener
        self._idle_s = idle_s
        self._messages = messages
        self._idle: list[tuple[SmtpConnection, asyncio.TimerHandle]] = []
        self._closing: set[asyncio.Task[None]] = set()

    async def take(self, *, fresh: bool = False) -> SmtpConnection:
        """A connection ready for MAIL, the last used one first. `fresh`: a new one. TransportFailed."""
        while self._idle and not fresh:
            connection, timer = self._idle.pop()
            timer.cancel()
            if connection.usable:
                return connection
        return await self._opener()

    def give_back(self, connection: SmtpConnection) -> None:
        """After a message: kept for the next one, or closed."""
        if not connection.usable or connection.sent >= self._messages:
            self._close(connection)
            return
        timer = asyncio.get_running_loop().call_later(self._idle_s, self._expire, connection)
        self._idle.append((connection, timer))

    def _expire(self, connection: SmtpConnection) -> None:
        self._idle = [entry for entry in self._idle if entry[0] is not connection]
        self._close(connection)

    def _close(self, connection: SmtpConnection) -> None:
        task = asyncio.ensure_future(connection.close())  # never raises
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Says QUIT on all idle ones and waits for the answers."""
        for connection, timer in self._idle:
            timer.cancel()
            self._close(connection)
        self._idle.clear()
        while self._closing:
            await asyncio.wait(self._closing)
