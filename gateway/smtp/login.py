"""AUTH (RFC 4954): the exchange, the login, and the count of errors that ends a session."""

from __future__ import annotations

import ssl
from binascii import b2a_base64
from typing import Final

import structlog

from gateway.auth.exchange import UnknownMechanism, log_in
from gateway.model.errors import GatewayError, LimitReached
from gateway.model.permissions import Principal
from gateway.wire import sasl

from .connection import Connection
from .ports import SessionHandle, SubmissionServices
from .replies import AT_LOGIN, one_line, reply_to

log = structlog.get_logger(__name__)

MAX_RESPONSE: Final = 12_288  # octets of a base64 line (RFC 4954 4: at least that many)
MECHANISMS: Final = sasl.names(binds=False)


class _LineTooLong(Exception):
    """A response longer than MAX_RESPONSE."""


class _Unbound:
    """The standard library shows no exporter of a TLS connection (RFC 9266), and a client that is offered -PLUS by
    somebody who has only a certificate's hash to bind to fails where it would have logged in: none is offered."""

    can_bind = False

    def channel_binding(self, kind: str) -> bytes | None:
        return None


_UNBOUND: Final = _Unbound()


class LoginConnection(Connection):
    """A connection that can learn who is there."""

    def __init__(
        self, services: SubmissionServices, tls: ssl.SSLContext | None, *, implicit_tls: bool, trusted: bool = False
    ) -> None:
        super().__init__(services, tls, implicit_tls=implicit_tls, trusted=trusted)
        self._helo: str | None = None
        self._principal: Principal | None = None
        self._live: SessionHandle | None = None
        self._errors = 0
        self._auth_failures = 0
        self._idle_commands = 0  # since the last message

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._live is not None:
            self._live.close()
            self._live = None

    async def _auth(self, argument: bytes) -> None:
        words = argument.split()
        if not self.may_log_in:
            self._fail("538 5.7.11 Must issue a STARTTLS command first")
        elif self._helo is None:
            self._fail("503 5.5.1 Send EHLO first")
        elif self.logged_in:
            self._fail("503 5.5.1 Already authenticated")
        elif not 1 <= len(words) <= 2:
            self._fail("501 5.5.4 Syntax: AUTH mechanism [initial-response]")
        else:
            try:
                initial = sasl.initial_response(words[1]) if len(words) == 2 else None
                await self._exchange(words[0].upper().decode("ascii", "replace"), initial)
            except UnknownMechanism:
                self._fail("504 5.5.4 Unrecognized authentication type")
            except ValueError:
                self._fail("501 5.5.2 Cannot decode the response")
            except _LineTooLong:
                self._fail("500 5.5.6 Authentication exchange line is too long")

    async def _exchange(self, mechanism: str, initial: bytes | None) -> None:
        """UnknownMechanism, ValueError, _LineTooLong."""
        try:
            principal = await log_in(
                mechanism, initial, self._challenge, self.services.authenticator, self.peer, _UNBOUND
            )
        except GatewayError as error:
            reply = reply_to(error, AT_LOGIN)
            if reply is None:
                raise
            self._auth_failed(reply)
            return
        if principal is None:
            self._fail("501 5.7.0 Authentication cancelled")
        else:
            self._log_in(principal, mechanism)

    async def _challenge(self, octets: bytes) -> bytes | None:
        """The client's response, None when it gave up (`*`, RFC 4954 4). ValueError, _LineTooLong."""
        self.reply("334 " + b2a_base64(octets, newline=False).decode("ascii"))
        line = await self.read_line(MAX_RESPONSE)
        if line is None:
            raise _LineTooLong
        return sasl.response(line.strip(b" \t\r\n"))

    def _log_in(self, principal: Principal, mechanism: str) -> None:
        try:
            self._live = self.services.sessions.add(principal, self._revoked)
        except LimitReached as error:
            self.end(f"421 4.7.0 {one_line(str(error))}")
            return
        self._principal = principal
        self.logged_in = True
        self.services.metrics.count("smtp_logins", result="ok")
        log.info(
            "smtp.login", peer=self.peer, inbox=principal.inbox_address, key=principal.key_name, mechanism=mechanism
        )
        self.reply("235 2.7.0 Authentication successful")

    def _auth_failed(self, reply: str) -> None:
        self._auth_failures += 1
        self.services.metrics.count("smtp_logins", result="failed")
        self._fail(reply)
        if self._auth_failures >= self.settings.max_auth_failures:
            self.end("421 4.7.0 Too many failed logins")

    def _revoked(self, reason: str) -> None:
        self.end(f"421 4.7.0 {one_line(reason)}")

    def _fail(self, reply: str) -> None:
        self.reply(reply)
        self._count_error()

    def _count_idle(self) -> None:
        """A command that brings no message nearer: so many are no error, as many as one likes would be."""
        self._idle_commands += 1
        if self._idle_commands > self.settings.max_idle_commands:
            self._count_error()

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self.settings.max_errors:
            self.end("421 4.7.0 Too many errors")
