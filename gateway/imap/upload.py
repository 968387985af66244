"""Messages as APPEND and REPLACE bring them: literals that stream into the store, and parts that URLs name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.ingest.binary import without_binary
from gateway.model.errors import LimitReached, TooBig
from gateway.store import quota
from gateway.store.content import StagedContent
from gateway.wire.append import Begin, End, Literal, Place, Step, Url, Use
from gateway.wire.commands import Flags
from gateway.wire.events import AppendEnd, Fatal, LiteralData, LiteralEnd, LiteralStart, Rejected
from gateway.wire.parse_append import append_steps
from gateway.wire.tokens import Cursor, Malformed

from . import url_parts
from .channel import Closed
from .message_limit import too_many
from .replies import Reply, bad, no

if TYPE_CHECKING:
    from gateway.ingest.writer import ContentWriter

    from .session import Session

MAX_MESSAGES: Final = 1000
"""Messages of one APPEND (RFC 3502): they are one unit of the store, 0.1 s of its writer."""
MAX_URLS: Final = 1000
"""Parts named by URLs in one command (RFC 4469): each is looked up by itself."""
MAX_OCTETS: Final = 256 * 1024 * 1024
"""Octets of all of them: nothing of them is there before the last has come."""
HELD: Final = 1024 * 1024
"""Octets of bodies that wait in memory; once there are more, each message goes to the store before the next comes."""
MAX_HELD: Final = 32 * 1024 * 1024
"""Octets of headers and of what was rendered, which wait in any case."""
_TOO_MANY: Final = f"One APPEND takes {MAX_MESSAGES} messages at most"
_CONTINUE: Final = b"+ Ready for literal data\r\n"
_QUICK: Final = 4  # small messages that a unit attaches on the loop
_EMPTY: Final = no("A message without octets cancels the APPEND")


class Refused(Exception):
    """The command ends with this reply, and nothing of it is kept."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A message that nothing refers to yet, and who staged it."""

    staged: StagedContent
    flags: Flags
    date: int | None
    writer: ContentWriter


