"""Logging in, once, with one mechanism (RFC 3501 6.2.2, 6.2.3; RFC 4959): a second try may lock the account.

Passwords and tokens leave only under TLS, or to a peer on this machine. A challenge that tells of an error is answered
as its mechanism asks, for only then the refusal comes; what it said goes into the error.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Final

from gateway.outbound.failure import Failure
from gateway.outbound.login import Mechanism, NoMechanism, RelayLogin
from gateway.outbound.login_refusal import token_status
from gateway.wire import sasl_client

from .classify import Step
from .compose import Part, spaced, string
from .dialogue import Dialogue
from .endpoint import ImapEndpoint
from .errors import Closed, Refused, UpstreamError
from .events import Capability, Response, Tagged
from .exchange import Claim
from .opening import shows_nothing

_MAX_ID: Final = 30  # RFC 2971 3.3: pairs
_COMMAND: Final = "LOGIN command"
_CLEAR: Final = "A login would show the password to everybody on the way: use TLS"


async def log_in(dialogue: Dialogue, endpoint: ImapEndpoint) -> str:
    """By which mechanism, in words. UpstreamError, whose class `refuses_login` knows; a refusal closes it."""
    login = endpoint.login
    how = choose(dialogue, login)
    step = Step.BEARER if login.is_token else Step.LOGIN
    told = _Told()
    try:
        if how == _COMMAND:
            tagged = await dialogue.run(
                b"LOGIN", _sent(login.user), _sent(login.secret), patience=dialogue.times.login, step=step, claim=told,
                secret=1,
            )  # fmt: skip
        else:
            tagged = await _authenticate(dialogue, endpoint, Mechanism(how), step, told)
    except Refused as error:
        dialogue.abort()
        raise Closed(error.failure, str(error), said=error.said, retry_after=error.retry_after) from None
    dialogue.link.reader.total = None
    if not told.capabilities and (tagged.code is None or tagged.code.name != "CAPABILITY"):
        await dialogue.run(b"CAPABILITY")
    return how if how == _COMMAND else how.upper()


class _Told:
    """Whether the server told its capabilities while it let us in."""

    def __init__(self) -> None:
        self.capabilities = False

    def __call__(self, event: Response) -> bool:
        self.capabilities = self.capabilities or isinstance(event, Capability)
        return False


def _sent(text: str) -> Part:
    try:
        return string(text)
    except Refused:
        raise Closed(Failure.AUTH_REJECTED, "User name or password hold signs that cannot be sent") from None


def choose(dialogue: Dialogue, login: RelayLogin) -> str:
    """A Mechanism, or the LOGIN command. Closed: there is none that may be used, or it would show the secret."""
    has = dialogue.has
    try:
        wanted = login.preferred(lambda one: _usable(dialogue, one))
    except NoMechanism as error:
        raise Closed(Failure.LOGIN_DISABLED, str(error)) from None
    if wanted is Mechanism.CRAM_MD5 or (wanted is Mechanism.AUTO and not shows_nothing(dialogue.link)):
        if not has("AUTH=CRAM-MD5") or login.is_token:
            raise Closed(Failure.LOGIN_DISABLED, _CLEAR if wanted is Mechanism.AUTO else _none(dialogue))
        return Mechanism.CRAM_MD5
    if not shows_nothing(dialogue.link):
        raise Closed(Failure.LOGIN_DISABLED, _CLEAR)
    command = "LOGINDISABLED" not in dialogue.capabilities
    if wanted is Mechanism.LOGIN:
        if has("AUTH=LOGIN") or not command:
            return Mechanism.LOGIN
        return _COMMAND
    if wanted is not Mechanism.AUTO:
        return wanted  # capabilities are a hint: Microsoft does not tell all of them before
    if login.is_token:
        if has("AUTH=OAUTHBEARER") and not has("AUTH=XOAUTH2"):
            return Mechanism.OAUTHBEARER
        return Mechanism.XOAUTH2
    # Exchange reads `DOMAIN\\user/alias` from LOGIN only.
    plain = has("AUTH=PLAIN")
    if plain and not set(login.user) & set("\\/"):
        return Mechanism.PLAIN
    if command:
        return _COMMAND
    if plain:
        return Mechanism.PLAIN
    if has("AUTH=LOGIN"):
        return Mechanism.LOGIN
    raise Closed(Failure.LOGIN_DISABLED, _none(dialogue))


def _usable(dialogue: Dialogue, mechanism: Mechanism) -> bool:
    """It is offered, and shows the secret to nobody on the way."""
    if mechanism is not Mechanism.CRAM_MD5 and not shows_nothing(dialogue.link):
        return False
    command = mechanism is Mechanism.LOGIN and "LOGINDISABLED" not in dialogue.capabilities
    return command or dialogue.has(f"AUTH={mechanism.upper()}")


def _none(dialogue: Dialogue) -> str:
    offered = sorted(name.removeprefix("AUTH=") for name in dialogue.capabilities if name.startswith("AUTH="))
    return f"The server offers no login that may be used with a password (offered: {' '.join(offered[:20]) or 'none'})"


def _exchange(endpoint: ImapEndpoint, mechanism: Mechanism) -> sasl_client.Exchange:
    login = endpoint.login
    if mechanism is Mechanism.PLAIN:
        return sasl_client.plain(login.user, login.secret)
    if mechanism is Mechanism.LOGIN:
        return sasl_client.login(login.user, login.secret)
    if mechanism is Mechanism.XOAUTH2:
        return sasl_client.xoauth2(login.user, login.secret)
    if mechanism is Mechanism.OAUTHBEARER:
        return sasl_client.oauthbearer(login.user, login.secret, host=endpoint.host, port=endpoint.port)
    return _cram_md5(login.user, login.secret)


def _cram_md5(user: str, password: str) -> sasl_client.Exchange:
    """RFC 2195."""
    challenge = yield None
    digest = hmac.new(password.encode("utf-8"), challenge, "md5").hexdigest()
    yield f"{user} {digest}".encode()


async def _authenticate(
    dialogue: Dialogue, endpoint: ImapEndpoint, mechanism: Mechanism, step: Step, told: _Told
) -> Tagged:
    talk = _exchange(endpoint, mechanism)
    try:
        first = next(talk)
    except ValueError:
        raise Closed(Failure.AUTH_REJECTED, "User name or password hold signs that cannot be sent") from None
    parts: list[Part] = [b"AUTHENTICATE", mechanism.upper().encode("ascii")]
    waiting = first
    if first is not None and dialogue.has("SASL-IR"):
        parts.append(base64.b64encode(first) or b"=")
        waiting = None
    said = ""
    try:
        async with dialogue.exchange(dialogue.times.login) as exchange:
            await exchange.send(spaced(parts), step, secret=2)
            while True:
                event = await exchange.answer_or_permission(told, step)
                if isinstance(event, Tagged):
                    return event
                challenge = _decoded(event.octets)
                if waiting is None and step is Step.BEARER:
                    said = token_status(challenge) or said
                try:
                    answer = waiting if waiting is not None else talk.send(challenge)
                except (StopIteration, sasl_client.Refused):
                    dialogue.link.write(b"*\r\n")
                    continue
                waiting = None
                _shown(dialogue)
                dialogue.link.write(base64.b64encode(answer or b"") + b"\r\n")
    except UpstreamError as error:
        if said:
            error.said = f"{error.said} ({said})" if error.said else said
        raise


def _shown(dialogue: Dialogue) -> None:
    if dialogue.transcript is not None:
        dialogue.transcript.sent(b"***")


def _decoded(octets: bytes) -> bytes:
    try:
        return base64.b64decode(octets.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


async def identify(dialogue: Dialogue, fields: Mapping[str, str], claim: Claim) -> None:
    """ID (RFC 2971), where it is offered: 163.com refuses SELECT to who does not say. A refusal means nothing."""
    if not dialogue.has("ID"):
        return
    pairs: list[Part] = []
    for name, value in list(fields.items())[:_MAX_ID]:
        pairs += [b" " if pairs else b"(", string(name[:30]), b" ", string(value[:1000])]
    try:
        async with dialogue.exchange() as exchange:
            await exchange.send([b"ID ", *(pairs or [b"NIL"]), *([b")"] if pairs else [])], Step.COMMAND)
            await exchange.answer(claim)
    except Refused:
        dialogue.distrusted |= {"ID"}
