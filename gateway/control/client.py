"""Calling an operation of a running server over its control socket.

Imports no store, so that a command beside a running server starts quickly; `local` is the other way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from gateway.model import errors

from .frames import LINE_LIMIT, Frame, Json, Link, with_unix_path

OnFrame = Callable[[Frame], Awaitable[None]]
"""Takes each event and octets frame of an operation, in order; the operation waits for it."""


class NotRunning(errors.GatewayError):
    """Nobody serves the control socket."""


class OperationFailed(errors.GatewayError):
    """The server met something unexpected; the text carries the id under which its log has it."""


class Caller(Protocol):
    """Runs operations of the registry; errors arrive as the domain errors that the operation raised."""

    async def call(
        self,
        op: str,
        params: Mapping[str, Json],
        *,
        feed: AsyncIterable[Frame] | None = None,
        on_frame: OnFrame | None = None,
    ) -> Json: ...


class SocketCaller:
    """Speaks to a running server, one connection a call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def probe(self) -> None:
        """Connect and go again. FileNotFoundError or ConnectionRefusedError when nobody listens."""
        _, writer = await self._open()
        writer.close()
        await writer.wait_closed()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await with_unix_path(
                self._path, lambda name: asyncio.open_unix_connection(name, limit=LINE_LIMIT)
            )
        except PermissionError:
            raise errors.NoPermission(
                "The server belongs to another user; run this as that user or as root"
            ) from None

    async def call(
        self,
        op: str,
        params: Mapping[str, Json],
        *,
        feed: AsyncIterable[Frame] | None = None,
        on_frame: OnFrame | None = None,
    ) -> Json:
        """NotRunning when nobody listens; GatewayErrors as the operation raised them."""
        try:
            reader, writer = await self._open()
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning("No server is running on this data directory") from None
        link = Link(reader, writer)
        tasks: list[asyncio.Task[Json]] = []
        try:
            await link.send({"op": op, "params": dict(params)})
            answers = asyncio.create_task(self._answers(link, on_frame))
            feeding = asyncio.create_task(_feed(link, feed))
            tasks = [answers, feeding]
            # A feed that fails (a file that cannot be read) ends the call; a feed that is done does not.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done() and not answers.done():
                await feeding
            return await answers
        except ConnectionError:
            raise errors.Unavailable("The server closed the control connection") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await link.close()

    async def _answers(self, link: Link, on_frame: OnFrame | None) -> Json:
        while True:
            frame = await link.receive()
            if frame is None:
                raise errors.Unavailable("The server closed the control connection")
            if isinstance(frame, bytes):
                if on_frame is not None:
                    await on_frame(frame)
            elif "event" in frame:
                if on_frame is not None:
                    await on_frame(frame["event"])
            elif "error" in frame:
                raise _error(frame["error"])
            else:
                return frame.get("result")


async def _feed(link: Link, feed: AsyncIterable[Frame] | None) -> None:
    """Send what the operation reads; a server that stops reading has answered, and that answer tells why."""
    try:
        if feed is not None:
            async for frame in feed:
                await link.send(frame)
        await link.send({"end": True})
    except ConnectionError:
        return


def _error(told: Mapping[str, Json]) -> errors.GatewayError:
    kind = getattr(errors, str(told.get("kind")), None)
    text = str(told.get("text", "The server gave no reason"))
    if isinstance(kind, type) and issubclass(kind, errors.GatewayError):
        return kind(text)
    return OperationFailed(text)
