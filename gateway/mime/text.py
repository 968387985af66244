"""From octets of mail to text for people and for search: encoded words, transfer encodings, text parts."""

from __future__ import annotations

import binascii
import re
from typing import Final

from .charset import to_text
from .decoding import decoder_for
from .header import unfold
from .html import html_to_text

# RFC 2047 2. Tolerant: blanks and other signs inside the text of Q words, which some senders leave bare.
_ENCODED_WORD: Final = re.compile(rb"=\?([!-<>@-~]{1,75})\?([bBqQ])\?([^?\n]*+)\?=")
_BETWEEN_WORDS: Final = re.compile(rb"[ \t\r\n]++\Z")
_UU_BEGIN: Final = re.compile(rb"^begin(?:-base64)? [0-7]{3,4}[^\n]*\n", re.MULTILINE)
_UU: Final = frozenset({b"uuencode", b"x-uuencode", b"x-uue", b"uue"})


def decode_body(octets: bytes, encoding: bytes) -> bytes:
    """Undo a transfer encoding, as much as can be: damaged input yields what is left of it, never an error.

    An unknown encoding leaves the octets as they are.
    """
    decoder = decoder_for(encoding)
    if decoder is not None:
        return decoder.feed(octets) + decoder.finish()
    return _uuencoded(octets) if encoding.lower() in _UU else octets


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
        return decode_body(text, b"base64")
    return binascii.a2b_qp(text, header=True)


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
        # Where signs are missing `a2b_uu` puts zeros, up to 63 for a line of one sign: no more than its signs hold.
        most = (len(line) - 1) * 3 // 4
        try:
            pieces.append(binascii.a2b_uu(line)[:most])
        except binascii.Error:
            # The usual damage: trailing signs behind the count. The length octet says how many are meant.
            wanted = (((line[0] - 32) & 63) * 4 + 5) // 3
            try:
                pieces.append(binascii.a2b_uu(line[:wanted])[:most])
            except binascii.Error:
                continue
    return b"".join(pieces)
