"""Commands in any state and before login; SASL's PLAIN, LOGIN, XOAUTH2, OAUTHBEARER; IDLE."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable

from tests.support.upstream.account import Account
from tests.support.upstream.faults import Deaf
from tests.support.upstream.grammar import Wrong, string
from tests.support.upstream.session import Session
from tests.support.upstream.turn import No, Turn, handles
from tests.support.upstream.wire import Gone


@handles("CAPABILITY", "nas")
async def capability(turn: Turn) -> None:
    turn.no_more()
    space = "  " if turn.session.quirks.capability_spaces else " "
    turn.say(space.join(["CAPABILITY", *turn.session.capabilities]))


@handles("NOOP,CHECK", "nas")
async def noop(turn: Turn) -> None:
    turn.no_more()


@handles("LOGOUT", "nas")
async def logout(turn: Turn) -> None:
    turn.no_more()
    turn.say("BYE Logging out")
    turn.session.over = True


@handles("ID", "nas", "ID")
async def identify(turn: Turn) -> None:
    given = turn.next()
    turn.no_more()
    if given != "NIL" and not isinstance(given, list):
        raise Wrong("ID takes NIL or a list")
    turn.session.identified = True
    turn.say(f'ID ("name" "{turn.session.personality.name}")')


@handles("STARTTLS", "n")
async def starttls(turn: Turn) -> None:
    session = turn.session
    if "STARTTLS" not in session.capabilities:
        raise Wrong("Unknown command STARTTLS")
    if session.wire.early:
        session.server.broken("octets came right behind STARTTLS")
    turn.answer = "OK Begin TLS negotiation now"
    session.wire.hold()
    turn.then = session.handshake


@handles("COMPRESS", "as", "COMPRESS=DEFLATE")
async def compress(turn: Turn) -> None:
    if turn.next() != "DEFLATE":
        raise Wrong("only DEFLATE")
    turn.answer = "OK DEFLATE active"

    async def start() -> None:
        turn.session.wire.start_compress()

    turn.then = start


@handles("LOGIN", "n")
async def login(turn: Turn) -> None:
    user, password = string(turn.next("a user")), string(turn.next("a password"))
    turn.no_more()
    if "LOGINDISABLED" in turn.session.capabilities:
        raise No("[PRIVACYREQUIRED] LOGIN is disabled")
    _enter(turn, _with_password(turn, user, password))


@handles("AUTHENTICATE", "n")
async def authenticate(turn: Turn) -> None:
    mechanism = str(turn.next("a mechanism")).upper()
    if f"AUTH={mechanism}" not in turn.session.capabilities or mechanism not in MECHANISMS:
        raise No("[CANNOT] Unsupported authentication mechanism")
    initial = None
    if turn.args:
        turn.needs("SASL-IR", "an initial response")
        text = turn.next()
        initial = b"" if text == "=" else _decoded(string(text))
    turn.no_more()
    _enter(turn, await MECHANISMS[mechanism](turn, initial))


async def _plain(turn: Turn, initial: bytes | None) -> Account | None:
    parts = (initial if initial is not None else await _asked(turn, b"")).split(b"\0")
    if len(parts) != 3:
        raise Wrong("PLAIN has three parts")
    return _with_password(turn, parts[1], parts[2])


async def _login(turn: Turn, initial: bytes | None) -> Account | None:
    user = initial if initial is not None else await _asked(turn, b"Username:")
    return _with_password(turn, user, await _asked(turn, b"Password:"))


async def _xoauth2(turn: Turn, initial: bytes | None) -> Account | None:
    text = initial if initial is not None else await _asked(turn, b"")
    found = re.fullmatch(rb"user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01", text)
    if not found:
        raise Wrong("no XOAUTH2")
    account = _with_token(turn, found[1], found[2])
    if account is None and await _challenged(turn) not in (b"", b"\x01"):
        turn.session.server.broken("XOAUTH2's error is answered by an empty line")
    return account


async def _oauthbearer(turn: Turn, initial: bytes | None) -> Account | None:
    text = initial if initial is not None else await _asked(turn, b"")
    found = re.fullmatch(rb"n,a=([^,]*),\x01(?:[a-z]+=[^\x01]*\x01)*auth=Bearer ([^\x01]*)\x01\x01", text)
    if not found:
        raise Wrong("no OAUTHBEARER (RFC 7628 3.1)")
    account = _with_token(turn, found[1], found[2])
    if account is None and await _challenged(turn) != b"\x01":
        turn.session.server.broken("OAUTHBEARER's error is answered by AQ==")
    return account


MECHANISMS: dict[str, Callable[[Turn, bytes | None], Awaitable[Account | None]]] = {
    "PLAIN": _plain, "LOGIN": _login, "XOAUTH2": _xoauth2, "OAUTHBEARER": _oauthbearer,
}


async def _challenged(turn: Turn) -> bytes:
    """Google sends JSON before its NO; Microsoft only the NO, so there is nothing to answer."""
    told = turn.session.server.oauth_challenge
    if told is None:
        told = turn.session.personality.oauth_challenge
    return await _asked(turn, told.encode()) if told else b"\x01"


async def _asked(turn: Turn, challenge: bytes) -> bytes:
    session = turn.session
    session.wire.write(b"+ " + base64.b64encode(challenge) + b"\r\n")
    await session.wire.flush()
    answer = await session.wire.line(session.personality.max_line)
    turn.command.raw += answer + b"\r\n"
    if answer == b"*":
        raise Wrong("cancelled")
    return _decoded(answer)


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Wrong("no base64") from error


def _with_password(turn: Turn, user: bytes, password: bytes) -> Account | None:
    account = _known(turn, user)
    return account if account and account.password.encode() == password else None


def _with_token(turn: Turn, user: bytes, token: bytes) -> Account | None:
    account = _known(turn, user)
    if account is None or token.decode("latin-1") not in {account.token, *account.tokens}:
        return None
    turn.session.token = token.decode("latin-1")
    return account


def _known(turn: Turn, user: bytes) -> Account | None:
    return turn.session.server.account_named(user.decode("utf-8", "replace"))


def _enter(turn: Turn, account: Account | None) -> None:
    session = turn.session
    server = session.server
    if account is None or server.refuse_login:
        turn.answer = server.refuse_login or session.personality.refusal
        return
    limit = server.max_connections
    if limit and sum(one.account is account for one in server.sessions) >= limit:
        raise No("[ALERT] Too many simultaneous connections. (Failure)")
    session.account = account
    turn.command.user = account.user
    told = f"[CAPABILITY {' '.join(session.capabilities)}] " if session.quirks.tells_after_login else ""
    turn.answer = f"OK {told}{account.user} authenticated (Success)"


@handles("ENABLE", "as", "ENABLE")
async def enable(turn: Turn) -> None:
    wanted = [str(turn.next()).upper()]
    wanted += [str(turn.next()).upper() for _ in list(turn.args)]
    session, known = turn.session, {"CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "UIDONLY"}
    done = [word for word in wanted if word in known and session.has(word)]
    if "UIDONLY" in done and session.view is not None:
        raise Wrong("ENABLE UIDONLY in selected state")
    session.enabled |= set(done)
    session.condstore = session.condstore or bool({"CONDSTORE", "QRESYNC"} & set(done))
    if not session.quirks.no_enabled:
        turn.say(" ".join(["ENABLED", *done]))


@handles("IDLE", "as", "IDLE")
async def idle(turn: Turn) -> None:
    """News goes out at once; anything but DONE ends it with BAD (RFC 2177)."""
    turn.no_more()
    session = turn.session
    deaf = any(isinstance(fault, Deaf) for fault in turn.faults)
    session.changed.clear()
    session.pushes.clear()
    session.wire.write(b"+ idling\r\n")
    if not deaf:
        session.tell_news()
    session.idle = True
    await session.wire.flush()
    session.server.progress()
    line = asyncio.ensure_future(session.wire.line(session.personality.max_line))
    try:
        while not line.done():
            changed = asyncio.ensure_future(session.changed.wait())
            await asyncio.wait({line, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            session.changed.clear()
            if line.done():
                break
            await _push(session, deaf)
        if line.result().upper() != b"DONE":
            session.server.broken(f"in IDLE: {line.result()!r}")
            raise Wrong("Expected DONE")
    finally:
        line.cancel()
        session.idle = False


async def _push(session: Session, deaf: bool) -> None:
    if session.farewell:
        await session.say_farewell()
    view = session.view
    if view is not None and view.uidvalidity != view.mailbox.uidvalidity:
        session.wire.write(b"* BYE IMAP session state is inconsistent, please relogin.\r\n")
        await session.wire.flush()
        raise Gone
    pushes, session.pushes = session.pushes, []
    if not deaf:
        session.wire.write(*(f"* {line}\r\n".encode() for line in pushes))
        session.tell_news()
        await session.wire.flush()
