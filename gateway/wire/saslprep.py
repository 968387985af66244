"""SASLprep (RFC 4013): the one form in which two ends compare user names and passwords."""

from __future__ import annotations

import stringprep
from typing import Final

from gateway.model.composed import composed

MAX_LENGTH: Final = 1024
"""Characters; a peer that nobody knows yet may send 48 KB, and each is looked up in a dozen tables."""

_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str, *, stored: bool = False) -> str:
    """`text` prepared; a `stored` string (a password) may hold no unassigned code point (RFC 3454 7). ValueError."""
    if text.isascii():
        if any(char < " " or char == "\x7f" for char in text):
            raise ValueError("control characters")
        return text
    if len(text) > MAX_LENGTH:
        raise ValueError("too long")
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    prepared = composed(mapped, "NFKC")
    if prepared is None:
        raise ValueError("too many combining characters")
    for char in prepared:
        if any(prohibited(char) for prohibited in _PROHIBITED):
            raise ValueError("prohibited characters")
        if stored and stringprep.in_table_a1(char):
            raise ValueError("unassigned characters")
    _check_direction(prepared)
    return prepared


def _check_direction(text: str) -> None:
    """RFC 3454 6: right-to-left text is so from its first to its last character."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return
    mixed = any(stringprep.in_table_d2(char) for char in text)
    if mixed or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise ValueError("directions are mixed")
