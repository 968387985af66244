"""The submission session: what each command does (RFC 5321, RFC 6409, RFC 4954, RFC 3207)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, Final

from gateway.model.errors import GatewayError
from gateway.model.recipient import Recipient
from gateway.submit.envelope import Accepted, SubmissionEnvelope
from gateway.submit.intake import Delivered

from . import future
from .bdat import MAX_DRAIN, RESET_FIRST
from .burl import UrlConnection
from .connection import Disconnected, TooSlow
from .data import DataDecoder, SlowBudget
from .login import MAX_RESPONSE, MECHANISMS
from .parameters import SyntaxRefused
from .ports import Acceptance, SubmissionServices
from .replies import AT_MAIL, reply_to
from .syntax import MailCommand, parse_mail, parse_rcpt, split_command, valid_helo

_IDLE_COMMANDS: Final = frozenset({"NOOP", "RSET", "VRFY", "EXPN", "HELP", "EHLO", "HELO"})
_OTHER_PROTOCOLS: Final = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "PROXY"})
# A browser made to send mail, or a proxy that is not among those of the listener
_AUTH_LINE: Final = MAX_RESPONSE + 32  # octets of an AUTH line with its initial response

Command = Callable[..., Awaitable[None]]
"""A session's method for one verb; it is given the argument."""


