"""The submission session: its commands, and those that are about no mail (RFC 5321, RFC 4954, RFC 3207)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Final

from gateway.model.errors import GatewayError

from . import future
from .login import MAX_RESPONSE, MECHANISMS
from .parameters import SyntaxRefused
from .ports import SubmissionServices
from .syntax import split_command, valid_helo
from .transaction import TransactionConnection

_IDLE_COMMANDS: Final = frozenset({"NOOP", "RSET", "VRFY", "EXPN", "HELP", "EHLO", "HELO"})
_OTHER_PROTOCOLS: Final = frozenset(
    {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "PROXY"}
)
# A browser made to send mail, or a proxy that is not among those of the listener
_AUTH_LINE: Final = MAX_RESPONSE + 32  # octets of an AUTH line with its initial response

Command = Callable[..., Awaitable[None]]
"""A session's method for one verb; it is given the argument."""


class SubmissionSession(TransactionConnection):
    """One client. Each command is a method that queues its reply; nothing a client sent is ever echoed or logged.

    What LMTP does otherwise stands in `lmtp`: its commands, how a message is read and who is answered for it.
    """

    protocol_name: ClassVar[str] = "ESMTP"
    commands: ClassVar[Mapping[str, Command]]

    def __init__(
        self,
        services: SubmissionServices,
        tls: ssl.SSLContext | None,
        *,
        implicit_tls: bool,
        trusted: bool = False,
        on_made: Callable[[SubmissionSession], None],
        on_lost: Callable[[SubmissionSession], None],
    ) -> None:
        super().__init__(services, tls, implicit_tls=implicit_tls, trusted=trusted)
        self._on_made = on_made
        self._on_lost = on_lost
        self._quit = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._on_made(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._on_lost(self)

    async def run(self) -> None:
        self.reply(f"220 {self.settings.hostname} {self.protocol_name} {self.settings.notice}".rstrip())
        try:
            await self._converse()
        finally:
            self._drop_chunks()

    async def _converse(self) -> None:
        while not self._quit:
            limit = self.settings.command_line if self.logged_in else self.settings.login_line
            line = await self.read_line(limit, _AUTH_LINE)
            if line is None:
                self._fail("500 5.5.2 Line too long")
                continue
            verb, argument = split_command(line)
            try:
                await self._command(verb, argument)
            except SyntaxRefused as refused:
                self._fail(refused.reply)
            except GatewayError as error:
                self._refuse(error)

    async def _command(self, verb: str, argument: bytes) -> None:
        command = self.commands.get(verb)
        if command is None:
            if verb in _OTHER_PROTOCOLS:
                self.end("421 4.7.0 This is a mail server")
                return
            self._fail("500 5.5.2 Command not recognized")
            return
        if verb in _IDLE_COMMANDS or (verb == "BDAT" and not argument.strip(b"0")):
            self._count_idle()
        refusal = None
        if not self.may_log_in and verb not in _BEFORE_TLS:
            refusal = "530 5.7.0 Must issue a STARTTLS command first"  # RFC 3207 4
        elif not self.logged_in and verb not in _BEFORE_LOGIN:
            refusal = "530 5.7.0 Authentication required"  # RFC 4954 6
        if refusal is None:
            await command(self, argument)
        elif verb == "BDAT":
            await self._refuse_bdat(argument, refusal)
        else:
            self._fail(refusal)

    # -- the session

    async def _ehlo(self, argument: bytes) -> None:
        if not self._greeted(argument):
            return
        lines = [
            self.settings.hostname,
            "PIPELINING",
            f"SIZE {self.settings.max_message_size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "DSN",
            "CHUNKING",
            "BINARYMIME",
            f"LIMITS RCPTMAX={self.settings.max_recipients}",
        ]
        if self._burl_keyword is not None:
            lines.append(self._burl_keyword)
        if self.settings.future_release_s:
            lines.append(future.advertised(self.services.clock(), self.settings.future_release_s))
        if self.may_log_in:
            lines += [f"AUTH {' '.join(MECHANISMS)}", "AUTH=PLAIN LOGIN"]  # the second is what old Outlooks look for
        if self.offers_tls:
            lines.append("STARTTLS")
        self._offer(lines)

    def _offer(self, lines: Sequence[str]) -> None:
        for line in lines[:-1]:
            self.reply(f"250-{line}")
        self.reply(f"250 {lines[-1]}")

    async def _hello(self, argument: bytes) -> None:
        if self._greeted(argument):
            self.reply(f"250 {self.settings.hostname}")

    def _greeted(self, argument: bytes) -> bool:
        name = valid_helo(argument)
        if name is None:
            self._fail("501 5.5.4 Syntax: EHLO hostname")
            return False
        self._helo = name
        self._reset()
        return True

    async def _starttls(self, argument: bytes) -> None:
        if argument:
            self._fail("501 5.5.4 Syntax: STARTTLS")
        elif self.encrypted:
            self._fail("503 5.5.1 Already under TLS")
        elif self._principal is not None:  # RFC 3207 4.2: a login of before would have to be forgotten
            self._fail("503 5.5.1 Already authenticated")
        elif not self.offers_tls:
            self._fail("502 5.5.1 TLS is not offered here")
        else:
            self.reply("220 2.0.0 Ready to start TLS")
            await self.start_tls()
            self._helo = None  # RFC 3207 4.2: all that was learnt before is forgotten
            self._reset()

    async def _noop(self, argument: bytes) -> None:
        self.reply("250 2.0.0 OK")

    async def _rset(self, argument: bytes) -> None:
        self._reset()
        self.reply("250 2.0.0 OK")

    async def _help(self, argument: bytes) -> None:
        self.reply("214 2.0.0 EHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP QUIT")

    async def _vrfy(self, argument: bytes) -> None:
        self.reply("252 2.5.0 Send to it and see")  # RFC 5321 3.5.3: never a list of who exists

    async def _expn(self, argument: bytes) -> None:
        self._fail("502 5.5.1 EXPN is not offered")

    async def _do_quit(self, argument: bytes) -> None:
        self.reply("221 2.0.0 Bye")
        self._quit = True


SubmissionSession.commands = {
    "EHLO": SubmissionSession._ehlo,
    "HELO": SubmissionSession._hello,
    "STARTTLS": SubmissionSession._starttls,
    "AUTH": SubmissionSession._auth,
    "MAIL": SubmissionSession._mail_from,
    "RCPT": SubmissionSession._rcpt_to,
    "DATA": SubmissionSession._data,
    "BDAT": SubmissionSession._bdat,
    "BURL": SubmissionSession._burl,
    "RSET": SubmissionSession._rset,
    "NOOP": SubmissionSession._noop,
    "HELP": SubmissionSession._help,
    "VRFY": SubmissionSession._vrfy,
    "EXPN": SubmissionSession._expn,
    "QUIT": SubmissionSession._do_quit,
}
# RFC 3207 4: what may be said before STARTTLS; AUTH only to be refused by its own code.
_BEFORE_TLS: Final = frozenset({"EHLO", "HELO", "STARTTLS", "NOOP", "RSET", "QUIT", "HELP", "AUTH"})
_BEFORE_LOGIN: Final = _BEFORE_TLS
