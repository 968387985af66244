"""AUTH PLAIN and LOGIN (RFC 4954, RFC 4616) as values: decoding only, no sockets, no checking."""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Final

MECHANISMS: Final = ("PLAIN", "LOGIN")
MAX_RESPONSE: Final = 12_288  # octets of a base64 line (RFC 4954 4: at least that many)
USERNAME_CHALLENGE: Final = b"334 VXNlcm5hbWU6"  # "Username:": clients compare these very letters
PASSWORD_CHALLENGE: Final = b"334 UGFzc3dvcmQ6"  # "Password:"


class Malformed(Exception):
    """Not base64, or not what the mechanism sends."""


class OtherIdentity(Exception):
    """An authorisation identity that is not the one that logs in: nobody acts for another here."""


@dataclass(frozen=True, slots=True)
class Credentials:
    user: str
    secret: str = field(repr=False)


def decode(response: bytes) -> bytes:
    """The octets of one base64 response. `=` alone is the empty one (RFC 4954 4)."""
    if response == b"=":
        return b""
    try:
        return b64decode(response, validate=True)
    except binascii.Error:
        raise Malformed from None


def plain(message: bytes) -> Credentials:
    """RFC 4616: authzid NUL authcid NUL password; the authzid must be empty or the same address.

    Malformed, OtherIdentity.
    """
    parts = message.split(b"\0")
    if len(parts) != 3 or not parts[1]:
        raise Malformed
    authzid, user, secret = (_text(part) for part in parts)
    if authzid and authzid.casefold() != user.casefold():
        raise OtherIdentity
    return Credentials(user, secret)


def login(user: bytes, secret: bytes) -> Credentials:
    return Credentials(_text(user), _text(secret))


def _text(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed from None
