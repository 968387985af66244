"""One command from its first octet to its tagged answer, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Final

from gateway.outbound.failure import Failure

from .classify import Step
from .compose import Part, Upload, compose
from .errors import Closed, Refused
from .events import Code, Continuation, Response, Row, Tagged
from .link import Link
from .receiving import BodyData, BodyEnd, BodyStart

if TYPE_CHECKING:
    from .dialogue import Dialogue

_LEAST_RATE: Final = 1_024  # octets a second that carry an answer beyond its time

Claim = Callable[[Response], bool]
"""Sees each untagged response of a command first; True: it was what the command asked for, and is no news."""


def claims_nothing(_event: Response) -> bool:
    return False


class Patience:
    """The deadlines of a command: `silence` seconds between octets, and `whole` plus what the octets took."""

    __slots__ = ("_link", "_received", "_silence", "_whole")

    def __init__(self, link: Link, silence: float, whole: float) -> None:
        self._link = link
        self._received = link.received
        self._silence = silence
        self._whole = asyncio.get_running_loop().time() + whole

    def deadline(self) -> float:
        now = asyncio.get_running_loop().time()
        return min(now + self._silence, self._whole + (self._link.received - self._received) / _LEAST_RATE)

    def lend(self, seconds: float) -> None:
        """Time that we took ourselves."""
        self._whole += seconds

    def renew(self, seconds: float) -> None:
        """From now on another `seconds`."""
        self._silence = seconds
        self._whole = asyncio.get_running_loop().time() + seconds
        self._received = self._link.received

    def shorten(self, seconds: float) -> None:
        self._silence = min(self._silence, seconds)


class Exchange:
    """One command from its first octet to its tagged answer. Left before that, or by any error but Refused, it cuts."""

    __slots__ = ("_answered", "_dialogue", "code", "patience", "tag")

    def __init__(self, dialogue: Dialogue, silence: float, whole: float) -> None:
        self._dialogue = dialogue
        self._answered = True  # nothing was asked yet
        self.patience = Patience(dialogue.link, silence, whole)
        self.tag = b""
        self.code: Code | None = None
        """Of the tagged response."""

    async def __aenter__(self) -> Exchange:
        await self._dialogue.begin(self.patience)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        broken = not self._answered or (error is not None and not isinstance(error, Refused))
        self._dialogue.end(broken=broken or self._dialogue.said_bye)

    async def send(self, parts: Sequence[Part], step: Step, *, secret: int | None = None) -> None:
        """Up to and with the last octet, or with the announcement of an Upload. Refused when a literal is."""
        dialogue = self._dialogue
        self.tag = dialogue.next_tag()
        pieces = compose(self.tag, parts, plus=dialogue.has("LITERAL+"), minus=dialogue.has("LITERAL-"))
        if dialogue.transcript is not None:
            dialogue.transcript.sent(_shown(self.tag, parts, secret))
        for place, piece in enumerate(pieces):
            if place:
                if isinstance(parts[-1], Upload) and place == len(pieces) - 1:
                    return
                await self.permission(step)
            self._answered = False
            dialogue.link.write(piece)

    async def permission(self, step: Step, claim: Claim = claims_nothing) -> Continuation:
        """The server's `+`. Refused where it says NO instead."""
        event = await self.answer_or_permission(claim, step)
        if isinstance(event, Tagged):
            raise Closed(Failure.PROTOCOL, "The server ended a command before it was sent")
        return event

    async def answer_or_permission(self, claim: Claim, step: Step) -> Tagged | Continuation:
        """What comes first. Refused."""
        while True:
            event = await self.response()
            if isinstance(event, Tagged):
                return self.taken(event, step)
            if isinstance(event, Continuation):
                return event
            await self._dialogue.settle(event, claim)

    async def answer(self, claim: Claim = claims_nothing, step: Step = Step.COMMAND) -> Tagged:
        """Its OK. Refused."""
        while True:
            event = await self.response()
            if isinstance(event, Tagged):
                return self.taken(event, step)
            if isinstance(event, Continuation):
                continue  # a server that says `+` after a literal that needed none
            await self._dialogue.settle(event, claim)

    async def rows(self, claim: Claim, step: Step = Step.COMMAND) -> AsyncIterator[Row]:
        """The FETCH responses that `claim` takes, as they come, until the OK."""
        while True:
            event = await self.response()
            if isinstance(event, Row) and claim(event):
                loop = asyncio.get_running_loop()
                lent = loop.time()
                yield event
                self.patience.lend(loop.time() - lent)
            elif isinstance(event, Tagged):
                self.taken(event, step)
                return
            elif not isinstance(event, Continuation):
                await self._dialogue.settle(event, claim)

    async def response(self) -> Response:
        event = await self._dialogue.response()
        if isinstance(event, BodyStart | BodyData | BodyEnd):
            raise Closed(Failure.PROTOCOL, "The server sends a message that was not asked for")
        return event

    def taken(self, tagged: Tagged, step: Step) -> Tagged:
        """A tagged response has come. Refused; Closed when it is another command's."""
        if tagged.tag != self.tag:
            raise Closed(Failure.PROTOCOL, "The server answered what was not asked")
        self._answered = True
        self.code = tagged.code
        self._dialogue.heard_code(tagged.code)
        if tagged.code is not None:
            self._dialogue.mailbox.see_code(tagged.code, tagged.text)
        if tagged.status != "OK":
            raise self._dialogue.refusal(tagged, step)
        return tagged


def _shown(tag: bytes, parts: Sequence[Part], secret: int | None) -> bytes:
    shown = [tag, b" "]
    for place, part in enumerate(parts):
        if secret is not None and place >= 2 * secret:
            shown.append(b"***")
            break
        if isinstance(part, bytes):
            shown.append(part)
        else:
            shown.append(b"{%d}" % (part.size if isinstance(part, Upload) else len(part.octets)))
    return b"".join(shown)
