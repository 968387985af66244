"""Commands and their answers on one connection: tags, deadlines, what everybody has to hear, errors as values.

One command at a time. Whatever ends the reading of an answer before it is whole (a deadline, a cancellation, an error
of whoever takes the pieces) cuts the connection: half an answer is never left for the next command.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.outbound.failure import Failure
from gateway.wire.events import Frame

from . import classify
from .classify import Step
from .compose import Part, spaced
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
from .exchange import Claim, Exchange, Patience, claims_nothing
from .link import Link
from .mailbox import Mailbox
from .numbers import ranges_of
from .receiving import BodyData, BodyEnd, BodyStart, Unreadable
from .responses import parse, words_of
from .scanning import Odd
from .transcript import Transcript

ROWS: Final = 200  # responses, and
OCTETS: Final = 65_536  # octets between two turns of the loop
_AFTER_BYE: Final = 5.0  # seconds for what still comes behind a BYE


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

    # Commands.

    async def run(
        self,
        *parts: Part,
        patience: float | None = None,
        step: Step = Step.COMMAND,
        claim: Claim = claims_nothing,
        silence: float | None = None,
        secret: int | None = None,
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
            await self._breathe()
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
        self._octets += len(found.text) + sum(map(len, found.literals))
        if self.transcript is not None:
            self.transcript.heard(found.text)
        return parse(found)

    async def response(self) -> Response | BodyStart | BodyData | BodyEnd:
        """The next one, within the deadlines of the running command; lets others run meanwhile."""
        patience = self._patience
        assert patience is not None
        while True:
            event = self.waiting()
            if event is not None:
                await self._breathe()
                return event
            if not await self._more(patience.deadline()):
                raise self._ended(Closed(Failure.TIMEOUT, "The server does not answer"))

    async def _more(self, until: float) -> bool:
        try:
            return await self.link.more(until)
        except Closed as error:
            raise self._ended(error) from None

    async def _breathe(self) -> None:
        """Lets others run after so many responses or octets."""
        if self._rows % ROWS == 0 or self._octets >= OCTETS:
            self._octets = 0
            await asyncio.sleep(0)
        if self._rows > self.limits.untagged:
            raise Closed(Failure.PROTOCOL, "The server does not stop talking")

    async def pause(self, until: float) -> None:
        """Waits for octets, or for somebody to wake us, or for `until` (the loop's clock). Closed."""
        self._rows = 0
        await self._more(until)

    async def settle_idle(self, event: Response | BodyStart | BodyData | BodyEnd) -> None:
        """What the server says during IDLE."""
        if isinstance(event, BodyStart | BodyData | BodyEnd | Tagged | Continuation):
            raise Closed(Failure.PROTOCOL, "The server says what does not belong into IDLE")
        await self._breathe()
        await self.settle(event)

    async def settle(self, event: Response, claim: Claim = claims_nothing) -> None:
        """An untagged response: the mailbox hears it, but for what the command claims."""
        if type(event) is Row:
            if not claim(event):
                self.mailbox.see(event)
            return
        if isinstance(event, Vanished) and not event.earlier:
            self.mailbox.vanished(await self.ranges(event.uids))
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
