"""One client's session: greeting, commands one after another, news in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.upstream.grammar import Command, Lie, Line, Wrong
from tests.support.upstream.personality import Personality, Quirks
from tests.support.upstream.turn import HANDLERS, No, Turn
from tests.support.upstream.view import View
from tests.support.upstream.wire import Gone, Wire

if TYPE_CHECKING:
    from tests.support.upstream.account import Account
    from tests.support.upstream.server import FakeUpstream

NO_EXPUNGE = {"FETCH", "STORE", "SEARCH"}
"""Commands by number, during which EXPUNGE must not come (RFC 9051 7.5.1)."""


class Session:
    """`account` after login, `view` while a mailbox is selected, `enabled` by ENABLE."""

    def __init__(self, server: FakeUpstream, wire: Wire, number: int) -> None:
        self.server, self.wire, self.number = server, wire, number
        self.account: Account | None = None
        self.token = ""
        """That it logged in by."""
        self.view: View | None = None
        self.enabled: set[str] = set()
        self.condstore = False
        """The client used something of CONDSTORE, and is told MODSEQs from now on (RFC 7162 3.1)."""
        self.identified = False
        self.idle = self.busy = self.over = False
        self.changed = asyncio.Event()
        self.farewell = ""
        self.pushes: list[str] = []
        """Untagged responses that go out in IDLE."""

    @property
    def personality(self) -> Personality:
        return self.server.personality

    @property
    def quirks(self) -> Quirks:
        return self.server.personality.quirks

    @property
    def capabilities(self) -> list[str]:
        words = (self.personality.after if self.account else self.personality.before).split()
        if self.account is None and self.server.offers_starttls and not self.wire.tls and "STARTTLS" not in words:
            words.append("STARTTLS")
        if self.wire.tls or not self.server.offers_starttls:
            words = [word for word in words if word != "STARTTLS"]
        return words

    def has(self, capability: str) -> bool:
        """Advertised now, and no lie."""
        return capability in self.capabilities and capability not in self.quirks.lies

    @property
    def utf8(self) -> bool:
        return "UTF8=ACCEPT" in self.enabled

    async def run(self) -> None:
        """Until one of both ends it."""
        await self._special("GREETING", self._greet)
        while not self.over:
            try:
                command = await self._read()
            except ValueError:
                self.server.broken("a line is too long")
                self.wire.write(b"* BAD Command line too long\r\n* BYE Too long\r\n")
                await self.wire.flush()
                raise Gone from None
            if command is not None:
                await self.perform(command)

    async def _greet(self, turn: Turn) -> None:
        greeting = self.personality.greeting
        turn.say(f"OK {greeting}")

    async def _special(self, name: str, do: object = None) -> Turn:
        """What is no command, and yet can go wrong: the greeting, the handshake, the `+` for a literal."""
        command = Command(self.number, "", "*", name, [], b"")
        turn = Turn(self, command, self.server.due(command))
        for fault in turn.faults:
            await fault.before(turn)
        if callable(do) and not turn.answer:
            await do(turn)
        elif turn.answer and name == "GREETING":
            turn.tagged()
        self.wire.write(turn.trailer)
        await self.wire.flush()
        self._disarm()
        for fault in turn.faults:
            await fault.told(turn)
        return turn

    async def handshake(self) -> None:
        await self._special("TLS")
        assert self.server.context is not None
        await self.wire.start_tls(self.server.context)

    async def _read(self) -> Command | None:
        """The next command; None when it was answered already."""
        line = Line()
        line.pieces.append(await self.wire.line(self.personality.max_line))
        self.busy = True
        while (literal := line.literal) is not None:
            size, at_once = literal
            tag = line.pieces[0].split(b" ")[0].decode("latin-1")
            if at_once and not (self.has("LITERAL+") or (self.has("LITERAL-") and size <= 4096)):
                self.server.broken("a literal without permission")
                self.wire.write(f"{tag} BAD Non-synchronizing literals are not supported\r\n".encode())
                await self.wire.flush()
                raise Gone
            if not at_once:
                if self.wire.early:
                    self.server.broken("octets came before `+`")
                turn = await self._special("LITERAL")
                if turn.answer:
                    self.wire.write(f"{tag} {turn.answer}\r\n".encode())
                    await self.wire.flush()
                    self.busy = False
                    return None
                self.wire.write(b"+ Ready for literal data\r\n")
                await self.wire.flush()
            line.pieces.append(await self.wire.exactly(size))
            line.pieces.append(await self.wire.line(self.personality.max_line))
        return await self._parsed(line)

    async def _parsed(self, line: Line) -> Command | None:
        raw = line.raw + b"\r\n"
        tag = line.pieces[0].split(b" ")[0].decode("latin-1") or "*"
        try:
            tokens = line.tokens()
            if len(tokens) < 2 or not all(isinstance(token, str) for token in tokens[:2]):
                raise Wrong("no command")
            name = tokens[1].upper()
            rest = tokens[2:]
            if name == "UID" and rest and isinstance(rest[0], str):
                name, rest = f"UID {rest[0].upper()}", rest[1:]
        except Wrong as wrong:
            self.server.broken(f"{wrong}: {raw!r}")
            self.wire.write(f"{tag} BAD {wrong}\r\n".encode())
            await self.wire.flush()
            self.busy = False
            return None
        return Command(self.number, self.account.user if self.account else "", tag, name, rest, raw)

    async def perform(self, command: Command) -> None:
        """Does it and answers; faults that are due come before, in and after."""
        self.server.note(command)
        turn = Turn(self, command, self.server.due(command))
        for fault in turn.faults:
            await fault.before(turn)
        await self._do(turn)
        for fault in turn.faults:
            await fault.after(turn)
        if not self.over:
            self.tell_news(turn)
        if not turn.answer:
            turn.answer = f"OK {command.name} completed"
        turn.tagged()
        self.wire.write(turn.trailer)
        await self.wire.flush()
        self._disarm()
        if turn.then is not None:
            await turn.then()
        for fault in turn.faults:
            await fault.told(turn)
        self.busy = False
        if self.farewell:
            await self.say_farewell()

    async def _do(self, turn: Turn) -> None:
        if turn.answer:
            return
        name = turn.command.name
        handler = HANDLERS.get(name)
        state = "n" if self.account is None else "a" if self.view is None else "s"
        try:
            if handler is None or not (handler.capability in self.capabilities or handler.capability == "IMAP4rev1"):
                raise Wrong(f"Unknown command {name}")
            if handler.capability in self.quirks.lies:
                raise Lie(f"{name} is not supported")
            if state not in handler.states and not (state == "s" and "a" in handler.states):
                raise Wrong(f"{name} is not allowed now")
            if "UIDONLY" in self.enabled and name in ("FETCH", "STORE", "SEARCH", "COPY", "MOVE", "SORT", "THREAD"):
                raise Wrong(f"[UIDREQUIRED] {name} by message number")
            await self._check_view()
            await handler.run(turn)
        except Wrong as wrong:
            if not isinstance(wrong, Lie):
                self.server.broken(f"{wrong}: {turn.command.text[:200]}")
            turn.answer = f"BAD {wrong}"
        except No as refused:
            turn.answer = f"NO {refused}"

    async def _check_view(self) -> None:
        """A mailbox that was deleted or built anew under a session ends it, as Dovecot does."""
        view = self.view
        if view is not None and self.account is not None:
            box = view.mailbox
            if self.account.mailboxes.get(box.raw) is not box or box.uidvalidity != view.uidvalidity:
                self.wire.write(b"* BYE IMAP session state is inconsistent, please relogin.\r\n")
                await self.wire.flush()
                raise Gone

    def tell_news(self, turn: Turn | None = None) -> None:
        """What happened in the mailbox; in IDLE without a turn's faults."""
        view = self.view
        if view is None or (view.mailbox.uidvalidity != view.uidvalidity):
            return
        name = turn.command.name if turn else "IDLE"
        lines = view.news(
            expunges=name not in NO_EXPUNGE and not (name == "IDLE" and self.quirks.idle_hides_expunge),
            vanished="QRESYNC" in self.enabled or "UIDONLY" in self.enabled,
            uid="QRESYNC" in self.enabled or (turn is not None and turn.uid),
            modseq=self.condstore,
            uidonly="UIDONLY" in self.enabled,
        )
        for line in lines:
            if turn is not None:
                turn.say(line)
            else:
                self.wire.write(b"* " + line + b"\r\n")

    async def say_farewell(self) -> None:
        self.wire.write(f"* BYE {self.farewell}\r\n".encode())
        await self.wire.flush()
        raise Gone

    def _disarm(self) -> None:
        self.wire.gates.clear()
        self.wire.drip = None

