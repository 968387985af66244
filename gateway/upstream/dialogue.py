"""Commands and their answers on one connection: tags, deadlines, what everybody has to hear, errors as values.

One command at a time. Whatever ends the reading of an answer before it is whole (a deadline, a cancellation, an error
of whoever takes the pieces) cuts the connection: half an answer is never left for the next command.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from gateway.outbound.failure import Failure
from gateway.wire.events import Frame

from . import classify
from .classify import Step
from .compose import Part, Upload, compose, spaced
from .endpoint import ImapLimits, ImapTimeouts
from .errors import Closed, Refused, UpstreamError
from .events import (
    Capability,
    Code,
    Continuation,
    Enabled,
    Response,
    Row,
    Status,
    Tagged,
    Vanished,
)
from .link import Link
from .mailbox import Mailbox
from .numbers import ranges_of
from .receiving import BodyData, BodyEnd, BodyStart, Unreadable
from .responses import parse, words_of
from .scanning import Odd
from .transcript import Transcript

ROWS: Final = 200  # responses, and
OCTETS: Final = 65_536  # octets between two turns of the loop
_LEAST_RATE: Final = 1_024  # octets a second that carry an answer beyond its time
_AFTER_BYE: Final = 5.0  # seconds for what still comes behind a BYE

Claim = Callable[[Response], bool]
"""Sees each untagged response of a command first; True: it was what the command asked for, and is no news."""


def _claims_nothing(_event: Response) -> bool:
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


class Dialogue:
    """What client and login speak through. Any error but Refused leaves it closed."""

    __slots__ = (
        "_busy", "_bye", "_number", "_octets", "_patience", "_rows", "capabilities", "closed", "distrusted", "enabled",
        "greeted", "limits", "link", "mailbox", "preauth", "times", "transcript",
    )  # fmt: skip

    def __init__(self, link: Link, times: ImapTimeouts, limits: ImapLimits, transcript: Transcript | None) -> None:
        self.link = link
        self.times = times
        self.limits = limits
        self.transcript = transcript
        self.mailbox = Mailbox()
        self.capabilities: frozenset[str] = frozenset()
        self.distrusted: frozenset[str] = frozenset()
        self.enabled: frozenset[str] = frozenset()
        self.greeted = False
        self.preauth = False
        """The greeting let us in already."""
        self.closed = False
        self._bye: Status | None = None
        self._busy = False
        self._number = 0
        self._rows = 0
        self._octets = 0
        self._patience: Patience | None = None

    def has(self, name: str) -> bool:
        """Offered, and not distrusted."""
        return name in self.capabilities and name not in self.distrusted

    @property
    def busy(self) -> bool:
        return self._busy

    @property
    def utf8(self) -> bool:
        return "UTF8=ACCEPT" in self.enabled

    # Commands.

    async def run(
        self, *parts: Part, patience: float | None = None, step: Step = Step.COMMAND, claim: Claim = _claims_nothing,
        silence: float | None = None, secret: int | None = None,
    ) -> Tagged:
        """One command; `parts` are put together with spaces. Refused for NO and BAD, Closed when the connection ends.

        `patience`: seconds for all of it; `silence`: between octets, where an answer may be long. `secret`: how many
        of `parts` may stand in the transcript.
        """
        async with self.exchange(patience, silence) as exchange:
            await exchange.send(spaced(parts), step, secret=secret)
            return await exchange.answer(claim, step)

    def exchange(self, patience: float | None = None, silence: float | None = None) -> Exchange:
        """For commands that are more than one question and its answer."""
        whole = self.times.command if patience is None else patience
        return Exchange(self, silence if silence is not None else whole, whole)

    def next_tag(self) -> bytes:
        self._number += 1
        return b"A%d" % self._number

    async def begin(self, patience: Patience) -> None:
        if self._busy:
            raise RuntimeError("A command is running on this connection")
        if self.closed:
            raise self._ended(Closed(Failure.LOST, "The connection is closed"))
        self._busy = True
        self._patience = patience
        self._rows = self._octets = 0
        try:
            if self.greeted:
                await self._catch_up()
        except BaseException:
            self.end(broken=True)
            raise

    def end(self, *, broken: bool) -> None:
        self._busy = False
        self._patience = None
        self.link.reader.stream = None
        if broken:
            self.abort()

    async def _catch_up(self) -> None:
        """What came since the last command, a BYE perhaps."""
        while (event := self.waiting()) is not None:
            if not isinstance(event, BodyStart | BodyData | BodyEnd):
                await self.settle(event)
        if self.link.lost:
            raise self._ended(Closed(Failure.LOST, "The server closed the connection"))

    # Responses.

    def waiting(self) -> Response | BodyStart | BodyData | BodyEnd | None:
        """The next response that is here already. Closed for octets that are none."""
        try:
            found = self.link.reader.next()
        except Unreadable as error:
            raise Closed(Failure.PROTOCOL, f"{error}") from None
        if found is None:
            return None
        self._rows += 1
        if not isinstance(found, Frame):
            if type(found) is BodyData:
                self._octets += len(found.octets)
            return found
        self._octets += len(found.text)
        if self.transcript is not None:
            self.transcript.heard(found.text)
        return parse(found, utf8=self.utf8)

    async def response(self) -> Response | BodyStart | BodyData | BodyEnd:
        """The next one, within the deadlines of the running command; lets others run meanwhile."""
        patience = self._patience
        assert patience is not None
        while True:
            event = self.waiting()
            if event is not None:
                if self._rows % ROWS == 0 or self._octets >= OCTETS:
                    self._octets = 0
                    await asyncio.sleep(0)
                if self._rows > self.limits.untagged:
                    raise Closed(Failure.PROTOCOL, "The server does not stop talking")
                return event
            try:
                in_time = await self.link.more(patience.deadline())
            except Closed as error:
                raise self._ended(error) from None
            if not in_time and not self.link.reader.buffered and not self.link.pending:
                raise self._ended(Closed(Failure.TIMEOUT, "The server does not answer"))

    async def pause(self, until: float) -> None:
        """Waits for octets, or for somebody to wake us, or for `until` (the loop's clock). Closed."""
        self._rows = 0
        try:
            await self.link.more(until)
        except Closed as error:
            raise self._ended(error) from None

    async def settle_idle(self, event: Response | BodyStart | BodyData | BodyEnd) -> None:
        """What the server says during IDLE."""
        if isinstance(event, BodyStart | BodyData | BodyEnd | Tagged | Continuation):
            raise Closed(Failure.PROTOCOL, "The server says what does not belong into IDLE")
        if self._rows % ROWS == 0:
            await asyncio.sleep(0)
        if self._rows > self.limits.untagged:
            raise Closed(Failure.PROTOCOL, "The server does not stop talking")
        await self.settle(event)

    async def settle(self, event: Response, claim: Claim = _claims_nothing) -> None:
        """An untagged response: the mailbox hears it, but for what the command claims."""
        if type(event) is Row:
            if not claim(event):
                self.mailbox.see(event)
            return
        if isinstance(event, Vanished):
            await self._vanished(event, claim)
        elif isinstance(event, Capability):
            self.capabilities = event.names
        elif isinstance(event, Enabled):
            self.enabled |= event.names
        elif isinstance(event, Status):
            self._status(event)
        elif isinstance(event, Tagged):
            raise Closed(Failure.PROTOCOL, "The server answered what was not asked")
        self.mailbox.see(event)
        claim(event)

    async def _vanished(self, event: Vanished, claim: Claim) -> None:
        if event.earlier:
            if not claim(event):
                await self.ranges(event.uids)
            return
        self.mailbox.vanished(await self.ranges(event.uids))

    async def ranges(self, text: bytes) -> tuple[tuple[int, int], ...]:
        try:
            return await ranges_of(text)
        except Odd:
            raise Closed(Failure.PROTOCOL, "The server names messages in a way that cannot be read") from None

    def _status(self, event: Status) -> None:
        self.heard_code(event.code)
        if event.kind == "BYE":
            self._bye = event
            if self._patience is not None:
                self._patience.shorten(_AFTER_BYE)

    def heard_code(self, code: Code | None) -> None:
        if code is not None and code.name == "CAPABILITY":
            self.capabilities = words_of(code.arguments)

    # Endings.

    def refusal(self, tagged: Tagged, step: Step) -> UpstreamError:
        """What a NO or BAD is, and what is left of the connection after it."""
        found = classify.meaning(tagged.text, tagged.code, step)
        words = f"The server refused: {tagged.text}" if tagged.text else "The server refused without a word"
        if self._bye is not None:
            return Closed(found.failure, words, said=tagged.text, retry_after=found.retry_after)
        code = tagged.code.name if tagged.code is not None else ""
        return Refused(
            found.failure, words, said=tagged.text, code=code, retry_after=found.retry_after, bad=tagged.status == "BAD"
        )

    def _ended(self, error: Closed) -> Closed:
        """`error`, or what the server's BYE says of it."""
        bye = self._bye
        if bye is None:
            return error
        found = classify.meaning(bye.text, bye.code, Step.BYE)
        words = f"The server ended the connection: {bye.text}" if bye.text else "The server ended the connection"
        return Closed(found.failure, words, said=bye.text, retry_after=found.retry_after)

    @property
    def said_bye(self) -> bool:
        return self._bye is not None

    def abort(self) -> None:
        if not self.closed and self.transcript is not None:
            self.transcript.note("connection closed")
        self.closed = True
        self.link.abort()


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

    async def permission(self, step: Step, claim: Claim = _claims_nothing) -> Continuation:
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

    async def answer(self, claim: Claim = _claims_nothing, step: Step = Step.COMMAND) -> Tagged:
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

