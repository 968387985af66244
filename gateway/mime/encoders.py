"""Octets to base64 and quoted-printable (RFC 2045 6.7, 6.8) in any chunking, with CRLF line ends."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_LINE: Final = 57  # octets that make a line of 76 signs
_HELD: Final = 65_536  # octets of a line without end that are kept
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


class Base64Encoder:
    """Takes any octets."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        chunk = self._rest + chunk
        whole = len(chunk) - len(chunk) % _LINE
        self._rest = chunk[whole:]
        return base64.encodebytes(chunk[:whole]).replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        return base64.encodebytes(self._rest).replace(b"\n", b"\r\n")


class QuotedPrintableEncoder:
    """Takes text whose lines end in CRLF, without CR or LF that stand alone: those would come out as line ends."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        chunk = self._rest + chunk
        end = chunk.rfind(b"\r\n") + 2
        out = _quoted(chunk[:end]) if end > 1 else b""
        self._rest = chunk[end:] if end > 1 else chunk
        if len(self._rest) > _HELD and not self._rest.endswith(b"\r"):
            # Up to the last soft line break; what stands behind it is a line that may still grow.
            part = _quoted(self._rest)
            cut = part.rfind(b"=\r\n") + 3
            self._rest = binascii.a2b_qp(part[cut:])
            out += part[:cut]
        return out

    def finish(self) -> bytes:
        return _quoted(self._rest)


def _quoted(text: bytes) -> bytes:
    """The library ends soft line breaks like the first line, so with LF where there is no line end at all."""
    return _BARE_LF.sub(b"\r\n", binascii.b2a_qp(text, istext=True))
