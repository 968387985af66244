"""Commands of any state, and those that log in: CAPABILITY, NOOP, LOGOUT, ID, ENABLE, STARTTLS, AUTHENTICATE, LOGIN."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

import structlog

from gateway.auth.exchange import UnknownMechanism, log_in
from gateway.model.errors import AuthenticationFailed, GatewayError, Throttled, Unavailable
from gateway.model.permissions import Principal
from gateway.wire import commands as c
from gateway.wire import render, sasl
from gateway.wire.events import Fatal, Line

from .capabilities import ENABLES
from .channel import Closed
from .replies import Reply, bad, no, ok, reply_to

if TYPE_CHECKING:
    from .session import Session

log = structlog.get_logger(__name__)

PRIVACY: Final = no("Encryption is required before login: use STARTTLS or the TLS port", b"PRIVACYREQUIRED")
_CANCELLED: Final = bad("Authentication cancelled")


async def capability(session: Session, command: c.Capability) -> Reply:
    session.channel.send(b"* CAPABILITY %b\r\n" % session.capability)
    return ok("Capabilities listed")


async def noop(session: Session, command: c.Noop) -> Reply:
    return _NOOP


_NOOP: Final = ok("NOOP completed")


async def logout(session: Session, command: c.Logout) -> Reply:
    """RFC 3501 6.1.3: BYE, then the tagged OK, then the end; nothing is expunged."""
    session.channel.send(b"* BYE Logging out\r\n")
    session.leave()
    return ok("Logged out")


async def identify(session: Session, command: c.Id) -> Reply:
    """RFC 2971: what the client says of itself is noted, and no decision hangs on it."""
    if command.parameters:
        log.debug("imap.client_id", fields=[name.decode("ascii", "replace") for name, _ in command.parameters[:30]])
    session.channel.send(b'* ID ("name" %b)\r\n' % render.string(session.services.settings.product.encode("ascii")))
    return ok("ID completed")


async def enable(session: Session, command: c.Enable) -> Reply:
    """RFC 5161: what was newly switched on is told; unknown names and what is on already are not."""
    told = [name for name in dict.fromkeys(command.names) if name in ENABLES and name not in session.enabled]
    for name in told:
        session.switch_on(ENABLES[name])
    session.channel.send(b"* ENABLED%b\r\n" % b"".join(b" " + name.encode("ascii") for name in told))
    return ok("ENABLE completed")


async def start_tls(session: Session, command: c.StartTls) -> Reply | None:
    """RFC 3501 6.2.1. What came in before the handshake is dropped: it may be somebody else's (command injection)."""
    if session.channel.peer.secure or not session.can_start_tls:
        return bad("STARTTLS is not offered here" if not session.can_start_tls else "TLS is already active")
    session.channel.send(ok("Begin TLS negotiation now").line(command.tag))
    session.channel.flush()
    dropped = session.channel.reader.discard()
    if dropped:
        log.warning("imap.starttls.octets_dropped", octets=dropped, peer=session.channel.peer.address)
    session.channel.peer.start_tls()
    return None


async def login(session: Session, command: c.Login) -> Reply:
    if not session.channel.peer.secure:
        return PRIVACY
    peer, authenticator = session.channel.peer.address, session.services.authenticator

    async def who() -> Principal:
        return await authenticator.authenticate(command.user.decode("utf-8"), command.password.decode("utf-8"), peer)

    try:
        return await _log_in(session, "LOGIN", who())
    except UnicodeDecodeError:
        return _failed(session, AuthenticationFailed("Credentials are not UTF-8"), "LOGIN")


async def authenticate(session: Session, command: c.Authenticate) -> Reply:
    """The mechanisms of `gateway.wire.sasl`, with or without initial response (RFC 4959)."""
    peer = session.channel.peer
    if not peer.secure:
        return PRIVACY
    who = log_in(
        command.mechanism,
        command.initial_response,
        lambda challenge: _ask(session, challenge),
        session.services.authenticator,
        peer.address,
        peer,
    )
    try:
        return await _log_in(session, command.mechanism, who)
    except UnknownMechanism:
        return no("Authentication mechanism is not supported", b"CANNOT")
    except ValueError:
        return bad("Malformed authentication exchange")


async def _ask(session: Session, challenge: bytes) -> bytes | None:
    """One challenge and its answer; None when the client cancels. ValueError: not base64."""
    session.channel.reader.expect_line()
    session.channel.send(sasl.challenge(challenge))
    event = await session.channel.next_event()
    if isinstance(event, Line):
        return sasl.response(event.data)
    if isinstance(event, Fatal):
        session.bye(no(event.text).text)
    raise Closed


async def _log_in(session: Session, mechanism: str, who: Awaitable[Principal | None]) -> Reply:
    """Let in whom `who` gives; None has cancelled."""
    services, peer = session.services, session.channel.peer.address
    try:
        principal = await who
        if session.channel.ended:
            raise Closed
        if principal is None:
            return _CANCELLED
        session.logged_in(principal)
    except (AuthenticationFailed, Throttled) as error:
        return _failed(session, error, mechanism)
    except Unavailable:
        services.metrics.count("imap_logins_total", result="unavailable", mechanism=mechanism)
        raise
    services.metrics.count("imap_logins_total", result="ok", mechanism=mechanism)
    log.info("imap.login", inbox=principal.inbox_address, key=principal.key_name, peer=peer, mechanism=mechanism)
    return ok("Logged in", b"CAPABILITY " + session.capability)


def _failed(session: Session, error: GatewayError, mechanism: str) -> Reply:
    session.failures += 1
    peer = session.channel.peer.address
    session.services.metrics.count("imap_logins_total", result="failed", mechanism=mechanism)
    log.info("imap.login_failed", reason=type(error).__name__, peer=peer, mechanism=mechanism)
    reply = reply_to(error)
    assert reply is not None
    if session.failures >= session.services.settings.max_login_failures:
        session.end_after_reply = True
    return reply