class Upload:
    """Takes the messages of one command. After `receive` they are complete; `abort` forgets them."""

    def __init__(self, session: Session, *, replaces: bool = False) -> None:
        """`replaces`: one message, which takes the place of another one (RFC 8508)."""
        self._session = session
        self._most = 1 if replaces else MAX_MESSAGES
        self._replaces = replaces
        self._writers: list[ContentWriter] = []
        self._writer: ContentWriter | None = None  # of the message that is arriving
        self._begun: Begin | None = None
        self._binary = False  # a literal8 was among its octets
        self._octets = 0
        self._urls = 0
        self._held = 0
        self._waiting = 0
        self.messages: list[Uploaded] = []

    async def receive(self, steps: tuple[Step, ...], place: Place) -> None:
        """All messages, from the first steps on to the command's end.

        Refused, Closed, or an error of the domain: then what the client still sends of the command is skipped.
        """
        try:
            await self._take(steps, place)
        except BaseException:
            self._session.channel.reader.refuse()
            raise

    async def _take(self, steps: tuple[Step, ...], place: Place) -> None:
        while True:
            for step in steps:
                await self._step(step)
            if not isinstance(steps[-1], Literal):
                return
            event = await self._next()
            if isinstance(event, LiteralStart):
                text, literals = event.frame.text, event.frame.literals
            else:
                text, literals = event.text, ()
            utf8 = "UTF8=ACCEPT" in self._session.enabled
            try:
                steps, place = append_steps(Cursor(text, literals, utf8=utf8), place)
            except Malformed as error:
                raise Refused(bad(f"APPEND: {error} behind a literal")) from None

    async def _step(self, step: Step) -> None:
        if isinstance(step, Begin):
            limit = self._session.services.settings.message_limit
            if limit and len(self.messages) == limit:
                raise Refused(too_many(limit))
            if len(self.messages) == self._most:
                raise Refused(bad("REPLACE takes one message")) if self._replaces else LimitReached(_TOO_MANY)
            self._begun = step
            self._binary = False
            services = self._session.services
            self._writer = services.ingest.writer(max_size=services.settings.max_message_size)
            self._writers.append(self._writer)
        elif isinstance(step, Literal):
            await self._literal(step)
        elif isinstance(step, Url):
            await self._url(step.url)
        elif isinstance(step, End):
            await self._end()

    async def _literal(self, literal: Literal) -> None:
        assert self._writer is not None
        if literal.use is Use.UTF8 and "UTF8=ACCEPT" not in self._session.enabled:
            raise Refused(no("Enable UTF8=ACCEPT first"))
        if self._writer.size + literal.size > self._session.services.settings.max_message_size:
            raise TooBig("Message is too big")
        self._room(literal.size)
        if not literal.size and literal.use in {Use.MESSAGE, Use.UTF8}:
            raise Refused(_EMPTY)  # RFC 3502 6.3.11
        if not self._replaces:  # then only the unit knows what room there is
            await self._require_room(literal.size)
        if literal.synchronising:
            self._session.channel.send(_CONTINUE)
        self._binary |= literal.binary
        url: list[bytes] = []
        while True:
            event = await self._event()
            if isinstance(event, LiteralEnd):
                break
            assert isinstance(event, LiteralData)
            self._session.timers.heard()
            if literal.use is Use.URL:
                url.append(event.data)
            else:
                await self._writer.write(event.data)
        if literal.use is Use.URL:
            await self._url(b"".join(url))

    async def _url(self, url: bytes) -> None:
        assert self._writer is not None
        self._urls += 1
        if self._urls > MAX_URLS:
            raise LimitReached(f"One command takes {MAX_URLS} URLs at most")
        async for octets in url_parts.octets_of(self._session, url):
            self._room(len(octets))
            await self._writer.write(octets)
        if not self._replaces:  # parts of what is there cost the client nothing: they stop as soon as it is too much
            await self._require_room(0)

    async def _require_room(self, octets: int) -> None:
        """OverQuota for what would not fit now, before the client sends it or goes on; the unit decides."""
        assert self._writer is not None
        inbox_id = self._session.require_principal().inbox_id
        octets += self._octets + self._writer.size
        count = len(self.messages) + 1
        await self._session.services.db.tiny(
            lambda rx: quota.require_room(rx, inbox_id, octets=octets, messages=count)
        )

    def _room(self, octets: int) -> None:
        size = self._writer.size if self._writer is not None else 0
        if self._octets + size + octets > MAX_OCTETS:
            raise TooBig("The messages are too big together")

    async def _end(self) -> None:
        writer, begun = self._writer, self._begun
        assert writer is not None
        assert begun is not None
        if not writer.size:
            raise Refused(_EMPTY)
        self._octets += writer.size
        staged = await writer.finish(keep=self._waiting < HELD)
        if self._binary:
            made = await without_binary(self._session.services.db, staged, self._fresh)
            if made is not None:
                await writer.abort()
                staged = made
        meta = staged.meta
        rendered = (staged.header, meta.envelope, meta.bodystructure, meta.body, meta.parts)
        self._held += sum(map(len, rendered))
        self._waiting += sum(map(len, staged.tail))
        if self._held > MAX_HELD:
            raise LimitReached("The headers of these messages are too long for one command")
        self.messages.append(Uploaded(staged, begun.flags, begun.date, self._writers[-1]))
        self._writer = None

    def _fresh(self) -> ContentWriter:
        services = self._session.services
        writer = services.ingest.writer(max_size=services.settings.max_message_size)
        self._writers.append(writer)
        return writer

    async def _event(self) -> LiteralData | LiteralEnd:
        event = await self._session.channel.next_event()
        if isinstance(event, (LiteralData, LiteralEnd)):
            return event
        raise self._unexpected(event)

    async def _next(self) -> LiteralStart | AppendEnd:
        event = await self._session.channel.next_event()
        if isinstance(event, (LiteralStart, AppendEnd)):
            return event
        raise self._unexpected(event)

    def _unexpected(self, event: object) -> Exception:
        if isinstance(event, Rejected):
            return Refused(bad(event.text))
        assert isinstance(event, Fatal), event
        self._session.bye(no(event.text).text)
        return Closed()

    @property
    def octets(self) -> int:
        return sum(message.staged.size for message in self.messages)

    @property
    def quick(self) -> bool:
        """Attaching them is little work for a unit."""
        return len(self.messages) <= _QUICK and all(message.staged.quick for message in self.messages)

    async def abort(self) -> None:
        """Forget them. Not after they were attached."""
        for writer in self._writers:
            await writer.abort()
