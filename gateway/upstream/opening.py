"""From a host name to a server that has greeted us: dial, TLS or STARTTLS, greeting, CAPABILITY."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

from gateway.model.errors import ConfigError
from gateway.outbound.dial import Resolver, dial
from gateway.outbound.errors import OutboundError
from gateway.outbound.failure import Failure
from gateway.outbound.tls import Security, contexts
from gateway.outbound.tls_peer import TlsFacts, TlsFailed, check_peer, explained, facts, tls_object

from . import classify
from .classify import Step
from .dialogue import Dialogue
from .encryption import Encryption
from .endpoint import ImapEndpoint
from .errors import Closed, UpstreamError
from .events import Status, Unknown
from .link import Link
from .transcript import Transcript

_KEEPALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds without a word, seconds between questions, questions without an answer."""


async def open_dialogue(
    endpoint: ImapEndpoint, resolver: Resolver, transcript: Transcript | None
) -> tuple[Dialogue, Status]:
    """A greeted connection, encrypted as the endpoint asks, and its greeting. UpstreamError."""
    link = await _dialled(endpoint, resolver)
    dialogue = Dialogue(link, endpoint.timeouts, endpoint.limits, transcript)
    try:
        if transcript is not None:
            transcript.note(f"connected to {endpoint.host} port {endpoint.port}")
        if endpoint.tls.security is Security.TLS:
            _checked(link, endpoint)
        greeting = await _greeting(dialogue)
        if greeting.kind == "BYE":
            found = classify.meaning(greeting.text, greeting.code, Step.GREETING)
            words = f"The server turned us away: {greeting.text}"
            raise Closed(found.failure, words, said=greeting.text, retry_after=found.retry_after)
        if endpoint.tls.security is Security.STARTTLS:
            await _start_tls(dialogue, greeting, endpoint)
        if not dialogue.capabilities:
            await dialogue.run(b"CAPABILITY", patience=endpoint.timeouts.greeting)
    except BaseException:
        dialogue.abort()
        raise
    return dialogue, greeting


def _keep_alive(sock: socket.socket) -> None:
    """A peer that is gone shows within two minutes, though nobody says anything (IDLE)."""
    for name, value in _KEEPALIVE.items():
        option = getattr(socket, name, None)  # not every system has all of them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def _dialled(endpoint: ImapEndpoint, resolver: Resolver) -> Link:
    """A connection; with TLS from the first octet where the endpoint says so."""
    times, policy = endpoint.timeouts, endpoint.tls
    try:
        context = None if policy.security is Security.NONE else await contexts.get(policy)
        sock = await dial(
            endpoint.host, endpoint.port, allow_private=endpoint.allow_private, patience=times.connect,
            resolver=resolver, proxy=endpoint.proxy,
        )  # fmt: skip
    except OutboundError as error:
        raise Closed(error.failure, str(error)) from None
    except ConfigError as error:
        raise Closed(Failure.TLS_VERIFY, str(error)) from None
    _keep_alive(sock)
    loop = asyncio.get_running_loop()
    link = Link(endpoint.limits)
    link.proxied = endpoint.proxy is not None
    try:
        if policy.security is Security.TLS:
            assert context is not None
            encryption = Encryption(link, context, policy.name_for(endpoint.host))
            await loop.create_connection(lambda: encryption, sock=sock)
            await encryption.shake(times.greeting)
        else:
            await loop.create_connection(lambda: link, sock=sock)
    except BaseException as error:
        link.abort()
        sock.close()
        if (known := _tls_error(error, endpoint)) is not None:
            raise known from None
        raise
    return link


def _tls_error(error: BaseException, endpoint: ImapEndpoint) -> UpstreamError | None:
    if (found := explained(error, endpoint.tls, endpoint.host)) is not None:
        return Closed(found.failure, str(found))
    if isinstance(error, TimeoutError | ConnectionAbortedError):  # the latter is asyncio's for a handshake that lasts
        return Closed(Failure.TIMEOUT, f"TLS with {endpoint.host} timed out")
    if isinstance(error, OSError):
        return Closed(Failure.LOST, f"{endpoint.host} closed the connection before TLS was there")
    return None


def _checked(link: Link, endpoint: ImapEndpoint) -> None:
    try:
        check_peer(endpoint.tls, tls_object(link.transport), endpoint.host)
    except TlsFailed as error:
        raise Closed(error.failure, str(error)) from None


async def _greeting(dialogue: Dialogue) -> Status:
    async with dialogue.exchange(dialogue.times.greeting) as exchange:
        event = await exchange.response()
        if isinstance(event, Status) and event.kind in ("OK", "PREAUTH", "BYE"):
            dialogue.greeted = True
            dialogue.preauth = event.kind == "PREAUTH"
            dialogue.heard_code(event.code)
            dialogue.mailbox.see(event)
            return event
        if isinstance(event, Unknown) and event.name == "":
            raise Closed(Failure.PROTOCOL, "No IMAP server answers on this port")
        raise Closed(Failure.PROTOCOL, "The server does not greet as IMAP servers do")


async def _start_tls(dialogue: Dialogue, greeting: Status, endpoint: ImapEndpoint) -> None:
    """RFC 3501 6.2.1. What was told in the clear is forgotten; what came so behind the OK ends the connection."""
    if greeting.kind == "PREAUTH":
        raise Closed(Failure.NO_STARTTLS, "The server lets us in before TLS: somebody may stand in between")
    if not dialogue.capabilities:
        await dialogue.run(b"CAPABILITY", patience=endpoint.timeouts.greeting)
    if "STARTTLS" not in dialogue.capabilities:
        raise Closed(Failure.NO_STARTTLS, "The server does not offer STARTTLS")
    try:
        await dialogue.run(b"STARTTLS", patience=endpoint.timeouts.greeting)
    except UpstreamError as error:
        if error.failure in (Failure.REFUSED_COMMAND, Failure.UNAVAILABLE):
            raise Closed(Failure.NO_STARTTLS, f"STARTTLS: {error}", said=error.said) from None
        raise
    dialogue.capabilities = frozenset()
    dialogue.mailbox.take()
    try:
        context = await contexts.get(endpoint.tls)
        await dialogue.link.encrypt(context, endpoint.tls.name_for(endpoint.host), endpoint.timeouts.greeting)
    except UpstreamError:
        raise
    except ConfigError as error:
        raise Closed(Failure.TLS_VERIFY, str(error)) from None
    except Exception as error:
        if (known := _tls_error(error, endpoint)) is not None:
            raise known from None
        raise
    _checked(dialogue.link, endpoint)
    if dialogue.transcript is not None:
        dialogue.transcript.note("TLS is on")


def tls_facts(link: Link) -> TlsFacts | None:
    found = link.extra("ssl_object")
    return facts(found) if found is not None else None


def shows_nothing(link: Link) -> bool:
    """Whether what is said cannot be read on the way: TLS, or a peer on this machine."""
    if link.extra("ssl_object") is not None:
        return True
    peer = link.extra("peername")
    if link.proxied or not isinstance(peer, tuple):
        return False
    try:
        return ipaddress.ip_address(str(peer[0]).partition("%")[0]).is_loopback
    except ValueError:
        return False
