"""Hands one message to an SMTP server, with a stage that says what is known when something breaks.

What comes before MAIL is in `smtp_opening`. From there on commands are pipelined where the server offers it (RFC 2920),
the body is streamed in 64 KiB pieces (a 25 MB message costs no memory and never stalls the loop), and it is known
whether the end of the message was sent. Before it a loss means "not taken"; after it the outcome is unknown, and only
the queue's policy may decide to send again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from .body import CannotConvert, Prepared, Sending, prepared
from .dial import Resolver, system_resolver
from .dialogue import Dialogue, Lost, taken_over
from .endpoint import Endpoint
from .envelope import mail_command, rcpt_command, wire_address, within_limits
from .failure import Failure
from .mail import OutgoingMail
from .offer import Offer
from .replies import BadReply, Reply
from .smtp_opening import Opened, TransportFailed, opened
from .verdict import Outcome, Stage, Verdict, clean, of_loss, of_reply, refused_here

log = structlog.get_logger(__name__)

_BROKEN = (Lost, BadReply, OSError, TimeoutError)


class SmtpConnection:
    """One connection to a relay, ready for MAIL. One message at a time; `usable` after it says whether to go on."""

    def __init__(self, ready: Opened, endpoint: Endpoint) -> None:
        client = ready.client
        self._client = client  # which ends its connection when nobody has it any more
        self._endpoint = endpoint
        self.greeting = ready.greeting
        self.tls = ready.tls
        self._offer = Offer.of(client.esmtp_extensions)
        self._dialogue: Dialogue = taken_over(client.transport)
        self._stage = Stage.CONNECT
        self._broken = False
        self._transactions = 0
        self.sent = 0
        """Messages handed over on this connection."""

    @classmethod
    async def open(cls, endpoint: Endpoint, *, resolver: Resolver = system_resolver) -> SmtpConnection:
        """Connects, encrypts, greets, logs in. TransportFailed."""
        return cls(await opened(endpoint, resolver=resolver), endpoint)

    @property
    def dot_sent(self) -> bool:
        """The last message's end may have left: from there on only its reply says what became of it."""
        return self._stage is Stage.FINAL_DOT

    @property
    def usable(self) -> bool:
        full = self._offer.mail_max is not None and self._transactions >= self._offer.mail_max
        return not self._broken and not full and not self._dialogue.spoken

    async def send(self, mail: OutgoingMail) -> list[Outcome]:
        """One transaction; an outcome for each recipient, in order. Never raises for what the server does.

        What the message's source raises comes through after the connection is cut: half a message is never ended.
        """
        outcomes: list[Outcome | None] = [None] * len(mail.recipients)
        self._stage = Stage.MAIL
        try:
            rest = self._refuse_early(mail) or await self._transaction(mail, outcomes)
        except _BROKEN as error:
            self._break()
            rest = _loss(self._stage, error)
        except BaseException:
            self._break()
            raise
        if rest.verdict is Verdict.SENT:
            self.sent += 1
            rest = replace(rest, notifies=self._offer.dsn)
        return [outcome or rest for outcome in outcomes]

    async def close(self) -> None:
        """QUIT if the server still listens; never raises for what it answers."""
        if not self._broken and not self._dialogue.spoken:
            try:
                await self._dialogue.ask(b"QUIT", self._endpoint.timeouts.quit)
            except _BROKEN as error:
                log.debug("outbound.quit_failed", host=self._endpoint.host, reason=clean(str(error)))
        self._break()

    def _break(self) -> None:
        self._broken = True
        self._dialogue.abort()  # closing would first flush what must not be ended
        self._client.close()

    def _refuse_early(self, mail: OutgoingMail) -> Outcome | None:
        """What is known before a word is said. Lost: a kept connection that the server has closed."""
        if self._dialogue.spoken:
            raise Lost("Connection lost")
        if mail.header_utf8 and not self._offer.smtputf8:
            return _needs_utf8(Stage.MAIL)
        return None

    async def _transaction(self, mail: OutgoingMail, outcomes: list[Outcome | None]) -> Outcome:
        """Fills `outcomes` of recipients that have one of their own, and returns the outcome of all others."""
        offer = self._offer
        try:
            ready = await prepared(mail, offer)
        except CannotConvert as error:
            return refused_here(Stage.MAIL, 554, error.enhanced, str(error))
        if offer.size and offer.size < ready.body.size:  # RFC 1870 6.1: 0 is no limit
            return refused_here(Stage.MAIL, 552, "5.3.4", f"The relay takes messages of {offer.size} octets at most")
        sender = wire_address(mail.mail_from, offer)
        if sender is None:
            return _needs_utf8(Stage.MAIL)
        named = self._named(mail, outcomes)
        if not named:
            return refused_here(Stage.RCPT, 554, "5.5.1", "No valid recipients")
        commands = [mail_command(mail, sender, ready.body, offer), *(command for _, command in named)]
        return await self._envelope(commands, [index for index, _ in named], ready, outcomes)

    def _named(self, mail: OutgoingMail, outcomes: list[Outcome | None]) -> list[tuple[int, bytes]]:
        """(place, RCPT command) of those that this server can be told of, in this transaction."""
        named = []
        for index, fits in enumerate(within_limits(mail.recipients, self._offer)):
            recipient = mail.recipients[index]
            address = wire_address(recipient.address, self._offer)
            if address is None:
                outcomes[index] = _needs_utf8(Stage.RCPT)
            elif not fits:
                text = "The relay takes no more recipients at once"
                outcomes[index] = Outcome(Verdict.TEMPORARY, Stage.RCPT, 452, "4.5.3", text, at_once=True)
            else:
                named.append((index, rcpt_command(recipient, address, self._offer)))
        return named

    async def _envelope(
        self, commands: Sequence[bytes], places: Sequence[int], ready: Prepared, outcomes: list[Outcome | None]
    ) -> Outcome:
        """MAIL, all RCPT and, but for BDAT, DATA: in one go where that is offered, else each after the last reply."""
        dialogue, times = self._dialogue, self._endpoint.timeouts
        self._transactions += 1
        ahead = self._offer.pipelining
        if ahead:
            dialogue.write(b"\r\n".join([*commands, *([] if ready.binary else [b"DATA"]), b""]))
        reply = await self._next(commands[0], times.mail)
        if not 200 <= reply.code < 300:  # RFC 5321 4.3.2: by its first digit
            outcome = of_reply(Stage.MAIL, reply.code, reply.text)
            return await self._given_up(outcome, unread=len(places) if ahead else 0, data=ahead and not ready.binary)
        self._stage = Stage.RCPT
        accepted = 0
        for index, command in zip(places, commands[1:], strict=True):
            reply = await self._next(command, times.rcpt)
            if 200 <= reply.code < 300:
                accepted += 1
                continue
            outcomes[index] = outcome = of_reply(Stage.RCPT, reply.code, reply.text)
            if reply.code == 421:
                self._break()
                return outcome
        if not accepted:
            outcome = refused_here(Stage.RCPT, 554, "5.5.1", "No valid recipients")
            return await self._given_up(outcome, unread=0, data=ahead and not ready.binary)
        if not ready.binary:
            self._stage = Stage.DATA
            reply = await self._next(b"DATA", times.data)
            if reply.code != 354:
                return await self._given_up(of_reply(Stage.DATA, reply.code, reply.text), unread=0, data=False)
        return await self._body(ready)

    async def _next(self, command: bytes, patience: float) -> Reply:
        """The reply to `command`, which has left already where commands are pipelined."""
        if not self._offer.pipelining:
            return await self._dialogue.ask(command, patience)
        return await self._dialogue.reply(patience)

    async def _given_up(self, outcome: Outcome, *, unread: int, data: bool) -> Outcome:
        """The transaction ends without a message; the connection is made ready for the next one.

        `unread`: replies to pipelined RCPTs; `data`: DATA was pipelined too. RFC 2920 3.1: should that be granted with
        nobody to send to, a lone dot ends it.
        """
        if outcome.code == 421:
            self._break()
            return outcome
        try:
            await self._tidy(unread, data)
        except _BROKEN:
            self._break()  # what was said about the mail stays said
        if outcome.verdict is Verdict.SENT:  # 2yz where it means nothing (DATA wants 354)
            return of_loss(outcome.stage, f"Unexpected reply {outcome.code}")
        return outcome

    async def _tidy(self, unread: int, data: bool) -> None:
        times = self._endpoint.timeouts
        taken = False
        for _ in range(unread):
            reply = await self._dialogue.reply(times.rcpt)
            taken = taken or 200 <= reply.code < 300
        if data and (await self._dialogue.reply(times.data)).code == 354:
            if taken:  # MAIL was refused and RCPT was not: a dot might send an empty message to somebody
                raise BadReply("DATA without MAIL")
            await self._dialogue.ask(b".", times.final)
        if (await self._dialogue.ask(b"RSET", times.mail)).code != 250:
            self._break()

    async def _body(self, ready: Prepared) -> Outcome:
        """`_stage` is FINAL_DOT from the moment the end of the message may leave."""
        times = self._endpoint.timeouts
        self._stage = Stage.BODY
        sending = Sending(self._dialogue, ready, block=times.block, final=times.final)
        try:
            reply = await (sending.by_bdat() if ready.binary else sending.by_data())
        finally:
            if sending.ending:
                self._stage = Stage.FINAL_DOT
        outcome = of_reply(self._stage, reply.code, reply.text)
        if not sending.ending:
            self._break()  # the server spoke before the end: it cannot be told where the message ends any more
            if outcome.verdict is Verdict.SENT:
                return of_loss(Stage.BODY, "The server answered before the end of the message")
        elif reply.code == 421 or self._dialogue.spoken:
            self._break()
        return outcome


def _needs_utf8(stage: Stage) -> Outcome:
    return refused_here(stage, 553, "5.6.7", "The relay does not offer SMTPUTF8, which this mail needs")


def _loss(stage: Stage, error: BaseException) -> Outcome:
    if isinstance(error, BadReply):
        return of_loss(stage, f"Malformed reply: {error}", Failure.PROTOCOL)
    if isinstance(error, TimeoutError):
        return of_loss(stage, f"Timed out at {stage}", Failure.TIMEOUT)
    return of_loss(stage, f"Connection lost at {stage}")


__all__ = ["SmtpConnection", "TransportFailed"]
