"""How an envelope writes what a parameter may not hold: xtext (RFC 3461 4), and `utf-8` addresses (RFC 6533 3).

An original recipient is `type;address`, in the form that the client wrote; what a report shows of it is decoded here.
"""

from __future__ import annotations

import re
from typing import Final

MAX_ENVELOPE_ID: Final = 100  # characters, as written (RFC 3461 4.4)
MAX_ORIGINAL: Final = 500  # the same for an original recipient (RFC 3461 4.2)

_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*\Z")
_ESCAPE: Final = re.compile(r"\+([0-9A-F]{2})")
_TO_ESCAPE: Final = re.compile(r"[^!-*,-<>-~]")
_PRINTABLE: Final = re.compile(r"[ -~]*\Z")
_ATOM: Final = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~-]+\Z")  # of an atom, what xtext may hold: no `+`, no `=`
# QUCHAR and EmbeddedUnicodeChar: of ASCII all that is printable but `\`, `+` and `=`.
_UNITEXT: Final = re.compile(r"(?:[!-*,-<>-\[\]-~\x80-\U0010ffff]|\\x\{[0-9A-F]{2,6}\})+\Z")
_UNI_ESCAPE: Final = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_UNI_TO_ESCAPE: Final = re.compile(r"[^!-*,-<>-\[\]-~]")


def encode(text: str) -> str:
    """Text of ASCII as xtext. ValueError for any other: xtext knows octets below 128 only in our use of it."""
    if not text.isascii():
        raise ValueError("xtext holds ASCII")
    return _TO_ESCAPE.sub(lambda match: f"+{ord(match[0]):02X}", text)


def decode(xtext: str) -> str | None:
    """None for what is no xtext, or hides something that is not printable ASCII (RFC 3461 4.2, 4.4)."""
    if not _XTEXT.match(xtext):
        return None
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), xtext)
    return text if _PRINTABLE.match(text) else None


def original(orcpt: str) -> tuple[str, str] | None:
    """(type in lower case, address decoded) of an original recipient; None where the syntax does not hold."""
    kind, semicolon, value = orcpt.partition(";")
    kind = kind.lower()
    if not semicolon or not value or not _ATOM.match(kind) or len(orcpt) > MAX_ORIGINAL:
        return None
    address = decode_utf8(value) if kind == "utf-8" else decode(value)
    return None if address is None else (kind, address)


def decode_utf8(value: str) -> str | None:
    """A `utf-8` address in any of its forms (utf-8-enc-addr) as text; None for what is none, or is not printable."""
    if not _UNITEXT.match(value):
        return None
    try:
        text = _UNI_ESCAPE.sub(lambda match: chr(int(match[1], 16)), value)
        text.encode()  # no surrogates
    except (ValueError, OverflowError):
        return None
    return text if all(char.isprintable() for char in text) else None


def encode_utf8(address: str) -> str:
    """The form of a `utf-8` address that is ASCII (utf-8-addr-xtext)."""
    return _UNI_TO_ESCAPE.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", address)
