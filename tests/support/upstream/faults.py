"""What an upstream server does wrong, as values: each is armed for a command and for the n-th time it comes.

    Cut("FETCH", octets=1000, literal=True)          the connection ends 1,000 octets into the first body
    Stall("SELECT")                                  nothing comes until `fault.released.set()`
    Refuse("FETCH", "NO [UNAVAILABLE] try later", nth=3, times=2)
    Do("FETCH", lambda server: server.renumber("INBOX"), nth=2)

`command` is a name as in the log ("UID FETCH"; "FETCH" stands for both), AUTH for LOGIN and AUTHENTICATE, OPEN for
SELECT and EXAMINE, or GREETING, TLS (the handshake), LITERAL (our `+` for a client's literal), "" for whatever comes.
`where` looks at the command.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.support.upstream.grammar import Command
from tests.support.upstream.wire import Gone, Octets, Wire

_GROUPS = {"LOGIN": "AUTH", "AUTHENTICATE": "AUTH", "SELECT": "OPEN", "EXAMINE": "OPEN"}

Items = list[tuple[str, bytes]]
"""FETCH's data items, rendered; a body is `Octets` without its `{n}`."""


class Doing(Protocol):
    """A command in the doing, of IMAP or SMTP."""

    answer: str
    trailer: bytes

    @property
    def wire(self) -> Wire: ...

    @property
    def server(self) -> Any: ...


def bodies(command: Command) -> bool:
    """For `where`: a FETCH of whole messages."""
    return b"BODY.PEEK[]" in command.raw.upper() or b"BODY[]" in command.raw.upper()


@dataclass(eq=False)
class Fault:
    """`times` 0: from the n-th on, always. `reached` is set when it strikes; `fired` counts."""

    command: str = ""
    nth: int = field(default=1, kw_only=True)
    times: int = field(default=1, kw_only=True)
    where: Callable[[Command], bool] | None = field(default=None, kw_only=True)
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)
    reached: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    def due(self, command: Command) -> bool:
        if self.command not in ("", command.name, command.name.removeprefix("UID "), _GROUPS.get(command.name)):
            return False
        if self.where is not None and not self.where(command):
            return False
        self.seen += 1
        due = self.seen >= self.nth and (not self.times or self.seen < self.nth + self.times)
        self.fired += due
        return due

    async def before(self, turn: Doing) -> None:
        """Before the command is done; it may answer for it, or end the connection."""

    async def after(self, turn: Doing) -> None:
        """The command is done, its answer is not sent."""

    async def told(self, turn: Doing) -> None:
        """The answer is sent."""

    def line(self, line: bytes) -> bytes:
        """An untagged response, or the tagged one, with its CRLF; b"" swallows it."""
        return line

    def items(self, uid: int, items: Items) -> list[Items]:
        """A FETCH response; none, or several."""
        return [items]


@dataclass(eq=False)
class Refuse(Fault):
    """A tagged NO or BAD with its text, and nothing is done. `done`: it is done all the same."""

    answer: str = "NO [UNAVAILABLE] Service temporarily unavailable"
    done: bool = field(default=False, kw_only=True)

    async def before(self, turn: Doing) -> None:
        self.reached.set()
        if not self.done:
            turn.answer = self.answer

    async def after(self, turn: Doing) -> None:
        turn.answer = self.answer


@dataclass(eq=False)
class Bye(Fault):
    """BYE with a text, then the end. `done`: the command is done before."""

    text: str = "Server shutting down"
    done: bool = field(default=False, kw_only=True)

    async def before(self, turn: Doing) -> None:
        if not self.done:
            await self.after(turn)

    async def after(self, turn: Doing) -> None:
        self.reached.set()
        turn.wire.write(f"* BYE {self.text}\r\n".encode())
        await turn.wire.flush()
        raise Gone


@dataclass(eq=False)
class Drop(Fault):
    """The connection ends without a word: `before` the command is done, `after` it, or when the answer is `told`."""

    when: str = field(default="before", kw_only=True)

    async def _strike(self, when: str) -> None:
        if when == self.when:
            self.reached.set()
            raise Gone(abruptly=when != "told")

    async def before(self, turn: Doing) -> None:
        await self._strike("before")

    async def after(self, turn: Doing) -> None:
        await self._strike("after")

    async def told(self, turn: Doing) -> None:
        await self._strike("told")


@dataclass(eq=False)
class Do(Fault):
    """Something happens on the account in the middle of it: `action(server)` `before` or `after` the command is done,
    or when it is `told`; it may be a coroutine function."""

    action: Callable[[Any], Awaitable[Any] | Any] = lambda server: None
    when: str = field(default="before", kw_only=True)

    async def _strike(self, turn: Doing, when: str) -> None:
        if when == self.when:
            self.reached.set()
            result = self.action(turn.server)
            if isinstance(result, Awaitable):
                await result

    async def before(self, turn: Doing) -> None:
        await self._strike(turn, "before")

    async def after(self, turn: Doing) -> None:
        await self._strike(turn, "after")

    async def told(self, turn: Doing) -> None:
        await self._strike(turn, "told")


