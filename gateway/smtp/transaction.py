"""A transaction: MAIL, RCPT, DATA, and what becomes of the message (RFC 5321 3.3, RFC 6409)."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import ClassVar

from gateway.model.errors import GatewayError
from gateway.model.recipient import Recipient
from gateway.submit.envelope import Accepted, SubmissionEnvelope
from gateway.submit.intake import Delivered

from . import future
from .bdat import MAX_DRAIN, RESET_FIRST
from .burl import UrlConnection
from .connection import Disconnected, TooSlow
from .data import DataDecoder, SlowBudget
from .parameters import SyntaxRefused
from .ports import Acceptance, SubmissionServices
from .replies import AT_MAIL, NEED_MAIL, TOO_BIG, reply_to
from .syntax import MailCommand, parse_mail, parse_rcpt


class TransactionConnection(UrlConnection):
    """A connection that takes mail; what it says of itself, and which commands it knows, is the session's."""

    violation: ClassVar[str] = "550 5.6.0 The message holds a bare CR, a bare LF or a NUL"

    def __init__(
        self, services: SubmissionServices, tls: ssl.SSLContext | None, *, implicit_tls: bool, trusted: bool = False
    ) -> None:
        super().__init__(services, tls, implicit_tls=implicit_tls, trusted=trusted)
        self._mail: MailCommand | None = None
        self._release: int | None = None  # when the mail may go (RFC 4865)
        self._recipients: dict[str, Recipient] = {}
        self._good_sender: str | None = None  # passed at MAIL in this session, and no message was refused since

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
            self._fail(NEED_MAIL)
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
            return NEED_MAIL
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
                    self._fail(TOO_BIG)
                    raise Disconnected
            self.end_message(decoder.rest)
            if decoder.violated:
                self._fail(self.violation)
            elif decoder.too_big:
                self._fail(TOO_BIG)
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
        self._count(result)

    def _count(self, result: str) -> None:
        """A message more that was `accepted`, or `refused`."""
        self.services.metrics.count("smtp_submissions", result=result)

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
