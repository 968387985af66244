"""One message on its way in, whoever brings it: its header is completed, its octets are staged as they come."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Generic, ParamSpec, TypeVar

from gateway.ingest.writer import INLINE_HEADER, ContentWriter, Ingest

from . import prepare
from .background import Background
from .errors import BadMessage

P = ParamSpec("P")
T = TypeVar("T")

CHECK_AT: Final = 65_536  # octets: a larger message is not staged before who sends it is known to be allowed to
QUICK_INBOXES: Final = 4  # a unit that delivers to more is too long for the loop
CHANGING: Final = "A mailbox is being changed, try again"


async def read_header(header: bytes, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Work that grows with the header: in a thread when that is a large one, for others wait on the loop."""
    if len(header) <= INLINE_HEADER:
        return call(*args, **kwargs)
    return await asyncio.to_thread(call, *args, **kwargs)


class Arrival(ABC, Generic[T]):
    """`write` its octets, then `finish`, or `abort`. T is what keeping it gives.

    `header` is complete, trace field and all, from the moment the blank line has come; `size` counts what was written;
    `eight_bit`: the body holds octets beyond ASCII, or the sender said so.
    """

    def __init__(self, ingest: Ingest, background: Background, *, max_size: int, eight_bit: bool) -> None:
        self._ingest = ingest
        self._background = background
        self._max_size = max_size
        self._head = bytearray()
        self._checked = False
        self._committing = False
        self._writer: ContentWriter | None = None
        self.header = b""
        self.size = 0
        self.eight_bit = eight_bit

    async def write(self, chunk: bytes) -> None:
        """BadMessage once the header is complete, what `_check` raises for a large one; TooBig, Unavailable."""
        self.size += len(chunk)
        if self._writer is not None:
            await self._write_body(self._writer, chunk)
            return
        seen = len(self._head)
        self._head += chunk
        end = prepare.header_end(self._head, seen)
        if (len(self._head) if end is None else end) > prepare.MAX_HEADER:
            raise BadMessage("The message's header is too large")
        if end is not None:
            await self._begin(bytes(self._head[:end]), bytes(self._head[end:]))

    async def finish(self) -> T:
        """Keeps the message. Durable when it returns; once begun, cancelling the caller does not undo it.

        What `_keep` raises: what was found at the envelope may have changed. Unavailable.
        """
        if self._writer is None:  # all of it is header: a message without a body needs no blank line
            await self._begin(bytes(self._head), b"")
        task = asyncio.ensure_future(self._commit())
        self._committing = True
        self._background.keep(task)
        return await asyncio.shield(task)

    def abort(self) -> None:
        """Drops what was staged, in the background. Nothing happens when `finish` got as far as keeping it."""
        writer, self._writer = self._writer, None
        if writer is not None and not self._committing:
            self._background.keep(asyncio.ensure_future(writer.abort()))

    @abstractmethod
    async def _complete(self, header: bytes) -> bytes:
        """The header as it is kept. BadMessage."""

    @abstractmethod
    async def _check(self) -> None:
        """The message is a large one: raises what would refuse it at its end."""

    @abstractmethod
    async def _keep(self, writer: ContentWriter) -> T:
        """All of it is there: the unit. An exception drops what was staged."""

    async def _begin(self, header: bytes, body: bytes) -> None:
        self.eight_bit = self.eight_bit or not header.isascii()
        self.header = await self._complete(header)
        self._head.clear()
        writer = self._ingest.writer(max_size=self._max_size + prepare.MAX_ADDED)
        self._writer = writer
        await writer.write(self.header)
        if body:
            await self._write_body(writer, body)

    async def _write_body(self, writer: ContentWriter, chunk: bytes) -> None:
        if not self.eight_bit and not chunk.isascii():
            self.eight_bit = True
        if not self._checked and self.size > CHECK_AT:
            await self._check()
            self._checked = True
        await writer.write(chunk)

    async def _commit(self) -> T:
        writer = self._writer
        if writer is None:
            raise BadMessage("The message has no header")
        try:
            return await self._keep(writer)
        except BaseException:
            await writer.abort()
            raise
