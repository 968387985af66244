"""Transfer encodings undone piece by piece, so that a part of any size is never held (RFC 2045 6, RFC 3516 4.2).

What comes out does not depend on how honest the octets are, only on them and on the size of the pieces: whoever needs
the length first feeds the same pieces twice.
"""

from __future__ import annotations

import binascii
import re
from typing import Final, Protocol

_IDENTITY: Final = frozenset({b"", b"7bit", b"8bit", b"binary"})
_NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_HELD_LINE: Final = 65_536  # octets of an unfinished line that are held back; RFC 2045 6.7 allows 76
_LINE_BLANKS: Final = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
_BLANK_BEFORE_LINE_END: Final = (b" \r\n", b" \n", b"\t\r\n", b"\t\n")


class Decoder(Protocol):
    """Never raises: damaged input yields what is left of it."""

    def feed(self, octets: bytes) -> bytes:
        """What the next octets decode to, as far as it is certain."""

    def finish(self) -> bytes:
        """What was held back. Nothing may be fed after it."""


def decoder_for(encoding: bytes) -> Decoder | None:
    """A decoder for a Content-Transfer-Encoding; None for one that is unknown (RFC 3516 4.3: UNKNOWN-CTE)."""
    name = encoding.lower()
    if name in _IDENTITY:
        return _Identity()
    if name == b"base64":
        return _Base64()
    if name == b"quoted-printable":
        return _QuotedPrintable()
    return None


def is_identity(encoding: bytes) -> bool:
    """Nothing has to be undone."""
    return encoding.lower() in _IDENTITY


class _Identity:
    def feed(self, octets: bytes) -> bytes:
        return octets

    def finish(self) -> bytes:
        return b""


class _Base64:
    """Signs outside the alphabet are skipped; padding ends a piece, and several in a row are all read."""

    def __init__(self) -> None:
        self._digits = b""  # fewer than four, of a piece that has not ended

    def feed(self, octets: bytes) -> bytes:
        digits = octets.translate(None, _NOT_BASE64)
        if b"=" not in digits:
            return self._some(digits)
        if digits.count(b"=") > len(digits) // 16 + 64:  # nobody pads so: noise, or meant to keep us busy
            return self._some(digits.replace(b"=", b""))
        done: list[bytes] = []
        *ended, rest = digits.split(b"=")
        for piece in ended:
            done.append(self._some(piece))
            done.append(self.finish())
        done.append(self._some(rest))
        return b"".join(done)

    def finish(self) -> bytes:
        digits, self._digits = self._digits, b""
        if len(digits) < 2:  # six bits are no octet
            return b""
        return binascii.a2b_base64(digits + b"=" * (4 - len(digits)))

    def _some(self, digits: bytes) -> bytes:
        if self._digits:
            digits = self._digits + digits
        whole = len(digits) & ~3
        self._digits = digits[whole:]
        return binascii.a2b_base64(digits[:whole] if whole < len(digits) else digits)


class _QuotedPrintable:
    """Line by line, for a blank at a line's end is none (RFC 2045 6.7 rule 3) and `=` may join two lines."""

    def __init__(self) -> None:
        self._held = b""  # the line that has not ended

    def feed(self, octets: bytes) -> bytes:
        octets = self._held + octets
        end = octets.rfind(b"\n") + 1
        if len(octets) - end > _HELD_LINE:
            # No line of mail: cut where neither an escape nor blanks that may end the line stand.
            text = octets[len(octets) - _HELD_LINE :].rstrip(b" \t\r")
            escape = text.rfind(b"=", max(len(text) - 2, 0))
            end = len(octets) - _HELD_LINE + (escape if escape >= 0 else len(text))
        self._held = octets[end:]
        return _lines(octets[:end])

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return _lines(held)


def _lines(octets: bytes) -> bytes:
    # Looked for first: `sub` is the dear part.
    if octets.endswith((b" ", b"\t")) or any(blank in octets for blank in _BLANK_BEFORE_LINE_END):
        octets = _LINE_BLANKS.sub(b"", octets)
    return binascii.a2b_qp(octets)
