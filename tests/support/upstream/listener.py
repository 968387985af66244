"""What the scripted IMAP and SMTP servers share: they listen, arm faults, keep the log and let tests wait for it."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Generic, Self, TypeVar

from tests.support.upstream.faults import Fault
from tests.support.upstream.grammar import Command
from tests.support.upstream.wire import Accepted, Gone, Wire

Session = TypeVar("Session")


class Listener(ABC, Generic[Session]):
    """`context` with `starttls` False: TLS from the first octet; with True: STARTTLS is offered and may be left."""

    def __init__(self, faults: Iterable[Fault], context: ssl.SSLContext | None, *, starttls: bool, host: str,
                 port: int) -> None:
        self.host, self.port, self.context, self.starttls = host, port, context, starttls
        self.faults = list(faults)
        self.log: list[Command] = []
        self.violations: list[str] = []
        """What a client must not do and did: bad grammar, what was never advertised, octets that came too early."""
        self.sessions: list[Session] = []
        self.connections = 0
        """How many there ever were."""
        self._wires: set[Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()
        self._listener: asyncio.Server | None = None

    @abstractmethod
    def session(self, wire: Wire, number: int) -> Session:
        """What is known of connection `number`, the first is 1."""

    @abstractmethod
    async def serve(self, session: Session) -> None:
        """One connection, until it ends; Gone is fine."""

    @property
    def implicit_tls(self) -> bool:
        return self.context is not None and not self.starttls

    @property
    def offers_starttls(self) -> bool:
        return self.context is not None and self.starttls

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens; after `stop` on the same port again.

        Faults of TLS from the first octet are armed before: only then the handshake is taken out of the loop's hands.
        """
        loop = asyncio.get_running_loop()
        by_hand = any(fault.command == "TLS" for fault in self.faults)
        self._listener = await loop.create_server(
            lambda: Accepted(self._connected, held=self.implicit_tls and by_hand), self.host, self.port, backlog=2048,
            ssl=self.context if self.implicit_tls and not by_hand else None,
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hangs up on everybody, and nobody listens: an outage. The mail stays."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hang_up(self) -> None:
        """RST to everybody; new connections are welcome."""
        for wire in list(self._wires):
            wire.end(abruptly=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        wire = Wire(reader, writer)
        session = self.session(wire, self.connections)
        self._wires.add(wire)
        self.sessions.append(session)
        abruptly = True
        try:
            await self.serve(session)
            abruptly = False
        except Gone as gone:
            abruptly = gone.abruptly
        except asyncio.CancelledError:
            return  # by stop(), which waits for the task; nobody else cancels it
        except Exception as error:
            self.broken(f"the scripted server itself failed: {error!r}")
            raise
        finally:
            self._tasks.discard(task)
            self._wires.discard(wire)
            self.sessions.remove(session)
            wire.end(abruptly=abruptly)
            self.progress()

    # Faults and the log

    def arm(self, *faults: Fault) -> None:
        self.faults += faults

    def disarm(self) -> None:
        self.faults.clear()

    def due(self, command: Command) -> list[Fault]:
        return [fault for fault in self.faults if fault.due(command)]

    def note(self, command: Command) -> None:
        self.log.append(command)
        self.progress()

    def broken(self, what: str) -> None:
        self.violations.append(what)

    def commands(self, *names: str) -> list[Command]:
        """Those of the log with these names; `FETCH` stands for UID FETCH too. All without names."""
        return [one for one in self.log if not names or {one.name, one.name.removeprefix("UID ")} & set(names)]

    def names(self) -> list[str]:
        return [one.name for one in self.log]

    # Waiting without polling

    def progress(self) -> None:
        self._moved.set()

    async def until(self, true: Callable[[], object]) -> None:
        """Looks again after each command, each IDLE that begins and each connection that ends."""
        while not true():
            self._moved.clear()
            await self._moved.wait()

    async def until_command(self, *names: str, count: int = 1) -> None:
        """Until so many of them were ever received."""
        await self.until(lambda: len(self.commands(*names)) >= count)
