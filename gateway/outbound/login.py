"""Logging in at a relay with one mechanism, chosen once.

The library's `login()` tries every mechanism that is offered: a wrong password counts as three failures there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import aiosmtplib


class Mechanism(StrEnum):
    AUTO = "auto"
    PLAIN = "plain"
    LOGIN = "login"
    CRAM_MD5 = "cram-md5"
    XOAUTH2 = "xoauth2"


@dataclass(frozen=True, slots=True)
class RelayLogin:
    """`secret` is a password, or an access token for XOAUTH2."""

    user: str
    secret: str = field(repr=False)
    mechanism: Mechanism = Mechanism.AUTO


class NoMechanism(Exception):
    """The server offers none that may be used here; the text says which were offered."""


_UNDER_TLS: Final = (Mechanism.PLAIN, Mechanism.LOGIN, Mechanism.CRAM_MD5)
_IN_CLEAR: Final = (Mechanism.CRAM_MD5,)  # the only one that does not show the password


def choose(offered: Collection[str], wanted: Mechanism, *, encrypted: bool) -> Mechanism:
    """The one mechanism to use. A configured one is used even when it is not offered, but never in the clear."""
    possible = _UNDER_TLS if encrypted else _IN_CLEAR
    if wanted is not Mechanism.AUTO:
        if not encrypted and wanted not in possible:
            raise NoMechanism(f"AUTH {wanted.upper()} would show the password: use TLS")
        return wanted
    for mechanism in possible:
        if mechanism.value in offered:
            return mechanism
    shown = " ".join(sorted(offered)).upper() or "none"
    raise NoMechanism(f"The server offers no usable login mechanism (offered: {shown})")


async def log_in(client: aiosmtplib.SMTP, login: RelayLogin, *, encrypted: bool, patience: float) -> None:
    """One attempt. NoMechanism; aiosmtplib's SMTPAuthenticationError with the server's reply."""
    mechanism = choose(client.server_auth_methods, login.mechanism, encrypted=encrypted)
    if mechanism is Mechanism.PLAIN:
        await client.auth_plain(login.user, login.secret, timeout=patience)
    elif mechanism is Mechanism.LOGIN:
        await client.auth_login(login.user, login.secret, timeout=patience)
    elif mechanism is Mechanism.CRAM_MD5:
        await client.auth_crammd5(login.user, login.secret, timeout=patience)
    else:
        await client.auth_xoauth2(login.user, login.secret, timeout=patience)
