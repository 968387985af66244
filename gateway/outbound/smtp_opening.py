"""From a host's name to a server that is ready for MAIL: dialled, encrypted, greeted, logged in; else why not.

Dialogue and login are aiosmtplib's. A failure is an outcome for every recipient, and says nothing about the mail.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

import aiosmtplib

from gateway.model.errors import ConfigError

from .dial import Resolver, dial, system_resolver
from .endpoint import Endpoint
from .errors import OutboundError
from .failure import Failure
from .login import LoginRefused, Mechanism, NoMechanism, log_in
from .login_refusal import login_failure
from .tls import Security, contexts
from .tls_peer import TlsFacts, TlsFailed, check_peer, explained, facts, tls_object
from .verdict import Outcome, Stage, Verdict, clean, of_loss, of_reply

GONE = "Connection lost before the server was ready"


class TransportFailed(Exception):
    """No usable connection: the outcome is that of every recipient, and of the server as a whole."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Opened:
    """A client after EHLO and login. `greeting`: the server's first words; `tls` None: in the clear.

    `mechanism`: of the login; None: there was none.
    """

    client: aiosmtplib.SMTP
    greeting: str
    tls: TlsFacts | None
    mechanism: Mechanism | None = None


async def opened(endpoint: Endpoint, *, resolver: Resolver = system_resolver) -> Opened:
    """TransportFailed."""
    times = endpoint.timeouts
    security = endpoint.tls.security
    try:
        context = None if security is Security.NONE else await contexts.get(endpoint.tls)
        sock = await dial(
            endpoint.host,
            endpoint.port,
            allow_private=endpoint.allow_private,
            patience=times.connect,
            resolver=resolver,
            proxy=endpoint.proxy,
        )
    except OutboundError as error:
        raise TransportFailed(of_loss(Stage.CONNECT, str(error), error.failure)) from None
    except ConfigError as error:
        raise TransportFailed(of_loss(Stage.CONNECT, str(error), Failure.TLS_VERIFY)) from None
    client = aiosmtplib.SMTP(
        hostname=endpoint.tls.name_for(endpoint.host),
        sock=sock,
        use_tls=security is Security.TLS,
        start_tls=False,
        tls_context=context,
        local_hostname=endpoint.helo,
        timeout=times.greeting,
    )
    try:
        return await _greeted(client, endpoint)
    except BaseException as error:
        _cut(client, sock)
        if (outcome := _outcome(error, endpoint)) is None:
            raise
        raise TransportFailed(outcome) from None


async def _greeted(client: aiosmtplib.SMTP, endpoint: Endpoint) -> Opened:
    patience, security = endpoint.timeouts.greeting, endpoint.tls.security
    greeting = await client.connect(timeout=patience)
    shown = _checked(client, endpoint) if security is Security.TLS else None
    if security is Security.STARTTLS:
        await _hello(client, patience)
        if not client.supports_extension("starttls"):
            raise TlsFailed(Failure.NO_STARTTLS, f"{endpoint.host} does not offer STARTTLS, which is required")
        await client.starttls(timeout=patience)
        shown = _checked(client, endpoint)
    await _hello(client, patience)
    mechanism = None
    if endpoint.login is not None:
        hidden = security is not Security.NONE or (endpoint.proxy is None and _here(client))
        mechanism = await log_in(client, endpoint.login, encrypted=hidden, patience=patience)
    if client.transport is None:
        raise aiosmtplib.SMTPServerDisconnected(GONE)
    return Opened(client, clean(greeting.message), shown, mechanism)


def _here(client: aiosmtplib.SMTP) -> bool:
    """The server is on this machine: nobody on the way reads what is said."""
    peer = client.transport.get_extra_info("peername") if client.transport is not None else None
    return isinstance(peer, tuple) and ipaddress.ip_address(str(peer[0]).partition("%")[0]).is_loopback


def _cut(client: aiosmtplib.SMTP, sock: socket.socket) -> None:
    """At once: a peer that stalls shall not be waited for."""
    if client.transport is not None:
        cast("asyncio.Transport", client.transport).abort()  # uvloop's are no subclasses of asyncio's
    client.close()
    with suppress(OSError):  # a transport that has not quite ended has it, and closes it
        sock.close()


def _checked(client: aiosmtplib.SMTP, endpoint: Endpoint) -> TlsFacts | None:
    if client.transport is None:
        raise aiosmtplib.SMTPServerDisconnected(GONE)
    tls = tls_object(client.transport)
    check_peer(endpoint.tls, tls, endpoint.host)
    return facts(tls)


async def _hello(client: aiosmtplib.SMTP, patience: float) -> None:
    try:
        await client.ehlo(timeout=patience)
    except aiosmtplib.SMTPHeloError as refused:
        if not client.is_connected or refused.code == 421:
            raise
        await client.helo(timeout=patience)


def _outcome(error: BaseException, endpoint: Endpoint) -> Outcome | None:
    """What a failure before MAIL means; None for what is no such failure (cancellation, a defect of ours)."""
    if isinstance(error, NoMechanism):
        return Outcome(
            Verdict.LOGIN, Stage.CONNECT, None, "4.7.0", clean(str(error)), failure=Failure.LOGIN_DISABLED
        )
    if isinstance(error, LoginRefused):
        return _refused_login(endpoint, error.code, error.text, error.challenge)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return _refused_login(endpoint, error.code, error.message)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        outcome = of_reply(Stage.CONNECT, error.code, error.message)
        # A server that turns the whole connection away says nothing about the mail: it may mend by tomorrow.
        failure = outcome.failure or (Failure.UNAVAILABLE if error.code < 500 else Failure.REFUSED_COMMAND)
        return Outcome(
            Verdict.TEMPORARY, Stage.CONNECT, outcome.code, outcome.enhanced, outcome.text, failure=failure
        )
    if (failed := explained(error, endpoint.tls, endpoint.host)) is not None:
        return of_loss(Stage.CONNECT, str(failed), failed.failure)
    if isinstance(error, TimeoutError) or _aborted(error):
        return of_loss(Stage.CONNECT, "Timed out before the server was ready", Failure.TIMEOUT)
    if isinstance(error, aiosmtplib.SMTPServerDisconnected | OSError):
        return of_loss(Stage.CONNECT, GONE, Failure.LOST)
    if isinstance(error, aiosmtplib.SMTPException):
        return of_loss(Stage.CONNECT, error.message, Failure.PROTOCOL)
    return None


def _refused_login(endpoint: Endpoint, code: int, text: str, challenge: str = "") -> Outcome:
    outcome = of_reply(Stage.CONNECT, code, text)
    verdict = Verdict.LOGIN if outcome.verdict in (Verdict.PERMANENT, Verdict.SENT) else outcome.verdict
    token = endpoint.login is not None and endpoint.login.is_token
    failure = login_failure(code, outcome.enhanced, outcome.text, token=token)
    said = clean(f"{outcome.text} ({challenge})") if challenge else outcome.text
    return replace(outcome, verdict=verdict, text=said, failure=failure)


def _aborted(error: BaseException) -> bool:
    """asyncio's word for a handshake that took too long."""
    return isinstance(error, ConnectionAbortedError) or isinstance(error.__cause__, ConnectionAbortedError)
