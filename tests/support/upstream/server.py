"""The scripted IMAP server: accounts behind a listener."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.upstream import commands_change, commands_fetch, commands_login, commands_mailbox, commands_search
from tests.support.upstream.account import PASSWORD, TOKEN, USER, Account, fill
from tests.support.upstream.faults import Fault, Refuse
from tests.support.upstream.gmail import GmailAccount
from tests.support.upstream.grammar import Command
from tests.support.upstream.listener import Listener
from tests.support.upstream.personality import DOVECOT, Personality
from tests.support.upstream.session import Session
from tests.support.upstream.wire import Wire

WRITES = frozenset(
    {"STORE", "APPEND", "EXPUNGE", "COPY", "MOVE", "CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE",
     "CLOSE", "SELECT"}
)  # fmt: skip
"""What must not be sent to an account that is only read: SELECT resets \\Recent, CLOSE expunges."""

COMMAND_MODULES = (commands_change, commands_fetch, commands_login, commands_mailbox, commands_search)
"""Their import is what registers the commands."""

Mailboxes = Mapping[str, int | Iterable[bytes]]
"""Raw name -> number of messages, or their octets."""


class FakeUpstream(Listener[Session]):
    """`async with FakeUpstream(GMAIL, mailboxes={"INBOX": 10}) as server`; the package tells what it can do.

    What is not found here is the first account's: `server.deliver(…)`, `server.snapshot()`.
    """

    def __init__(self, personality: Personality = DOVECOT, *, faults: Iterable[Fault] = (),
                 mailboxes: Mailboxes | None = None, context: ssl.SSLContext | None = None, starttls: bool = False,
                 host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(faults, context, starttls=starttls, host=host, port=port)
        self.personality = personality
        self.max_connections = 0
        """Of one account at once, 0: any number; more are refused at login."""
        self.refuse_login = ""
        """The answer to each login while it is set; `refusals` has the words of providers."""
        self.oauth_challenge: str | None = None
        """The JSON of a refused token instead of the personality's."""
        self.accounts: dict[str, Account] = {}
        self.account = self.add_account(mailboxes=mailboxes)

    def add_account(self, user: str = USER, password: str = PASSWORD, token: str = TOKEN, *,
                    mailboxes: Mailboxes | None = None) -> Account:
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
        if name.startswith("_") or name == "account":
            raise AttributeError(name)
        return getattr(self.account, name)

    def session(self, wire: Wire, number: int) -> Session:
        return Session(self, wire, number)

    async def serve(self, session: Session) -> None:
        if self.implicit_tls and not session.wire.tls:
            await session.handshake()
        await session.run()

    def writes(self) -> list[Command]:
        """Whatever could have changed the account, SELECT among them."""
        return self.commands(*WRITES)

    def idling(self, raw: str | None = None) -> int:
        """How many sessions are in IDLE, in this mailbox."""
        return sum(one.idle and (raw is None or (one.view is not None and one.view.mailbox.raw == raw))
                   for one in list(self.sessions))

    async def until_idle(self, raw: str | None = None, count: int = 1) -> None:
        await self.until(lambda: self.idling(raw) >= count)

    def throttle(self, command: str = "", *, times: int = 1) -> None:
        """The provider's words for "later" to the next commands after login."""
        self.arm(Refuse(command, self.personality.backoff, times=times, where=lambda one: bool(one.user)))

    def push(self, line: str) -> None:
        """An untagged response to all who are in IDLE, whatever it says: `OK Still here`."""
        for session in self.sessions:
            session.pushes.append(line)
            session.changed.set()

    def bye(self, text: str = "Session invalidated - AccessTokenExpired") -> None:
        """BYE to everybody: at once in IDLE and between commands, else behind the answer to the command that runs."""
        self._bye(list(self.sessions), text)

    def expire(self, token: str) -> int:
        """One of an account's `tokens` ends, and with it the sessions that logged in by it; how many."""
        ended = [one for one in self.sessions if one.token == token]
        for account in self.accounts.values():
            account.tokens.discard(token)
        self._bye(ended, "Session invalidated - AccessTokenExpired")
        return len(ended)

    def _bye(self, sessions: list[Session], text: str) -> None:
        for session in sessions:
            session.farewell = text
            session.changed.set()
            if not session.busy:
                session.wire.write_now(f"* BYE {text}\r\n".encode())

    def _wake(self, account: Account) -> None:
        for session in self.sessions:
            if session.account is account:
                session.changed.set()
