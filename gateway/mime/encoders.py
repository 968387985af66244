"""Octets to base64 and quoted-printable (RFC 2045 6.7, 6.8) in any chunking, with CRLF line ends."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_LINE: Final = 57  # octets that make a line of 76 signs
_HELD: Final = 65_536  # octets of a line without end that are kept
_SIGNS: Final = 75  # of a line, before the = of a soft line break
_SIGN: Final = re.compile(rb"=[0-9A-F]{2}|[^=]")
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
    """Takes text whose lines end in CRLF, without CR or LF that stand alone: those would come out as line ends.

    A line that a soft line break begins never begins with a dash: it might be read as the boundary of what is around.
    """

    __slots__ = ("_rest", "_soft")

    def __init__(self) -> None:
        self._rest = b""
        self._soft = False  # what comes next stands behind a soft line break

    def feed(self, chunk: bytes) -> bytes:
        chunk = self._rest + chunk
        end = chunk.rfind(b"\r\n") + 2
        out = b""
        self._rest = chunk
        if end > 1:
            out, self._rest, self._soft = _quoted(chunk[:end], self._soft), chunk[end:], False
        if len(self._rest) > _HELD and not self._rest.endswith(b"\r"):
            # Up to the last soft line break; what stands behind it is a line that may still grow.
            part = _quoted(self._rest, self._soft)
            cut = part.rfind(b"=\r\n") + 3
            self._rest, self._soft = binascii.a2b_qp(part[cut:]), True
            out += part[:cut]
        return out

    def finish(self) -> bytes:
        return _quoted(self._rest, self._soft)


def _quoted(text: bytes, soft: bool) -> bytes:
    """The library ends soft line breaks like the first line, so with LF where there is no line end at all."""
    out = _BARE_LF.sub(b"\r\n", binascii.b2a_qp(text, istext=True))
    if b"=\r\n-" not in out and not (soft and out.startswith(b"-")):
        return out
    lines = out.replace(b"=\r\n", b"").split(b"\r\n")
    return b"\r\n".join(_folded(line, soft and not place) for place, line in enumerate(lines))


def _folded(line: bytes, soft: bool) -> bytes:
    """One line of text, quoted already, with soft line breaks behind which no dash stands."""
    done = b""
    room = _SIGNS
    for sign in _SIGN.findall(line):
        if len(sign) > room:
            done += b"=\r\n"
            room, soft = _SIGNS, True
        if soft and sign == b"-" and room == _SIGNS:
            sign = b"=2D"
        done += sign
        room -= len(sign)
    return done
