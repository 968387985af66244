"""Hands one message to an SMTP server, with a stage that says what is known when something breaks.

The dialogue is aiosmtplib's, the DATA phase ours: streamed in 64 KiB pieces (a 25 MB message costs no memory and never
stalls the loop) and with the knowledge whether the final dot was sent. Before it a loss means "not taken"; after it
the outcome is unknown, and only the queue's policy may decide to send again.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import aiosmtplib
import idna
import structlog
from aiosmtplib.protocol import SMTPProtocol

from gateway.model.errors import ConfigError

from .dial import Resolver, dial, system_resolver
from .dots import DotStuffer
from .endpoint import Endpoint
from .errors import OutboundError
from .login import NoMechanism, log_in
from .tls import ClientContexts, Security
from .verdict import Outcome, Stage, Verdict, clean, of_loss, of_reply, refused_here

log = structlog.get_logger(__name__)

PIECE: Final = 65_536  # octets written between two drains
SIZE_LIMIT: Final = re.compile("[0-9]{1,20}")  # RFC 1870 3: a longer number is none, and int() refuses thousands

_contexts: Final = ClientContexts()


class TransportFailed(Exception):
    """No usable connection: the outcome is that of every recipient, and of the server as a whole."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """`chunks()` starts a new pass over the message's octets; `size` is their count.

    `header_utf8`: the header holds UTF-8 as RFC 6531 has it, and needs a server that offers SMTPUTF8.
    """

    mail_from: str
    recipients: Sequence[str]
    size: int
    body_8bit: bool
    header_utf8: bool
    chunks: Callable[[], AsyncIterator[bytes]]


class SmtpConnection:
    """One connection to a relay, ready for MAIL. One message at a time; `usable` after it says whether to go on."""

    def __init__(self, client: aiosmtplib.SMTP, endpoint: Endpoint) -> None:
        self._client = client
        self._endpoint = endpoint
        self._stage = Stage.CONNECT
        self._broken = False
        self.sent = 0
        """Messages handed over on this connection."""

    @classmethod
    async def open(cls, endpoint: Endpoint, *, resolver: Resolver = system_resolver) -> SmtpConnection:
        """Connects, encrypts, greets, logs in. TransportFailed."""
        times = endpoint.timeouts
        security = endpoint.tls.security
        try:
            context = None if security is Security.NONE else await _contexts.get(endpoint.tls)
            sock = await dial(
                endpoint.host,
                endpoint.port,
                allow_private=endpoint.allow_private,
                patience=times.connect,
                resolver=resolver,
            )
        except (OutboundError, ConfigError) as error:
            raise TransportFailed(of_loss(Stage.CONNECT, str(error))) from None
        client = aiosmtplib.SMTP(
            hostname=endpoint.host,
            sock=sock,
            use_tls=security is Security.TLS,
            start_tls=False,
            tls_context=context,
            local_hostname=endpoint.helo,
            timeout=times.greeting,
        )
        try:
            await client.connect(timeout=times.greeting)
            if security is Security.STARTTLS:
                await client.starttls(timeout=times.greeting)
            try:
                await client.ehlo(timeout=times.greeting)
            except aiosmtplib.SMTPHeloError as refused:
                if not client.is_connected or refused.code == 421:
                    raise
                await client.helo(timeout=times.greeting)
            if endpoint.login is not None:
                await log_in(client, endpoint.login, encrypted=security is not Security.NONE, patience=times.greeting)
        except BaseException as error:
            client.close()
            sock.close()
            if (outcome := _connect_outcome(error)) is None:
                raise
            raise TransportFailed(outcome) from None
        return cls(client, endpoint)

    @property
    def dot_sent(self) -> bool:
        """The last message's final dot may have left: from there on only its reply says what became of it."""
        return self._stage is Stage.FINAL_DOT

    @property
    def usable(self) -> bool:
        return not self._broken and self._client.is_connected

    async def send(self, mail: OutgoingMail) -> list[Outcome]:
        """One transaction; an outcome for each recipient, in order. Never raises for what the server does.

        What `mail.chunks()` raises comes through after the connection is cut: half a message is never ended by a dot.
        """
        outcomes: list[Outcome | None] = [None] * len(mail.recipients)
        self._stage = Stage.MAIL
        try:
            rest = await self._transaction(mail, outcomes)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            self._break()
            rest = _loss(self._stage, error)
        except BaseException:
            self._break()
            raise
        return [outcome or rest for outcome in outcomes]

    async def close(self) -> None:
        """QUIT if the server still listens; never raises for what it answers."""
        if self.usable:
            try:
                await self._client.quit(timeout=self._endpoint.timeouts.quit)
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                log.debug("outbound.quit_failed", host=self._endpoint.host, reason=clean(str(error)))
        self._break()

    def _break(self) -> None:
        self._broken = True
        # A cast, for uvloop's transports are no subclasses of asyncio's.
        transport = cast("asyncio.WriteTransport | None", self._client.transport)
        if transport is not None:
            transport.abort()  # close() would first flush what must not be ended
        self._client.close()

    async def _transaction(self, mail: OutgoingMail, outcomes: list[Outcome | None]) -> Outcome:
        """Fills `outcomes` of refused recipients and returns the outcome of all others."""
        client, times = self._client, self._endpoint.timeouts
        refusal = self._refuse_early(mail)
        if refusal is not None:
            return refusal
        utf8 = client.supports_extension("smtputf8")
        options = self._mail_options(mail, utf8)
        sender = _wire_address(mail.mail_from, utf8)
        if sender is None:
            return _needs_utf8(Stage.MAIL)
        reply = await client.execute_command(b"MAIL", b"FROM:<%b>" % sender, *options, timeout=times.mail)
        if reply.code != 250:
            return await self._refused(Stage.MAIL, reply)
        self._stage = Stage.RCPT
        accepted = 0
        for index, recipient in enumerate(mail.recipients):
            address = _wire_address(recipient, utf8)
            if address is None:
                outcomes[index] = _needs_utf8(Stage.RCPT)
                continue
            reply = await client.execute_command(b"RCPT", b"TO:<%b>" % address, timeout=times.rcpt)
            if 250 <= reply.code <= 252:
                accepted += 1
                continue
            outcomes[index] = outcome = of_reply(Stage.RCPT, reply.code, reply.message)
            if reply.code == 421:
                self._broken = True
                return outcome
        if not accepted:
            await self._reset()
            return refused_here(Stage.RCPT, 554, "5.5.1", "No valid recipients")
        self._stage = Stage.DATA
        reply = await client.execute_command(b"DATA", timeout=times.data)
        if reply.code != 354:
            return await self._refused(Stage.DATA, reply)
        code, text = await self._stream(mail)
        early = self._stage is Stage.BODY
        if early:
            self._break()  # the server spoke before the end: it cannot be told where the message ends any more
        outcome = of_reply(self._stage, code, text)
        if early and outcome.verdict is Verdict.SENT:
            return of_loss(Stage.BODY, "The server answered before the end of the message")
        if code == 421:
            self._broken = True
        if outcome.verdict is Verdict.SENT:
            self.sent += 1
        return outcome

    async def _stream(self, mail: OutgoingMail) -> tuple[int, str]:
        """The body, the dot and the reply. `_stage` is FINAL_DOT from the moment the dot may leave."""
        protocol = self._client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        times = self._endpoint.timeouts
        self._stage = Stage.BODY
        stuffer = DotStuffer()
        # A server may refuse in the middle of the body; a reply nobody waits for would be thrown away.
        reply = asyncio.ensure_future(protocol.read_response())
        await asyncio.sleep(0)
        try:
            async for chunk in mail.chunks():
                for start in range(0, len(chunk), PIECE):
                    await _write(protocol, stuffer.feed(chunk[start : start + PIECE]), times.block)
                    if reply.done():
                        return await reply
            self._stage = Stage.FINAL_DOT
            await _write(protocol, stuffer.finish(), times.block)
            async with asyncio.timeout(times.final):
                return await reply
        finally:
            reply.cancel()

    async def _refused(self, stage: Stage, reply: aiosmtplib.SMTPResponse) -> Outcome:
        outcome = of_reply(stage, reply.code, reply.message)
        if reply.code == 421:
            self._broken = True
        else:
            await self._reset()
        if outcome.verdict is Verdict.SENT:  # 2yz where it means nothing (DATA wants 354)
            return of_loss(stage, f"Unexpected reply {reply.code}")
        return outcome

    async def _reset(self) -> None:
        """RSET, so that the next message starts clean; a server that refuses it is left."""
        reply = await self._client.execute_command(b"RSET", timeout=self._endpoint.timeouts.mail)
        if reply.code != 250:
            self._broken = True

    def _refuse_early(self, mail: OutgoingMail) -> Outcome | None:
        client = self._client
        limit = client.esmtp_extensions.get("size", "")
        if SIZE_LIMIT.fullmatch(limit) and 0 < int(limit) < mail.size:  # RFC 1870 6.1: 0 is no limit
            return refused_here(Stage.MAIL, 552, "5.3.4", f"The relay takes messages of {limit} octets at most")
        if mail.header_utf8 and not client.supports_extension("smtputf8"):
            return _needs_utf8(Stage.MAIL)
        return None

    def _mail_options(self, mail: OutgoingMail, utf8: bool) -> list[bytes]:
        client = self._client
        options = []
        if client.supports_extension("size"):
            options.append(b"SIZE=%d" % mail.size)
        # Without 8BITMIME the octets go as they are: a conversion would re-serialise the message (and break its
        # signatures), and every server in use passes eight bits.
        if mail.body_8bit and client.supports_extension("8bitmime"):
            options.append(b"BODY=8BITMIME")
        addresses_utf8 = not all(address.isascii() for address in (mail.mail_from, *mail.recipients))
        if utf8 and (mail.header_utf8 or addresses_utf8):
            options.append(b"SMTPUTF8")
        return options


