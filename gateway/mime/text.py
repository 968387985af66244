"""From octets of mail to text for people and for search: encoded words, transfer encodings, text parts."""

from __future__ import annotations

import binascii
import re
from typing import Final

from .charset import to_text
from .header import unfold
from .html import html_to_text

# RFC 2047 2. Tolerant: blanks and other signs inside the text of Q words, which some senders leave bare.
_ENCODED_WORD: Final = re.compile(rb"=\?([!-<>@-~]{1,75})\?([bBqQ])\?([^?\n]*+)\?=")
_BETWEEN_WORDS: Final = re.compile(rb"[ \t\r\n]++\Z")
_NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_PADDING: Final = re.compile(rb"=[=\s]*")
_LINE_BLANKS: Final = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
_BLANK_BEFORE_LINE_END: Final = (b" \r\n", b" \n", b"\t\r\n", b"\t\n")
_UU_BEGIN: Final = re.compile(rb"^begin(?:-base64)? [0-7]{3,4}[^\n]*\n", re.MULTILINE)
_IDENTITY: Final = frozenset({b"", b"7bit", b"8bit", b"binary"})
_UU: Final = frozenset({b"uuencode", b"x-uuencode", b"x-uue", b"uue"})


def is_known_encoding(encoding: bytes) -> bool:
    """Whether `decode_body` can undo this Content-Transfer-Encoding (RFC 3516 4.3: else UNKNOWN-CTE)."""
    name = encoding.lower()
    return name in _IDENTITY or name in _UU or name in (b"base64", b"quoted-printable")


def decode_body(octets: bytes, encoding: bytes) -> bytes:
    """Undo a transfer encoding, as much as can be: damaged input yields what is left of it, never an error.

    An unknown encoding leaves the octets as they are.
    """
    name = encoding.lower()
    if name == b"base64":
        return _base64(octets)
    if name == b"quoted-printable":
        # RFC 2045 6.7 (3): blanks at a line's end were added in transport. Looked for first: `sub` is the dear part.
        if octets.endswith((b" ", b"\t")) or any(blank in octets for blank in _BLANK_BEFORE_LINE_END):
            octets = _LINE_BLANKS.sub(b"", octets)
        return binascii.a2b_qp(octets)
    if name in _UU:
        return _uuencoded(octets)
    return octets


def decode_text(value: bytes) -> str:
    """A header value with its encoded words decoded (RFC 2047), unfolded. Raw 8-bit is UTF-8 if it is, else Latin.

    Blanks between two encoded words vanish (6.2); neighbours of one charset are joined before decoding, for
    senders cut characters in two.
    """
    value = unfold(value)
    if b"=?" not in value:
        return value.decode("ascii") if value.isascii() else to_text(value, None)
    pieces: list[str] = []
    run: list[bytes] = []
    charset = b""
    at = 0
    for match in _ENCODED_WORD.finditer(value):
        between = value[at : match.start()]
        name = match.group(1).lower()
        joins = bool(run) and (not between or _BETWEEN_WORDS.match(between) is not None)
        if not joins or name != charset:
            if run:
                pieces.append(to_text(b"".join(run), charset))
                run = []
            if not joins:
                pieces.append(to_text(between, None))
        charset = name
        run.append(_word(match.group(2), match.group(3)))
        at = match.end()
    if run:
        pieces.append(to_text(b"".join(run), charset))
    pieces.append(to_text(value[at:], None))
    return "".join(pieces)


def text_of(octets: bytes, charset: bytes | None, subtype: bytes) -> str:
    """Text of a text part whose transfer encoding is already undone; of text/html what a reader sees."""
    text = to_text(octets, charset)
    return html_to_text(text) if subtype.lower() == b"html" else text


def _word(kind: bytes, text: bytes) -> bytes:
    if kind in b"bB":
        return _base64(text)
    return binascii.a2b_qp(text, header=True)


def _base64(octets: bytes) -> bytes:
    """All octets that can be read; several padded pieces in a row (joined by careless software) are all read."""
    pad = octets.find(b"=")
    if pad < 0:
        return _base64_piece(octets)
    match = _PADDING.match(octets, pad)
    if match is not None and match.end() == len(octets):
        return _base64_piece(octets[:pad])
    if octets.count(b"=") > len(octets) // 16 + 64:  # no lines that anybody padded: noise, or meant to keep us busy
        return _base64_piece(octets)
    return b"".join(_base64_piece(piece) for piece in octets.split(b"=") if piece)


def _base64_piece(octets: bytes) -> bytes:
    digits = octets.translate(None, _NOT_BASE64)
    rest = len(digits) % 4
    if rest == 1:  # six bits are no octet
        digits = digits[:-1]
    elif rest:
        digits += b"=" * (4 - rest)
    return binascii.a2b_base64(digits)


def _uuencoded(octets: bytes) -> bytes:
    begin = _UU_BEGIN.search(octets)
    if begin is None:
        return octets
    pieces: list[bytes] = []
    for line in octets[begin.end() :].split(b"\n"):
        line = line.rstrip(b"\r")
        if line == b"end":
            break
        if not line:
            continue
        try:
            pieces.append(binascii.a2b_uu(line))
        except binascii.Error:
            # The usual damage: trailing signs behind the count. The length octet says how many are meant.
            wanted = (((line[0] - 32) & 63) * 4 + 5) // 3
            try:
                pieces.append(binascii.a2b_uu(line[:wanted]))
            except binascii.Error:
                continue
    return b"".join(pieces)
