"""LMTP (RFC 2033): mail from a server in front, for inboxes here; a reply for each recipient after the final dot.

The session is submission's without a login: who may connect at all is the listener's business (a Unix socket, or
networks that are named), and there is nothing to relay, for only inboxes here are recipients.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from gateway.model.errors import GatewayError
from gateway.submit.envelope import Accepted
from gateway.submit.intake import Delivered, IntakeEnvelope

from .lmtp_data import DeliveryDecoder
from .ports import Acceptance, IntakeAcceptor, SubmissionServices
from .replies import NEED_MAIL, reply_to
from .session import SubmissionSession
from .syntax import parse_mail, parse_rcpt

MAX_RECIPIENTS: Final = 100
"""A transaction (RFC 5321 4.5.3.1.8); the server in front sends the rest in another one by itself."""


class LmtpSession(SubmissionSession):
    """`_answers`: how many replies the running command owes its client: one a recipient once the message is there."""

    protocol_name: ClassVar[str] = "LMTP"
    violation: ClassVar[str] = "550 5.6.0 The message holds a lone dot between line ends, which could end it elsewhere"

    def __init__(
        self,
        services: SubmissionServices,
        tls: ssl.SSLContext | None,
        *,
        implicit_tls: bool,
        trusted: bool = True,
        on_made: Callable[[SubmissionSession], None],
        on_lost: Callable[[SubmissionSession], None],
    ) -> None:
        super().__init__(services, tls, implicit_tls=implicit_tls, trusted=True, on_made=on_made, on_lost=on_lost)
        self.logged_in = True  # nobody logs in: limits and times are those of a client that is known
        self._to: list[str] = []  # as they were accepted, also twice: each is answered for
        self._answers = 1

    async def _command(self, verb: str, argument: bytes) -> None:
        self._answers = 1
        await super()._command(verb, argument)

    async def _lhlo(self, argument: bytes) -> None:
        if not self._greeted(argument):
            return
        lines = [
            self.settings.hostname,
            "PIPELINING",
            f"SIZE {self.settings.max_message_size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
        ]
        if self.offers_tls:
            lines.append("STARTTLS")
        self._offer(lines)

    async def _no_smtp(self, argument: bytes) -> None:
        self._fail("500 5.5.1 This is LMTP: say LHLO")  # RFC 2033 4.1

    async def _help(self, argument: bytes) -> None:
        self.reply("214 2.0.0 LHLO STARTTLS MAIL RCPT DATA RSET NOOP QUIT")

    async def _mail_from(self, argument: bytes) -> None:
        if self._helo is None:
            self._fail("503 5.5.1 Send LHLO first")
            return
        if self._mail is not None:
            self._fail("503 5.5.1 Nested MAIL command")
            return
        mail = parse_mail(argument)
        if mail.hold is not None:
            self._fail("555 5.5.4 Mail cannot be put off here")
            return
        if mail.body == "BINARYMIME":
            self._fail("501 5.5.4 BODY must be 7BIT or 8BITMIME")
            return
        if mail.size > self.settings.max_message_size:
            self._fail(f"552 5.3.4 A message may have {self.settings.max_message_size} octets at most")
            return
        self._mail = mail
        self.reply("250 2.1.0 Sender OK")

    async def _rcpt_to(self, argument: bytes) -> None:
        if self._mail is None:
            self._fail(NEED_MAIL)
            return
        address = parse_rcpt(argument, smtputf8=self._mail.smtputf8).address
        if len(self._to) >= MAX_RECIPIENTS:
            self.reply("452 4.5.3 Too many recipients")
            return
        await self._intake_service.check_recipient(address)
        self._to.append(address)
        self.reply("250 2.1.5 Recipient OK")

    async def _no_bdat(self, argument: bytes) -> None:
        await self._refuse_bdat(argument, "502 5.5.1 CHUNKING is not offered")

    def _no_message(self) -> str | None:
        if self._mail is None:
            return NEED_MAIL
        return None if self._to else "503 5.5.1 No valid recipients"  # RFC 2033 4.2

    def _begin(self) -> tuple[Acceptance[Accepted | Delivered], bool]:
        mail = self._mail
        assert mail is not None  # _no_message
        envelope = IntakeEnvelope(
            mail_from=mail.address,
            recipients=tuple(self._to),
            size=mail.size,
            body_8bit=mail.body != "7BIT",
            smtputf8=mail.smtputf8,
            protocol=f"{'UTF8' if mail.smtputf8 else ''}LMTP{'S' if self.encrypted else ''}",  # RFC 3848, RFC 6531
        )
        self._answers = len(envelope.recipients)
        return self._intake_service.begin(envelope), False

    @property
    def _intake_service(self) -> IntakeAcceptor:
        intake = self.services.intake
        assert intake is not None  # a listener of this kind is never opened without
        return intake

    def _decoder(self) -> DeliveryDecoder:
        return DeliveryDecoder(self.settings.max_message_size)

    def _settle(self, acceptance: Acceptance[Accepted | Delivered], accepted: Accepted | Delivered | None) -> None:
        if isinstance(accepted, Delivered) and None not in accepted.outcomes:  # nobody has it
            self._tell(accepted)
            self._count("refused")
        else:
            super()._settle(acceptance, accepted)

    def _count(self, result: str) -> None:
        self.services.metrics.count("lmtp_messages", result=result)

    def _tell(self, accepted: Accepted | Delivered) -> None:
        assert isinstance(accepted, Delivered)
        for outcome in accepted.outcomes:
            self._answers = 1
            if outcome is None:
                self.reply(f"250 2.0.0 Delivered as {accepted.trace_id}")
            else:
                self._refuse(outcome)

    def _end_transaction(self) -> None:
        super()._end_transaction()
        self._to = []

    def _fail(self, reply: str) -> None:
        """One error of the client's, however many recipients are told of it."""
        self._again(reply)
        super()._fail(reply)

    def _refuse(self, error: GatewayError, *tables: Mapping[type[GatewayError], str]) -> None:
        reply = reply_to(error, *tables)
        if reply is not None:
            self._again(reply)
        super()._refuse(error, *tables)

    def _again(self, reply: str) -> None:
        for _ in range(self._answers - 1):
            self.reply(reply)
        self._answers = 1


LmtpSession.commands = {
    "LHLO": LmtpSession._lhlo,
    "EHLO": LmtpSession._no_smtp,
    "HELO": LmtpSession._no_smtp,
    "STARTTLS": LmtpSession._starttls,
    "MAIL": LmtpSession._mail_from,
    "RCPT": LmtpSession._rcpt_to,
    "DATA": LmtpSession._data,
    "BDAT": LmtpSession._no_bdat,
    "RSET": LmtpSession._rset,
    "NOOP": LmtpSession._noop,
    "HELP": LmtpSession._help,
    "VRFY": LmtpSession._vrfy,
    "EXPN": LmtpSession._expn,
    "QUIT": LmtpSession._do_quit,
}