class SubmissionSession(UrlConnection):
    """One client. Each command is a method that queues its reply; nothing a client sent is ever echoed or logged.

    What LMTP does otherwise stands in `lmtp`: its commands, how a message is read and who is answered for it.
    """

    protocol_name: ClassVar[str] = "ESMTP"
    counted_as: ClassVar[str] = "smtp_submissions"  # the metric of messages, by result
    violation: ClassVar[str] = "550 5.6.0 The message holds a bare CR, a bare LF or a NUL"
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
        self._mail: MailCommand | None = None
        self._release: int | None = None  # when the mail may go (RFC 4865)
        self._recipients: dict[str, Recipient] = {}
        self._good_sender: str | None = None  # passed at MAIL in this session, and no message was refused since
        self._idle_commands = 0
        self._quit = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._on_made(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._on_lost(self)

    async def run(self) -> None:
        self.reply(f"220 {self.settings.hostname} {self.protocol_name}")
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
        if verb in _IDLE_COMMANDS or (verb == "BDAT" and argument == b"0"):
            self._idle_commands += 1
            if self._idle_commands > self.settings.max_idle_commands:
                self._count_error()
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

    # -- a transaction

    async def _mail_from(self, argument: bytes) -> None:
        principal = self._principal
        if principal is None or self._helo is None:
            self._fail("503 5.5.1 Send EHLO first")
            return
        if self._spoilt or self._mail is not None:
            self._fail(RESET_FIRST if self._spoilt else "503 5.5.1 Nested MAIL command")
            return
        if principal.expires_at is not None and self.services.clock() >= principal.expires_at:
            self.end("421 4.7.0 The key has expired")
            return
        if not (principal.may_send or principal.may_propose):
            self._fail("550 5.7.1 This key may not send")
            return
        mail = parse_mail(argument)
        release_at = self._release_at(mail)
        if mail.size > self.settings.max_message_size:
            self._fail(f"552 5.3.4 A message may have {self.settings.max_message_size} octets at most")  # RFC 1870 6.1
            return
        if mail.address != self._good_sender:  # what decides is looked up anew when the message is kept
            try:
                await self.services.acceptor.check_sender(principal, mail.address)
            except GatewayError as error:
                self._refuse(error, AT_MAIL)
                return
            self._good_sender = mail.address
        self._mail, self._release = mail, release_at
        self.reply("250 2.1.0 Sender OK")

    def _release_at(self, mail: MailCommand) -> int | None:
        """SyntaxRefused for a time that cannot be waited for (RFC 4865 4.2)."""
        if mail.hold is None:
            return None
        longest = self.settings.future_release_s
        if not longest:
            raise SyntaxRefused("555 5.5.4 Mail cannot be put off here")
        at = future.release_at(mail.hold, self.services.clock(), longest)
        if at is None:
            raise SyntaxRefused(f"501 5.5.4 Mail can be put off for {longest} seconds at most")
        return at

    async def _rcpt_to(self, argument: bytes) -> None:
        if self._mail is None or self._principal is None:
            self._fail("503 5.5.1 Need MAIL command")
            return
        if self._spoilt or self._chunks is not None:
            self._fail(RESET_FIRST if self._spoilt else "503 5.5.1 The message has begun")
            return
        recipient = parse_rcpt(argument, smtputf8=self._mail.smtputf8)
        address = recipient.address
        if len(self._recipients) >= self.settings.max_recipients and address not in self._recipients:
            self.reply("452 4.5.3 Too many recipients")  # RFC 5321 4.5.3.1.10: the client sends the rest by itself
            return
        await self.services.acceptor.check_recipient(self._principal, self._mail.address, address)
        self._recipients[address] = recipient
        self.reply("250 2.1.5 Recipient OK")

    async def _data(self, argument: bytes) -> None:
        if argument:
            self._fail("501 5.5.4 Syntax: DATA")
        elif self._spoilt:
            self._fail(RESET_FIRST)
        elif (refusal := self._no_message()) is not None:
            self._fail(refusal)
        elif self._chunks is not None:  # RFC 3030 2
            self._fail("503 5.5.1 The message comes by BDAT")
        elif self._mail is not None and self._mail.body == "BINARYMIME":  # RFC 3030 3
            self._spoil()
            self._fail("503 5.5.1 A binary message needs BDAT")
        else:
            acceptance, _ = self._begin()
            self._reset()
            await self._take(acceptance)

    @property
    def _in_transaction(self) -> bool:
        return self._mail is not None

    def _no_message(self) -> str | None:
        if self._mail is None or self._principal is None:
            return "503 5.5.1 Need MAIL command"
        return None if self._recipients else "554 5.5.1 No valid recipients"

    def _begin(self) -> tuple[Acceptance[Accepted | Delivered], bool]:
        mail, principal = self._mail, self._principal
        assert mail is not None  # _no_message
        assert principal is not None
        envelope = SubmissionEnvelope(
            principal=principal,
            mail_from=mail.address,
            recipients=tuple(self._recipients.values()),
            body_8bit=mail.body != "7BIT",
            body_binary=mail.body == "BINARYMIME",
            smtputf8=mail.smtputf8,
            envelope_id=mail.envelope_id,
            ret=mail.ret,
            release_at=self._release,
            hold=None if mail.hold is None else mail.hold.text,
            protocol=f"{'UTF8SMTP' if mail.smtputf8 else 'ESMTP'}{'SA' if self.encrypted else 'A'}",
        )
        return self.services.acceptor.begin(envelope), envelope.body_binary

    async def _take(self, acceptance: Acceptance[Accepted | Delivered]) -> None:
        """Reads the message to its end whatever is wrong with it, then gives the one reply (RFC 5321 4.1.1.4)."""
        accepted: Accepted | Delivered | None = None
        failed: GatewayError | None = None
        decoder = self._decoder()
        budget = SlowBudget(self.settings.slow_window_s, self.settings.slow_octets)
        try:
            self.begin_message()
            self.reply("354 End data with <CR><LF>.<CR><LF>")
            await self.flush()
            while not decoder.finished:
                piece = decoder.feed(await self.read_some(budget))
                if piece and failed is None:
                    try:
                        await acceptance.write(piece)
                    except GatewayError as error:
                        failed = error
                if decoder.received > MAX_DRAIN * self.settings.max_message_size:
                    self._fail("552 5.3.4 Message is too big")
                    raise Disconnected
            self.end_message(decoder.rest)
            if decoder.violated:
                self._fail(self.violation)
            elif decoder.too_big:
                self._fail("552 5.3.4 Message is too big")
            elif failed is not None:
                raise failed
            else:
                # Once this has begun, the message is kept whatever becomes of the connection (accept.py shields it).
                accepted = await acceptance.finish()
        except TooSlow:
            self.reply("421 4.4.2 Data arrive too slowly")
            raise Disconnected from None
        finally:
            self._settle(acceptance, accepted)

    def _settle(self, acceptance: Acceptance[Accepted | Delivered], accepted: Accepted | Delivered | None) -> None:
        result = "refused"
        if accepted is None:
            self._good_sender = None
            acceptance.abort()
        else:
            result = "accepted"
            self._idle_commands = 0
            self._tell(accepted)
        self.services.metrics.count(self.counted_as, result=result)

    def _decoder(self) -> DataDecoder:
        return DataDecoder(self.settings.max_message_size)

    def _tell(self, accepted: Accepted | Delivered) -> None:
        """The reply to a message that is kept."""
        said = f"Accepted as {accepted.trace_id}"
        if isinstance(accepted, Accepted) and accepted.held_as is not None:
            said = f"held for approval as {accepted.held_as}"
        self.reply(f"250 2.0.0 {said}")

    # -- refusals

    def _reset(self) -> None:
        self._drop_chunks()
        self._spoilt = False
        self._end_transaction()

    def _end_transaction(self) -> None:
        self._mail = self._release = None
        self._recipients = {}

    def _refuse(self, error: GatewayError, *tables: Mapping[type[GatewayError], str]) -> None:
        """Policy, not a fault of the client's: it does not count as an error."""
        reply = reply_to(error, *tables)
        if reply is None:
            self._fail(f"451 4.3.0 Internal error, reported as {self.report(error)}")
        else:
            self.reply(reply)


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
