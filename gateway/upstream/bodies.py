"""Messages' octets: streamed into sinks as they come, never collected; the server waits while a sink is busy."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields, replace
from typing import Final, Protocol

from gateway.model.sequence import Ranges, contains, count
from gateway.outbound.failure import Failure

from .classify import Step
from .compose import sets
from .dialogue import Dialogue
from .errors import Closed, Refused
from .events import ABSENT, Continuation, Row, Tagged, Unknown
from .exchange import Exchange
from .fetched import read_row_of
from .reading import Walk, message_limit
from .receiving import PART, WHOLE, BodyData, BodyEnd, BodyStart
from .values import Bodies, FetchedMessage
from .wants import FetchWants

_SECTION: Final = re.compile(r"(?:[1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8})*(?:\.(?:HEADER|TEXT|MIME))?|HEADER|TEXT)?\Z")


class Sink(Protocol):
    """Where one message goes. `finish` or `abort` ends it, never both."""

    async def write(self, octets: bytes) -> None: ...

    async def finish(self, message: FetchedMessage) -> None:
        """All octets came. `message`: what the server told of it, with its UID."""

    async def abort(self) -> None:
        """The rest will not come. Must not raise."""


OpenSink = Callable[[int, FetchedMessage], Awaitable[Sink | None]]
"""(UID, or 0 where the server has not told it yet; what it has told) -> a sink, or None: the octets are thrown away."""


async def fetch_bodies(dialogue: Dialogue, uids: Ranges, wants: FetchWants, open_sink: OpenSink) -> Bodies:
    """BODY.PEEK[] of `uids` with the attributes. What a sink raises cuts the connection and comes through."""
    items = b"(%b BODY.PEEK[])" % b" ".join(wants.render(dialogue.has))
    found = _Download(dialogue, uids, wants, open_sink)
    for piece, _ in sets(uids):
        walk = Walk(piece, message_limit(dialogue), False)
        while walk.left:
            async with dialogue.exchange(dialogue.times.listing, dialogue.times.silence) as exchange:
                await exchange.send([b"UID FETCH ", walk.text, b" ", items], Step.COMMAND)
                dialogue.link.reader.stream = WHOLE
                await found.read(exchange, walk)
            walk.step(exchange)
    return found.result()


class _Download:
    """The responses of FETCH with bodies. Items come in any order: a body may begin before its UID is known."""

    def __init__(self, dialogue: Dialogue, asked: Ranges, wants: FetchWants, open_sink: OpenSink) -> None:
        self._dialogue = dialogue
        self._asked = asked
        self._only = asked[0][0] if count(asked) == 1 else 0
        self._wants = wants
        self._open = open_sink
        self._sink: Sink | None = None
        self._streamed = False  # this response has had a body
        self._big = False
        self._done: set[int] = set()  # their bodies came, whether somebody wanted them or not
        self._finished: set[int] = set()
        self._told: dict[int, FetchedMessage] = {}  # attributes that came in a response without the body
        self._missing: dict[int, FetchedMessage] = {}
        self._too_big: dict[int, FetchedMessage] = {}

    async def read(self, exchange: Exchange, walk: Walk) -> None:
        try:
            while True:
                event = await self._dialogue.response()
                if isinstance(event, BodyData):
                    if self._sink is not None:
                        await self._lent(exchange, self._sink.write(event.octets))
                elif isinstance(event, BodyStart):
                    await self._begin(exchange, event)
                elif isinstance(event, Row):
                    await self._row(exchange, event, walk)
                elif isinstance(event, Tagged):
                    exchange.taken(event, Step.COMMAND)
                    return
                elif isinstance(event, Unknown) and self._streamed:
                    await self._row(exchange, Row(FetchedMessage(0)), walk)  # the rest of it cannot be read
                elif not isinstance(event, BodyEnd | Continuation):
                    await self._dialogue.settle(event)
        except BaseException:
            sink, self._sink = self._sink, None
            if sink is not None:
                await sink.abort()
            raise

    async def _lent(self, exchange: Exchange, work: Awaitable[None]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await work
        exchange.patience.lend(loop.time() - began)

    async def _begin(self, exchange: Exchange, event: BodyStart) -> None:
        if self._streamed:
            raise Closed(Failure.PROTOCOL, "The server sends two bodies of one message")
        self._streamed = True
        self._big = event.too_big
        if not event.too_big:
            await self._open_for(exchange, read_row_of(event.head).message)

    async def _open_for(self, exchange: Exchange, message: FetchedMessage) -> None:
        uid = message.uid or self._only
        if uid and (uid in self._done or not contains(self._asked, uid)):
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._sink = await self._open(uid, merged(self._told.get(uid), message))
        exchange.patience.lend(loop.time() - began)

    async def _row(self, exchange: Exchange, row: Row, walk: Walk) -> None:
        """A response has ended."""
        streamed, big = self._streamed, self._big
        self._streamed = self._big = False
        message = row.message
        if not message.uid and self._only and (streamed or row.body is not ABSENT):
            message = replace(message, uid=self._only)
        uid = message.uid
        ours = contains(self._asked, uid) and uid not in self._done
        if not streamed and row.body is ABSENT:
            self._dialogue.mailbox.see(row)
            if ours:
                self._told[uid] = merged(self._told.get(uid), message)
            return
        if ours:
            walk.saw(uid)
            message = merged(self._told.pop(uid, None), message)
            if big:
                self._too_big[uid] = message
            elif not streamed and row.body is None:
                self._missing[uid] = message
            else:
                self._done.add(uid)
                self._missing.pop(uid, None)
        if not streamed and ours and isinstance(row.body, bytes):
            await self._open_for_short(exchange, message, row.body)
        sink, self._sink = self._sink, None
        if sink is None:
            return
        if not ours:
            await self._lent(exchange, sink.abort())
            return
        await self._lent(exchange, sink.finish(message))
        self._finished.add(uid)

    async def _open_for_short(self, exchange: Exchange, message: FetchedMessage, octets: bytes) -> None:
        """A body that is no literal, but a quoted string."""
        self._sink = await self._open(message.uid, message)
        if self._sink is not None and octets:
            await self._lent(exchange, self._sink.write(octets))

    def result(self) -> Bodies:
        for uid, message in self._told.items():
            if self._wants.answered_by(message):
                self._missing.setdefault(uid, message)
        return Bodies(frozenset(self._finished), tuple(self._missing.values()), tuple(self._too_big.values()))


def merged(before: FetchedMessage | None, message: FetchedMessage) -> FetchedMessage:
    """`message`, and what only `before` told."""
    if before is None:
        return message
    told = {
        field.name: getattr(before, field.name)
        for field in fields(FetchedMessage)
        if getattr(message, field.name) is None
    }
    return replace(message, **told)


async def fetch_part(dialogue: Dialogue, uid: int, section: str, *, decoded: bool = False) -> AsyncIterator[bytes]:
    """The octets of BODY.PEEK[section] ("" is the whole message), or of BINARY.PEEK[section] if `decoded` (RFC 3516).

    Refused where there is no such message or part. A consumer that stops early cuts the connection.
    """
    if _SECTION.match(section) is None:
        raise Refused(Failure.REFUSED_COMMAND, "No part has such a number", bad=True)
    item = b"BINARY.PEEK[%b]" if decoded else b"BODY.PEEK[%b]"
    came = False
    async with dialogue.exchange(dialogue.times.listing, dialogue.times.silence) as exchange:
        await exchange.send([b"UID FETCH %d (UID " % uid, item % section.encode("ascii"), b")"], Step.COMMAND)
        dialogue.link.reader.stream = PART
        loop = asyncio.get_running_loop()
        while True:
            event = await dialogue.response()
            octets: bytes | None = None
            if isinstance(event, BodyStart):
                if event.too_big or came:
                    raise Closed(Failure.PROTOCOL, "The part is longer than any may be")
                came = True
            elif isinstance(event, BodyData):
                octets = event.octets
            elif isinstance(event, Row):
                if isinstance(event.body, bytes) and not came:
                    came, octets = True, event.body
                elif event.body is ABSENT:
                    dialogue.mailbox.see(event)
            elif isinstance(event, Tagged):
                exchange.taken(event, Step.COMMAND)
                break
            elif not isinstance(event, BodyEnd | Continuation):
                await dialogue.settle(event)
            if octets:
                began = loop.time()
                yield octets
                exchange.patience.lend(loop.time() - began)
    if not came:
        raise Refused(Failure.REFUSED_COMMAND, "The server has no such message or part")