async def _write(protocol: SMTPProtocol, octets: bytes, patience: float) -> None:
    if octets:
        protocol.write(octets)
    async with asyncio.timeout(patience):
        await protocol._drain_helper()
    await asyncio.sleep(0)  # a fast peer must not keep the loop for a whole body


def _wire_address(address: str, utf8: bool) -> bytes | None:
    """The address as this server can take it; None: only SMTPUTF8 could carry it (RFC 6531 3.2)."""
    if utf8 or address.isascii():
        return address.encode("utf-8", "strict")
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        return None
    try:
        return local.encode("ascii") + b"@" + idna.encode(domain, uts46=True)
    except idna.IDNAError:
        return None


def _needs_utf8(stage: Stage) -> Outcome:
    return refused_here(stage, 553, "5.6.7", "The relay does not offer SMTPUTF8, which this mail needs")


def _loss(stage: Stage, error: BaseException) -> Outcome:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return of_loss(stage, f"Malformed reply: {error.message}")
    if isinstance(error, TimeoutError):
        return of_loss(stage, f"Timed out at {stage}")
    return of_loss(stage, f"Connection lost at {stage}")


def _connect_outcome(error: BaseException) -> Outcome | None:
    """What a failure before MAIL means; None for what is no such failure (cancellation, a defect of ours)."""
    if isinstance(error, NoMechanism):
        return Outcome(Verdict.LOGIN, Stage.CONNECT, None, "4.7.0", str(error))
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        outcome = of_reply(Stage.CONNECT, error.code, error.message)
        verdict = Verdict.LOGIN if outcome.verdict is Verdict.PERMANENT else outcome.verdict
        return Outcome(verdict, Stage.CONNECT, outcome.code, outcome.enhanced, outcome.text)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        outcome = of_reply(Stage.CONNECT, error.code, error.message)
        # A server that turns the whole connection away says nothing about the mail: it may mend by tomorrow.
        return Outcome(Verdict.TEMPORARY, Stage.CONNECT, outcome.code, outcome.enhanced, outcome.text)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return of_loss(Stage.CONNECT, f"TLS certificate: {cause.verify_message}")
        if isinstance(cause, ssl.SSLError):
            return of_loss(Stage.CONNECT, f"TLS: {cause.reason or 'handshake failed'}")
        cause = cause.__cause__
    if isinstance(error, TimeoutError):
        return of_loss(Stage.CONNECT, "Timed out before the server was ready")
    if isinstance(error, aiosmtplib.SMTPServerDisconnected | OSError):
        return of_loss(Stage.CONNECT, "Connection lost before the server was ready")
    if isinstance(error, aiosmtplib.SMTPException):
        return of_loss(Stage.CONNECT, error.message)
    return None
