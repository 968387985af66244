"""A message's octets on their way: as they are, or converted to what the server takes; by DATA or by BDAT.

What cannot be converted is refused here and now (RFC 6152 3, RFC 3030 3, RFC 6531 3.5): never is anything sent that
the server did not offer to carry, for it may damage it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from gateway.mime import decode_parts
from gateway.mime.transcode import CannotConvert, converted, plan

from .dialogue import Dialogue, Lost
from .dots import DotStuffer
from .envelope import Body
from .mail import OutgoingMail
from .offer import Offer
from .replies import Reply

PIECE: Final = 65_536  # octets written between two drains


@dataclass(frozen=True, slots=True)
class Prepared:
    """`binary`: by BDAT, octet for octet; else by DATA."""

    body: Body
    chunks: Callable[[], AsyncIterator[bytes]]
    binary: bool = False


async def prepared(mail: OutgoingMail, offer: Offer) -> Prepared:
    """The body as this server takes it. CannotConvert; what the source raises."""
    source = mail.source
    if mail.binary and offer.binary:
        return Prepared(Body(b"BINARYMIME", source.size), source.chunks, binary=True)
    declared = b"8BITMIME" if offer.eight_bit and (mail.body_8bit or mail.binary) else None
    if not mail.binary and (offer.eight_bit or not mail.body_8bit):
        return Prepared(Body(declared, source.size), source.chunks)
    root = decode_parts(await source.parts())
    end = source.size - len(source.header)
    changes = await plan(source.header, root, end, source.read, eight_bit=offer.eight_bit)
    if not changes:  # it was declared as more than it is
        return Prepared(Body(declared, source.size), source.chunks)

    def chunks() -> AsyncIterator[bytes]:
        return converted(source.header, root, end, source.read, changes)

    size = 0
    async for octets in chunks():
        size += len(octets)
    return Prepared(Body(declared, size), chunks)


class Sending:
    """One body being sent; `ending` from the moment its end may have left."""

    def __init__(self, dialogue: Dialogue, ready: Prepared, *, block: float, final: float) -> None:
        self._dialogue = dialogue
        self._ready = ready
        self._block = block
        self._final = final
        self.ending = False

    async def by_data(self) -> Reply:
        """After 354: lines, dots stuffed, the lone dot. A reply before the end is returned with `ending` False."""
        stuffer = DotStuffer()
        held = b""  # the last piece leaves together with the dot
        async for chunk in self._ready.chunks():
            for start in range(0, len(chunk), PIECE):
                if not await self._write(held):
                    return await self._dialogue.reply(self._block)
                held = stuffer.feed(chunk[start : start + PIECE])
        if self._dialogue.spoken:
            return await self._dialogue.reply(self._block)
        self.ending = True
        await self._write(held + stuffer.finish())
        return await self._dialogue.reply(self._final)

    async def by_bdat(self) -> Reply:
        """RFC 3030 2: counted chunks, each with its reply. One that refuses before the last is returned."""
        left = self._ready.body.size
        async for chunk in self._ready.chunks():
            left -= len(chunk)
            last = left <= 0
            self._dialogue.write(b"BDAT %d%b\r\n" % (len(chunk), b" LAST" if last else b""))
            for start in range(0, len(chunk), PIECE):
                self.ending = last and start + PIECE >= len(chunk)
                await self._write(chunk[start : start + PIECE])
            reply = await self._dialogue.reply(self._final if last else self._block)
            if last or reply.code != 250:
                return reply
        self.ending = True
        return await self._dialogue.ask(b"BDAT 0 LAST", self._final)

    async def _write(self, octets: bytes) -> bool:
        """False: the server has said something meanwhile, or has gone. Lost, TimeoutError."""
        try:
            if octets:
                self._dialogue.write(octets)
            await self._dialogue.drained(self._block)
        except Lost:
            if not self._dialogue.answered:  # its last words may tell why
                raise
        await asyncio.sleep(0)  # a fast peer must not keep the loop for a whole body
        return not self._dialogue.spoken


__all__ = ["CannotConvert", "Prepared", "Sending", "prepared"]
