"""Modified UTF-7, the encoding of mailbox names on the wire (RFC 3501 5.1.3).

Strict: each name has exactly one encoding, so two spellings on the wire are never one mailbox.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

_DIRECT: Final = re.compile(rb"[\x20-\x25\x27-\x7e]*\Z")
_PIECE: Final = re.compile(rb"([\x20-\x25\x27-\x7e]+)|&([A-Za-z0-9+,]*)-")
_RUN: Final = re.compile(r"[\x20-\x25\x27-\x7e]+|&|[^\x20-\x7e]+")


def encode(name: str) -> bytes:
    """UnicodeEncodeError when `name` holds an unpaired surrogate."""
    if name.isascii() and "&" not in name and name.isprintable():
        return name.encode("ascii")
    out = bytearray()
    for run in _RUN.findall(name):
        if run == "&":
            out += b"&-"
        elif " " <= run[0] <= "~":
            out += run.encode("ascii")
        else:
            digits = binascii.b2a_base64(run.encode("utf-16-be"), newline=False).rstrip(b"=")
            out += b"&" + digits.replace(b"/", b",") + b"-"
    return bytes(out)


def decode(octets: bytes) -> str:
    """ValueError when `octets` are not the one encoding of some name."""
    if _DIRECT.match(octets):
        return octets.decode("ascii")
    out: list[str] = []
    at = 0
    shifted_until = -1  # two shifts side by side are one name too many
    while at < len(octets):
        piece = _PIECE.match(octets, at)
        if piece is None:
            raise ValueError("not modified UTF-7")
        direct, digits = piece.groups()
        if direct is not None:
            out.append(direct.decode("ascii"))
        elif not digits:
            out.append("&")
        else:
            if shifted_until == at:
                raise ValueError("not modified UTF-7: adjacent shifts")
            out.append(_decode_shift(digits))
            shifted_until = piece.end()
        at = piece.end()
    return "".join(out)


def _decode_shift(digits: bytes) -> str:
    padded = digits.replace(b",", b"/") + b"=" * (-len(digits) % 4)
    text = binascii.a2b_base64(padded, strict_mode=True).decode("utf-16-be")
    # Encoding it again catches padding bits that are not zero, and direct characters that were shifted.
    if encode(text) != b"&" + digits + b"-":
        raise ValueError("not modified UTF-7: superfluous shift")
    return text
