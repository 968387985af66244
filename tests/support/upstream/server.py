"""The scripted upstream: it listens, keeps the log, arms faults, and hands on what happens on the account."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from tests.support.upstream import commands_change, commands_fetch, commands_login, commands_mailbox, commands_search
from tests.support.upstream.account import PASSWORD, TOKEN, USER, Account, fill
from tests.support.upstream.faults import Fault
from tests.support.upstream.gmail import GmailAccount
from tests.support.upstream.grammar import Command
from tests.support.upstream.personality import DOVECOT, Personality
from tests.support.upstream.session import Session
from tests.support.upstream.wire import Gone, Wire

WRITES = frozenset(
    {"STORE", "APPEND", "EXPUNGE", "COPY", "MOVE", "CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE",
     "CLOSE", "SELECT"}
)
"""What must not be sent to an account that is only read: SELECT resets \\Recent, CLOSE expunges."""

COMMAND_MODULES = (commands_change, commands_fetch, commands_login, commands_mailbox, commands_search)
"""Their import is what registers the commands."""


class FakeUpstream:
    """`async with FakeUpstream(GMAIL, mailboxes={"INBOX": 10}) as server`; see the package for what it can do.

    `context` with `starttls` False: TLS from the first octet; with True: STARTTLS is offered, and login in the clear
    too. `mailboxes`: raw name -> number of messages, or their octets. What is not found here is the account's:
    `server.deliver(...)`.
    """

    def __init__(self, personality: Personality = DOVECOT, *, faults: Iterable[Fault] = (),
                 mailboxes: Mapping[str, int | Iterable[bytes]] | None = None, context: ssl.SSLContext | None = None,
                 starttls: bool = False, port: int = 0, host: str = "127.0.0.1") -> None:
        self.personality, self.context, self.starttls = personality, context, starttls
        self.host, self.port = host, port
        self.faults = list(faults)
        self.log: list[Command] = []
        self.violations: list[str] = []
        """What a client must not do and did: bad grammar, what was never advertised, octets that came too early."""
        self.sessions: list[Session] = []
        self.connections = 0
        """How many there ever were."""
        self.max_connections = 0
        """Of one account at once, 0: any number; more are refused at login."""
        self.refuse_login = ""
        """The answer to each login while it is set; `refusals` has the words of providers."""
        self.oauth_challenge: str | None = None
        """The JSON of a refused token instead of the personality's."""
        self.accounts: dict[str, Account] = {}
        self.account = self.add_account(mailboxes=mailboxes)
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()
        self._listener: asyncio.Server | None = None

    def add_account(self, user: str = USER, password: str = PASSWORD, token: str = TOKEN, *,
                    mailboxes: Mapping[str, int | Iterable[bytes]] | None = None) -> Account:
        kind = GmailAccount if self.personality.gmail else Account
        made = kind(user, password, token, delimiter=self.personality.delimiter)
        fill(made, self.personality.boxes, mailboxes or {})
        sent = made.role("\\Sent")
        made.sent = sent.raw if sent else next((raw for raw in made.mailboxes if "sent" in raw.lower()), "")
        made.notify = lambda: self._wake(made)
        self.accounts[user] = made
        return made

    def account_named(self, user: str) -> Account | None:
        found = self.accounts.get(user)
        return found or next((one for one in self.accounts.values() if user in one.aliases), None)

    def __getattr__(self, name: str) -> Any:
        """deliver, expunge, set_flags, snapshot, ...: of the first account."""
        if name.startswith("_") or name == "account":
            raise AttributeError(name)
        return getattr(self.account, name)

    @property
    def offers_starttls(self) -> bool:
        return self.starttls and self.context is not None

    async def __aenter__(self) -> FakeUpstream:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens; again on the same port after `stop`."""
        self._listener = await asyncio.start_server(self._connected, self.host, self.port, backlog=2048)
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

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        session = Session(self, Wire(reader, writer), self.connections)
        self.sessions.append(session)
        abruptly = True
        try:
            if self.context is not None and not self.starttls:
                await session.handshake()
            await session.run()
            abruptly = False
        except Gone as gone:
            abruptly = gone.abruptly
        except asyncio.CancelledError:
            return  # stop() waits for the task, nobody else cancels it
        finally:
            self._tasks.discard(task)
            self.sessions.remove(session)
            session.wire.end(abruptly=abruptly)
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

    def writes(self) -> list[Command]:
        """Whatever could have changed the account, SELECT among them."""
        return self.commands(*WRITES)

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

    def idling(self, raw: str | None = None) -> int:
        """How many sessions are in IDLE, in this mailbox."""
        return sum(one.idle and (raw is None or (one.view is not None and one.view.mailbox.raw == raw))
                   for one in list(self.sessions))

    async def until_idle(self, raw: str | None = None, count: int = 1) -> None:
        await self.until(lambda: self.idling(raw) >= count)

    # What the server does by itself

    def bye(self, text: str = "Session invalidated - AccessTokenExpired") -> None:
        """BYE to everybody: at once in IDLE, else when the command that is being done has its answer."""
        for session in self.sessions:
            session.farewell = text
            session.changed.set()
            if not session.busy:
                session.wire.write_now(f"* BYE {text}\r\n".encode())

    def hang_up(self) -> None:
        """RST to everybody."""
        for session in list(self.sessions):
            session.wire.end(abruptly=True)

    def _wake(self, account: Account) -> None:
        for session in self.sessions:
            if session.account is account:
                session.changed.set()
