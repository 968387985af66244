"""Commands of any state, and those that log in: CAPABILITY, NOOP, LOGOUT, ID, ENABLE, STARTTLS, AUTHENTICATE, LOGIN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from gateway.model.errors import AuthenticationFailed, GatewayError, Throttled, Unavailable
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
        session.enabled |= ENABLES[name]
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
    return await _authenticate(session, command.user, command.password, "LOGIN")


async def authenticate(session: Session, command: c.Authenticate) -> Reply:
    """PLAIN (RFC 4616) and LOGIN (the old draft that Outlook's cloud speaks), with or without initial response."""
    if not session.channel.peer.secure:
        return PRIVACY
    try:
        if command.mechanism == "PLAIN":
            found = await _plain(session, command.initial_response)
        elif command.mechanism == "LOGIN":
            found = await _login(session, command.initial_response)
        else:
            return no("Authentication mechanism is not supported", b"CANNOT")
    except ValueError:
        return bad("Malformed authentication exchange")
    if found is None:
        return _CANCELLED
    return await _authenticate(session, *found, command.mechanism)


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


async def _plain(session: Session, initial: bytes | None) -> tuple[bytes, bytes] | None:
    message = initial if initial is not None else await _ask(session, b"")
    if message is None:
        return None
    authorize, user, secret = message.split(b"\0")  # ValueError when there are not three
    if authorize and authorize.lower() != user.lower():
        return b"", b""  # nobody acts for another inbox; refused like any wrong credential
    return user, secret


async def _login(session: Session, initial: bytes | None) -> tuple[bytes, bytes] | None:
    user = initial if initial is not None else await _ask(session, b"Username:")
    if user is None:
        return None
    secret = await _ask(session, b"Password:")
    return None if secret is None else (user, secret)


async def _authenticate(session: Session, user: bytes, secret: bytes, mechanism: str) -> Reply:
    services, peer = session.services, session.channel.peer.address
    try:
        principal = await services.authenticator.authenticate(user.decode("utf-8"), secret.decode("utf-8"), peer)
        if session.channel.ended:
            raise Closed
        session.logged_in(principal)
    except UnicodeDecodeError:
        return _failed(session, AuthenticationFailed("Credentials are not UTF-8"), mechanism)
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
