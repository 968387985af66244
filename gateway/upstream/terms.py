"""Search criteria that somebody wrote, as they are sent: parsed once by our own grammar, so that no line end and no
second command passes, and written anew with literals where quotes will not do (RFC 3501 6.4.4).
"""

from __future__ import annotations

from typing import Final

from gateway.model.flags import SYSTEM_FLAGS
from gateway.outbound.failure import Failure
from gateway.wire.date import date_text
from gateway.wire.search import (
    All,
    And,
    Body,
    Date,
    DateField,
    Header,
    Keyword,
    Not,
    Or,
    SearchKey,
    Size,
    SystemFlag,
    Text,
)

from .compose import Part, atom, string
from .errors import Refused

_NAMED: Final = frozenset({"FROM", "TO", "CC", "BCC", "SUBJECT"})
_OF_FLAG: Final = {bit: name[1:].upper().encode("ascii") for name, bit in SYSTEM_FLAGS.items()}


def rendered(key: SearchKey) -> tuple[list[Part], bool]:
    """(parts that stand with spaces between them, whether a text in them is not ASCII).

    Refused for criteria that only this server knows.
    """
    texts: list[str] = []
    parts = _parts(key, texts)
    return parts, not all(text.isascii() for text in texts)


def _parts(key: SearchKey, texts: list[str]) -> list[Part]:
    """Recursion: a tree of the grammar is some 100 levels deep at most."""
    if isinstance(key, And):
        return [part for one in key.keys for part in _parts(one, texts)]
    if isinstance(key, Or):
        # OR has two sides: `OR a OR b c`.
        last = len(key.keys) - 1
        return [
            part for place, one in enumerate(key.keys)
            for part in ([b"OR"] if place < last else []) + _one(one, texts)
        ]  # fmt: skip
    if isinstance(key, Not):
        return [b"NOT", *_one(key.key, texts)]
    return _leaf(key, texts)


def _one(key: SearchKey, texts: list[str]) -> list[Part]:
    """What stands where one criterion is expected, behind NOT and OR: several go into parentheses.

    Parts are put together with spaces, so a parenthesis is written into the word beside it; behind a literal `ALL`,
    which changes nothing, takes it.
    """
    parts = _parts(key, texts)
    if not isinstance(key, And):
        return parts
    if not isinstance(parts[-1], bytes):
        parts.append(b"ALL")
    first, last = parts[0], parts[-1]
    assert isinstance(first, bytes)  # each criterion begins with its name
    assert isinstance(last, bytes)
    parts[0] = b"(" + first
    parts[-1] = last + b")"
    return parts


def _leaf(key: SearchKey, texts: list[str]) -> list[Part]:
    if isinstance(key, All):
        return [b"ALL"]
    if isinstance(key, SystemFlag):
        return [_OF_FLAG[key.flag] if key.present else b"UN" + _OF_FLAG[key.flag]]
    if isinstance(key, Keyword):
        return [b"KEYWORD" if key.present else b"UNKEYWORD", atom(key.name)]
    if isinstance(key, Size):
        return [b"LARGER" if key.larger else b"SMALLER", b"%d" % key.octets]
    if isinstance(key, Date) and key.field is not DateField.SAVED:
        prefix = "SENT" if key.field is DateField.SENT else ""
        return [(prefix + key.op.value.upper()).encode("ascii"), date_text(key.day)]
    if isinstance(key, Header):
        texts.append(key.value)
        named = [key.name.encode("ascii")] if key.name in _NAMED else [b"HEADER", atom(key.name)]
        return [*named, string(key.value)]
    if isinstance(key, Body | Text):
        texts.append(key.value)
        return [b"BODY" if isinstance(key, Body) else b"TEXT", string(key.value)]
    raise Refused(Failure.REFUSED_COMMAND, "A search may not name messages by number, nor what few servers know")
