"""AUTH (RFC 4954): the exchange, the login, and the count of errors that ends a session."""

from __future__ import annotations

import ssl

import structlog

from gateway.model.errors import GatewayError, LimitReached
from gateway.model.permissions import Principal

from . import sasl
from .connection import Connection
from .ports import SessionHandle, SubmissionServices
from .replies import AT_LOGIN, one_line, reply_to

log = structlog.get_logger(__name__)


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
        elif words[0].upper() not in (b"PLAIN", b"LOGIN"):
            self._fail("504 5.5.4 Unrecognized authentication type")
        else:
            initial = words[1] if len(words) == 2 else None
            exchange = self._plain if words[0].upper() == b"PLAIN" else self._login
            try:
                credentials = await exchange(initial)
            except sasl.Malformed:
                self._fail("501 5.5.2 Cannot decode the response")
            except sasl.OtherIdentity:
                self._auth_failed("535 5.7.8 Authentication credentials invalid")
            else:
                if credentials is not None:
                    await self._log_in(credentials)

    async def _plain(self, initial: bytes | None) -> sasl.Credentials | None:
        response = initial if initial is not None else await self._challenge(b"334 ")
        return None if response is None else sasl.plain(sasl.decode(response))

    async def _login(self, initial: bytes | None) -> sasl.Credentials | None:
        if initial in (None, b"="):
            initial = await self._challenge(sasl.USERNAME_CHALLENGE)
        if initial is None:
            return None
        secret = await self._challenge(sasl.PASSWORD_CHALLENGE)
        return None if secret is None else sasl.login(sasl.decode(initial), sasl.decode(secret))

    async def _challenge(self, challenge: bytes) -> bytes | None:
        """The client's response, or None when it gave up (`*`, RFC 4954 4) or sent too much."""
        self.reply(challenge.decode("ascii"))
        line = await self.read_line(sasl.MAX_RESPONSE)
        if line is None:
            self._fail("500 5.5.6 Authentication exchange line is too long")
            return None
        response = line.strip(b" \t\r\n")
        if response == b"*":
            self._fail("501 5.7.0 Authentication cancelled")
            return None
        return response

    async def _log_in(self, credentials: sasl.Credentials) -> None:
        authenticator = self.services.authenticator
        try:
            principal = await authenticator.authenticate(credentials.user, credentials.secret, self.peer)
        except GatewayError as error:
            reply = reply_to(error, AT_LOGIN)
            if reply is None:
                raise
            self._auth_failed(reply)
            return
        try:
            self._live = self.services.sessions.add(principal, self._revoked)
        except LimitReached as error:
            self.end(f"421 4.7.0 {one_line(str(error))}")
            return
        self._principal = principal
        self.logged_in = True
        self.services.metrics.count("smtp_logins", result="ok")
        log.info("smtp.login", peer=self.peer, inbox=principal.inbox_address, key=principal.key_name)
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

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self.settings.max_errors:
            self.end("421 4.7.0 Too many errors")
