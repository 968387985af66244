"""One command in the doing: what is said about it goes through the faults that are due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.upstream.body_faults import Raw
from tests.support.upstream.faults import Fault, Items
from tests.support.upstream.grammar import Command, Lie, Token, Wrong, numbers
from tests.support.upstream.view import View
from tests.support.upstream.wire import Octets, Wire

if TYPE_CHECKING:
    from tests.support.upstream.account import Account
    from tests.support.upstream.server import FakeUpstream
    from tests.support.upstream.session import Session

FLUSH = 262_144


class No(Exception):
    """A tagged NO with this text."""


class Turn:
    """`answer` is the tagged response without its tag; empty until somebody decides."""

    def __init__(self, session: Session, command: Command, faults: Sequence[Fault] = ()) -> None:
        self.session, self.command, self.faults = session, command, faults
        self.args = list(command.args)
        self.uid = command.name.startswith("UID ")
        self.answer = ""
        self.trailer = b""
        self.then: Callable[[], Awaitable[None]] | None = None
        """Done when the answer is out: a handshake, compression."""

    def say(self, line: str | bytes) -> None:
        """An untagged response."""
        self._out(b"* " + (line.encode() if isinstance(line, str) else line) + b"\r\n")

    def tagged(self) -> None:
        self._out(f"{self.command.tag} {self.answer}\r\n".encode())

    def _out(self, line: bytes) -> None:
        for fault in self.faults:
            line = fault.line(line)
        if line:
            self.session.wire.write(line)

    async def fetched(self, number: int, uid: int, items: Items) -> None:
        """A FETCH response, or UIDFETCH."""
        shown = [items]
        for fault in self.faults:
            shown = [changed for one in shown for changed in fault.items(uid, one)]
        for one in shown:
            start = f"* {uid} UIDFETCH (" if "UIDONLY" in self.session.enabled else f"* {number} FETCH ("
            pieces: list[bytes] = [start.encode()]
            for at, (name, value) in enumerate(one):
                lead = f"{' ' if at else ''}{name} ".encode()
                if isinstance(value, Octets) and not isinstance(value, Raw):
                    pieces += [lead + b"{%d}\r\n" % len(value), value]
                else:
                    pieces.append(lead + value)
            self.session.wire.write(*pieces, b")\r\n")
        if self.session.wire.waiting > FLUSH:
            await self.session.wire.flush()

    @property
    def wire(self) -> Wire:
        return self.session.wire

    @property
    def server(self) -> FakeUpstream:
        return self.session.server

    # Arguments

    def next(self, what: str = "an argument") -> Token:
        if not self.args:
            raise Wrong(f"{what} is missing")
        return self.args.pop(0)

    def no_more(self) -> None:
        if self.args:
            raise Wrong(f"too many arguments: {self.args!r}")

    @property
    def account(self) -> Account:
        assert self.session.account is not None
        return self.session.account

    @property
    def view(self) -> View:
        assert self.session.view is not None
        return self.session.view

    def uids(self, token: Token) -> list[int]:
        """The messages that a sequence set names: by UID or number, as the command says."""
        view = self.view
        if self.uid:
            return view.by_uid(numbers(token, lambda: view.uids))
        try:
            return view.by_number(numbers(token, lambda: tuple(range(1, len(view.uids) + 1))))
        except LookupError as error:
            raise Wrong(f"no such message: {error}") from error

    def needs(self, capability: str, use: str) -> None:
        """BAD for what was not advertised, or was a lie."""
        if capability in self.session.quirks.lies:
            raise Lie(f"{use} is not supported")
        if not self.session.has(capability):
            raise Wrong(f"{use} is unknown here")

    def limited(self, uids: list[int], *, whole: bool = False) -> list[int]:
        """RFC 9738: only so many at once, the highest; the answer says where it stopped. `whole`: all or NO (COPY)."""
        limit = self.session.quirks.message_limit
        if limit and len(uids) > limit:
            uids = uids[-limit:]
            if whole:
                raise No(f"[MESSAGELIMIT {limit} {uids[0]}] Too many messages")
            self.answer = f"OK [MESSAGELIMIT {limit} {uids[0]}] {self.command.name} partially completed"
        return uids


@dataclass(frozen=True)
class Handler:
    run: Callable[[Turn], Awaitable[None]]
    states: str
    """Of n (not authenticated), a (authenticated), s (selected)."""
    capability: str


HANDLERS: dict[str, Handler] = {}


def handles(names: str, states: str, capability: str = "IMAP4rev1") -> Callable[..., Callable[[Turn], Awaitable[None]]]:
    """Registers a command, or several, which exist only with `capability`."""

    def register(run: Callable[[Turn], Awaitable[None]]) -> Callable[[Turn], Awaitable[None]]:
        for name in names.split(","):
            HANDLERS[name] = Handler(run, states, capability)
        return run

    return register
