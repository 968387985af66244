"""Logging in at a relay with one mechanism, chosen once.

The library's `login()` tries every mechanism that is offered: a wrong password counts as three failures there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import aiosmtplib

from gateway.wire import sasl_client

from .login_refusal import token_status


class Mechanism(StrEnum):
    AUTO = "auto"
    PLAIN = "plain"
    LOGIN = "login"
    CRAM_MD5 = "cram-md5"
    XOAUTH2 = "xoauth2"
    OAUTHBEARER = "oauthbearer"

    @property
    def takes_token(self) -> bool:
        return self in _WITH_TOKEN


_WITH_TOKEN: Final = (Mechanism.XOAUTH2, Mechanism.OAUTHBEARER)


@dataclass(frozen=True, slots=True)
class RelayLogin:
    """`secret` is a password, or an access token where `token` says so or the mechanisms take nothing else.

    `others`: what comes into question where `mechanism` is not offered, in the order of preference.
    """

    user: str
    secret: str = field(repr=False)
    mechanism: Mechanism = Mechanism.AUTO
    token: bool = False
    others: tuple[Mechanism, ...] = ()

    @property
    def is_token(self) -> bool:
        return self.token or all(one.takes_token for one in (self.mechanism, *self.others))

    def preferred(self, usable: Callable[[Mechanism], bool]) -> Mechanism:
        """Of several the first that is for this secret and `usable`; a single one whatever is offered. NoMechanism."""
        if not self.others:
            return self.mechanism
        wanted = (self.mechanism, *self.others)
        for one in wanted:
            if one is Mechanism.AUTO or (one.takes_token == self.is_token and usable(one)):
                return one
        names = ", ".join(one.upper() for one in wanted)
        what = "an access token" if self.is_token else "a password"
        raise NoMechanism(f"The server offers none of {names} that may be used with {what}")


class NoMechanism(Exception):
    """The server offers none that may be used here; the text says which were offered."""


class LoginRefused(Exception):
    """The server's last reply to our login. `challenge`: what it said of a token before (RFC 7628 3.2.2)."""

    def __init__(self, code: int, text: str, challenge: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.challenge = challenge


_UNDER_TLS: Final = (Mechanism.PLAIN, Mechanism.LOGIN, Mechanism.CRAM_MD5)
_IN_CLEAR: Final = (Mechanism.CRAM_MD5,)  # the only one that does not show the password


def choose(offered: Collection[str], wanted: Mechanism, *, encrypted: bool, token: bool = False) -> Mechanism:
    """The one mechanism to use. A configured one is used even when it is not offered, but never in the clear.

    With a `token` it is one of those that take tokens: the one that all providers have, where it is offered.
    """
    possible = (_WITH_TOKEN if token else _UNDER_TLS) if encrypted else () if token else _IN_CLEAR
    if wanted is not Mechanism.AUTO:
        if not encrypted and wanted not in possible:
            raise NoMechanism(f"AUTH {wanted.upper()} would show the {_shown(wanted.takes_token)}: use TLS")
        return wanted
    if token and not encrypted:
        raise NoMechanism(f"A login would show the {_shown(token)}: use TLS")
    for mechanism in possible:
        if mechanism.value in offered:
            return mechanism
    shown = " ".join(sorted(offered)).upper() or "none"
    if not encrypted and not {"plain", "login"}.isdisjoint(offered):
        raise NoMechanism(f"A login would show the password, for the connection is not encrypted (offered: {shown})")
    what = " for access tokens" if token else ""
    raise NoMechanism(f"The server offers no usable login mechanism{what} (offered: {shown})")


def _shown(token: bool) -> str:
    return "access token" if token else "password"


async def log_in(client: aiosmtplib.SMTP, login: RelayLogin, *, encrypted: bool, patience: float) -> Mechanism:
    """One attempt, by what is returned.

    NoMechanism; LoginRefused, or aiosmtplib's SMTPAuthenticationError, with the server's reply.
    """
    offered = client.server_auth_methods
    wanted = login.preferred(lambda one: one.value in offered and (encrypted or one in _IN_CLEAR))
    mechanism = choose(offered, wanted, encrypted=encrypted, token=login.is_token)
    if mechanism is Mechanism.PLAIN:
        await client.auth_plain(login.user, login.secret, timeout=patience)
    elif mechanism is Mechanism.LOGIN:
        await client.auth_login(login.user, login.secret, timeout=patience)
    elif mechanism is Mechanism.CRAM_MD5:
        await client.auth_crammd5(login.user, login.secret, timeout=patience)
    else:
        await _with_token(client, mechanism, login, patience)
    return mechanism


async def _with_token(client: aiosmtplib.SMTP, mechanism: Mechanism, login: RelayLogin, patience: float) -> None:
    """XOAUTH2 or OAUTHBEARER (RFC 7628, RFC 4954 4); an error's challenge is answered, so that the refusal comes."""
    if mechanism is Mechanism.XOAUTH2:
        exchange = sasl_client.xoauth2(login.user, login.secret)
    else:
        exchange = sasl_client.oauthbearer(login.user, login.secret)
    try:
        first = next(exchange) or b""
    except ValueError:
        raise NoMechanism("User name or access token have characters that no login can carry") from None
    challenge = ""
    reply = await client.execute_command(
        b"AUTH", mechanism.upper().encode("ascii"), base64.b64encode(first), timeout=patience
    )
    if reply.code == 334:
        challenge = token_status(_decoded(reply.message))
        reply = await client.execute_command(base64.b64encode(exchange.send(b"") or b""), timeout=patience)
    if reply.code != 235:
        raise LoginRefused(reply.code, reply.message, challenge)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
