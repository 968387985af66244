"""Base64 in AUTHENTICATE, both ways (RFC 3501 6.2.2, RFC 4959)."""

from __future__ import annotations

import binascii


def initial_response(text: bytes) -> bytes:
    """`=` is an empty response (RFC 4959 3). ValueError when `text` is not base64."""
    return b"" if text == b"=" else _decode(text)


def response(line: bytes) -> bytes | None:
    """A raw line after `+ `: its octets, None for `*` (the client cancels). ValueError when it is not base64."""
    return None if line == b"*" else _decode(line)


def challenge(octets: bytes) -> bytes:
    """`+ ` and base64, with the line end; the space stays when there is nothing to say."""
    return b"+ " + binascii.b2a_base64(octets, newline=False) + b"\r\n"


def _decode(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise ValueError("not base64") from None
