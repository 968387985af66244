"""Signatures as standardwebhooks.com has them (Svix): whoever has the secret knows that it was us, and when. Pure.

`webhook-signature` holds `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; while a secret is being changed
there are two, apart by a blank.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.model.errors import InvalidRequest

PREFIX: Final = "whsec_"
_DRAWN: Final = 32
_LENGTHS: Final = range(24, 65)


def draw() -> str:
    """A new secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_DRAWN)).decode()


def octets_of(secret: str) -> bytes:
    """The key that a secret stands for. InvalidRequest."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in _LENGTHS:
        raise InvalidRequest("secret: whsec_ and the base64 of 24 to 64 octets")
    return key


def signature(secret: str, event_id: str, at: int, body: bytes) -> str:
    signed = f"{event_id}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(octets_of(secret), signed, hashlib.sha256).digest()).decode()


def header_fields(
    known: Iterable[str], event_id: str, at: int, body: bytes, prefix: str = "webhook"
) -> Mapping[str, str]:
    """What goes with `body`; `known`: the secret, and the former one while it counts. Svix's `prefix` is `svix`."""
    return {
        f"{prefix}-id": event_id,
        f"{prefix}-timestamp": str(at),
        f"{prefix}-signature": " ".join(signature(secret, event_id, at, body) for secret in known),
    }
