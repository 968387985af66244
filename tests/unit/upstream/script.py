"""A scripted peer without sockets: what the client has to send and what it is told, as a text of C: and S: lines.

    talk('''
    C: A1 SELECT "x"
    S: * 3 EXISTS
    S: A1 OK [READ-WRITE] done
    ''', lambda client: client.select(b"x"))

`S:` lines that stand before a `C:` line are told at once; behind it when that line has come. `S- ` tells a line without
its line end, `X:` ends the connection. Octets beyond ASCII are Latin-1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from gateway.outbound.login import Mechanism, RelayLogin
from gateway.outbound.tls import Security, TlsPolicy
from gateway.upstream.client import ImapClient
from gateway.upstream.dialogue import Dialogue
from gateway.upstream.endpoint import ImapEndpoint, ImapLimits, ImapTimeouts
from gateway.upstream.events import Status
from gateway.upstream.link import Link
from gateway.upstream.transcript import Transcript

T = TypeVar("T")
AT_ONCE = ImapTimeouts(*(0.05,) * 9)
"""For tests of deadlines: how long they are makes no difference to what is tested."""


class Peer(asyncio.Transport):
    """A transport whose other end follows the script. `wrong`: what the client sent instead of what was expected."""

    def __init__(self, script: str, link: Link, *, secure: bool = True) -> None:
        super().__init__({"ssl_object": object()} if secure else {"peername": ("192.0.2.1", 993)})
        self._link = link
        self._steps = [line.strip(" ") for line in script.strip("\n").splitlines() if line.strip()]
        self._heard = b""
        self.wrong: list[str] = []
        self.paused = False
        self.pauses = 0
        self.closed = False
        self._kept: list[bytes] = []

    def begin(self) -> None:
        self._link.connection_made(self)
        self._say()

    @property
    def left(self) -> list[str]:
        return self._steps

    def _say(self) -> None:
        loop = asyncio.get_running_loop()
        while self._steps and not self._steps[0].startswith("C:"):
            step = self._steps.pop(0)
            if step.startswith("X:"):
                loop.call_soon(self._hang_up)
            else:
                end = b"" if step.startswith("S-") else b"\r\n"
                loop.call_soon(self._tell, step[2:].removeprefix(" ").encode("latin-1") + end)

    def _tell(self, octets: bytes) -> None:
        if not self.closed:
            self._link.data_received(octets)

    def _hang_up(self) -> None:
        if not self.closed:
            self.closed = True
            self._link.connection_lost(None)

    def write(self, data: Any) -> None:
        self._heard += bytes(data)
        while b"\r\n" in self._heard:
            line, _, self._heard = self._heard.partition(b"\r\n")
            said = line.decode("latin-1")
            expected = self._steps.pop(0)[2:].removeprefix(" ") if self._steps else "nothing more"
            if said != expected:
                self.wrong.append(f"{said!r}, expected {expected!r}")
            self._say()

    def pause_reading(self) -> None:
        self.paused = True
        self.pauses += 1

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


def endpoint(
    login: RelayLogin | None = None, times: ImapTimeouts | None = None, limits: ImapLimits | None = None
) -> ImapEndpoint:
    return ImapEndpoint(
        "imap.test", 993, login or RelayLogin("bob", "secret"), tls=TlsPolicy(Security.NONE),
        timeouts=times or ImapTimeouts(), limits=limits or ImapLimits(),
    )  # fmt: skip


def token(mechanism: Mechanism = Mechanism.AUTO) -> RelayLogin:
    return RelayLogin("bob", "tok", mechanism, token=True)


class Talk:
    """A client at one end of a script. `capabilities`: what the server has told already."""

    def __init__(
        self,
        script: str,
        capabilities: str = "",
        *,
        login: RelayLogin | None = None,
        times: ImapTimeouts | None = None,
        limits: ImapLimits | None = None,
        secure: bool = True,
        logged_in: bool = True,
    ) -> None:
        self.transcript = Transcript()
        settings = endpoint(login, times, limits)
        self.link = Link(settings.limits)
        self.peer = Peer(script, self.link, secure=secure)
        self.dialogue = Dialogue(self.link, settings.timeouts, settings.limits, self.transcript)
        self.dialogue.greeted = True
        self.dialogue.capabilities = frozenset(capabilities.upper().split())
        if logged_in:
            self.link.reader.total = None
        self.client = ImapClient(self.dialogue, Status("OK", None, "hello"), settings, {}, compress=False)
        self.peer.begin()

    def done(self) -> None:
        """The client has said all that the script expects, and nothing else."""
        assert self.peer.wrong == []
        assert self.peer.left == []


def talk(script: str, work: Callable[[ImapClient], Awaitable[T]], capabilities: str = "", **options: Any) -> T:
    """What `work` returns or raises; the script has to be followed to its end either way."""

    async def main() -> T:
        talking = Talk(script, capabilities, **options)
        try:
            return await work(talking.client)
        finally:
            talking.done()

    return asyncio.run(main())