@dataclass(eq=False)
class _AtOctet(Fault, ABC):
    """After so many octets of the response. `literal`: counted from the first octet of its first literal."""

    octets: int = field(default=0, kw_only=True)
    literal: bool = field(default=False, kw_only=True)

    async def before(self, turn: Doing) -> None:
        turn.wire.gates.append(_Gate(self))

    @abstractmethod
    async def strike(self, wire: Wire) -> None:
        """What happens there."""


class _Gate:
    """One time that an `_AtOctet` is due."""

    def __init__(self, fault: _AtOctet) -> None:
        self._fault, self._left, self._counts = fault, fault.octets, not fault.literal

    def offset(self, piece: bytes) -> int | None:
        self._counts = self._counts or isinstance(piece, Octets)
        if not self._counts:
            return None
        if self._left <= len(piece):
            return self._left
        self._left -= len(piece)
        return None

    async def reached(self, wire: Wire) -> None:
        self._fault.reached.set()
        await self._fault.strike(wire)


@dataclass(eq=False)
class Cut(_AtOctet):
    """The connection ends there. `clean`: with FIN (and TLS's goodbye), else with RST."""

    clean: bool = field(default=False, kw_only=True)

    async def strike(self, wire: Wire) -> None:
        raise Gone(abruptly=not self.clean)


@dataclass(eq=False)
class Stall(_AtOctet):
    """Nothing more comes until `released` is set, or the client hangs up."""

    released: asyncio.Event = field(default_factory=asyncio.Event, kw_only=True, repr=False)

    async def strike(self, wire: Wire) -> None:
        release = asyncio.ensure_future(self.released.wait())
        gone = asyncio.ensure_future(wire.until_gone())
        await asyncio.wait({release, gone}, return_when=asyncio.FIRST_COMPLETED)
        release.cancel()
        if gone.done():
            raise Gone
        gone.cancel()
        await asyncio.wait({gone})  # until then it reads


@dataclass(eq=False)
class Drip(Fault):
    """The response comes `octets` at a time, with `seconds` in between."""

    octets: int = field(default=1, kw_only=True)
    seconds: float = field(default=0.01, kw_only=True)

    async def before(self, turn: Doing) -> None:
        self.reached.set()
        turn.wire.drip = self.octets, self.seconds


@dataclass(eq=False)
class Flood(Fault):
    """Instead of an answer `text` for ever, or `octets` of it: without line ends it is a line without end."""

    text: bytes = b"x" * 1024
    octets: int = field(default=0, kw_only=True)
    start: bytes = field(default=b"* OK ", kw_only=True)

    async def before(self, turn: Doing) -> None:
        self.reached.set()
        wire, begun = turn.wire, turn.wire.sent
        wire.write(self.start)
        while not self.octets or wire.sent - begun < self.octets:
            wire.write(self.text * max(1, 65_536 // len(self.text)))
            await wire.flush()
            await asyncio.sleep(0)
        raise Gone


@dataclass(eq=False)
class Silent(Fault):
    """The tagged OK without the untagged responses: an empty LIST, a SEARCH that finds nothing, FETCH of nothing."""

    def line(self, line: bytes) -> bytes:
        self.reached.set()
        return b"" if line.startswith(b"* ") else line

    def items(self, uid: int, items: Items) -> list[Items]:
        self.reached.set()
        return []


@dataclass(eq=False)
class Rewrite(Fault):
    """Each line of the answer goes through `change`; bodies do not."""

    change: Callable[[bytes], bytes] = lambda line: line

    def line(self, line: bytes) -> bytes:
        changed = self.change(line)
        if changed != line:
            self.reached.set()
        return changed


def zero_exists(command: str = "SELECT", **when: Any) -> Rewrite:
    """The mailbox claims to be empty."""

    def emptied(line: bytes) -> bytes:
        return b"* 0 EXISTS\r\n" if line.endswith(b" EXISTS\r\n") else line

    return Rewrite(command, emptied, **when)


class Deaf(Fault):
    """IDLE is granted, and nothing is ever said in it (imapflow #14); DONE is answered as if all were well."""

    command = "IDLE"


@dataclass(eq=False)
class Inject(Fault):
    """Octets right behind the answer, in the same segment: behind STARTTLS's OK they come before TLS."""

    octets: bytes = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n* OK injected\r\n"

    async def before(self, turn: Doing) -> None:
        self.reached.set()
        turn.trailer += self.octets
