"""What an operation tells before its result, as a response that is sent while it comes.

The operation waits while whoever reads is slow, and is ended when nobody reads any more, and with the key and the
process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from starlette.responses import StreamingResponse

from gateway.access.caller import Caller
from gateway.model.errors import GatewayError, LimitReached

from . import problems
from .listening import fault
from .services import Json, Stream, WebServices

BEAT_S: Final = 15.0
"""A comment goes out so often where nothing is told, so that proxies keep the connection."""
STALL_S: Final = 120.0
"""For so long an operation waits for who reads."""
FIRST_S: Final = 1.0
"""For so long the head of the answer waits for a refusal, which is then an answer of its own."""
NDJSON: Final = "application/x-ndjson"
SSE: Final = "text/event-stream"
Frame = dict[str, Json] | bytes
Run = Callable[[Stream], Awaitable[Json]]


def asked_for(accept: str) -> str | None:
    """The form in which an `Accept` field wants progress; None: it wants the result alone."""
    return next((each for each in (SSE, NDJSON) if each in accept), None)


class Telling:
    """A `listening.Stream`: one run of an operation, and what it told that was not read yet."""

    def __init__(self, services: WebServices, who: Caller, run: Run) -> None:
        """Unavailable, LimitReached."""
        leave = services.listening.enter(who, None, self)
        self._reason: GatewayError | None = None
        self._frames: asyncio.Queue[Frame] = asyncio.Queue(2)
        self._task: asyncio.Task[Json] = asyncio.ensure_future(run(self))
        self._task.add_done_callback(lambda _: leave())

    async def receive(self) -> Frame | None:
        return None

    async def send(self, frame: Frame) -> None:
        """LimitReached when nobody reads."""
        try:
            async with asyncio.timeout(STALL_S):
                await self._frames.put(frame)
        except TimeoutError:
            raise LimitReached("Whoever asked does not read what comes") from None

    async def next(self, patience: float) -> Frame | None:
        """The next frame; None where none came in time, or none will: `done` tells which."""
        if not self._frames.empty():
            return self._frames.get_nowait()
        if self._task.done():
            return None
        getting = asyncio.ensure_future(self._frames.get())
        try:
            await asyncio.wait([getting, self._task], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()

    @property
    def done(self) -> bool:
        return self._task.done() and self._frames.empty()

    def result(self) -> Json:
        """Of an operation that is done; raises what it raised, or why it was ended."""
        if self._task.cancelled() and self._reason is not None:
            raise self._reason
        return self._task.result()

    async def end(self, reason: str) -> None:
        """The key ends, or the process: what was told is read, and then why nothing follows."""
        self._reason = fault(reason)
        self._task.cancel()

    async def refresh(self) -> None:
        """It is about no inbox."""

    async def close(self) -> None:
        """Nobody reads any more."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # nobody is left to be told


async def progress(services: WebServices, who: Caller, run: Run, kind: str) -> StreamingResponse:
    """`run` as NDJSON or server-sent events: `progress` any number of times, then `result` or `error`."""
    telling = Telling(services, who, run)
    first = await telling.next(FIRST_S)
    if first is None and telling.done:
        telling.result()  # what was refused at once is answered as ever
    written = _event if kind == SSE else _line
    return StreamingResponse(_told(telling, first, written, kind), media_type=kind)


async def _told(
    telling: Telling, first: Frame | None, written: Callable[[str, Json], bytes], kind: str
) -> AsyncIterator[bytes]:
    try:
        frame = first
        silence = 0.0
        while True:
            if isinstance(frame, dict):
                silence = 0.0
                yield written("progress", frame.get("progress", frame))
            elif telling.done:
                yield _ended(telling, written)
                return
            else:
                silence += FIRST_S
                if kind == SSE and silence >= BEAT_S:
                    silence = 0.0
                    yield b": still here\n\n"
            frame = await telling.next(FIRST_S)
    finally:
        await telling.close()


def _ended(telling: Telling, written: Callable[[str, Json], bytes]) -> bytes:
    try:
        return written("result", telling.result())
    except GatewayError as error:
        return written("error", problems.document(problems.kind_of(error), str(error)))


def _line(kind: str, value: Json) -> bytes:
    return json.dumps({kind: value}, separators=(",", ":")).encode() + b"\n"


def _event(kind: str, value: Json) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


async def octets(
    services: WebServices, who: Caller, run: Run, kind: Callable[[dict[str, Json]], dict[str, str]]
) -> StreamingResponse:
    """What `run` tells as octets, after the object that comes first, of which `kind` makes the head fields.

    An operation that fails midway breaks the connection, so that nobody takes a part for the whole.
    """
    telling = Telling(services, who, run)
    try:
        first: Any = None
        while first is None and not telling.done:
            first = await telling.next(BEAT_S)
        if not isinstance(first, dict):
            telling.result()
    except BaseException:
        await telling.close()
        raise
    headers = kind(first["message"])

    async def body() -> AsyncIterator[bytes]:
        try:
            while not telling.done:
                frame = await telling.next(BEAT_S)
                if isinstance(frame, bytes):
                    yield frame
            telling.result()
        finally:
            await telling.close()

    return StreamingResponse(body(), headers=headers)
