"""Untagged responses as a client reads them: octets to nested lists. Pure, and not the server's own grammar."""

from __future__ import annotations

import re
from typing import Any

_LITERAL = re.compile(rb"~?\{(\d+)\}\r\n")


def values(data: bytes) -> list[Any]:
    """The values of a line, with literals in it: bytes for atoms and strings, None for NIL, lists for parentheses."""
    found, at = _list(data, 0, b"")
    assert at == len(data), data
    return found


def _list(data: bytes, at: int, end: bytes) -> tuple[list[Any], int]:
    found: list[Any] = []
    while at < len(data):
        char = data[at : at + 1]
        if char == end:
            return found, at + 1
        if char == b" ":
            at += 1
        elif char == b"(":
            inner, at = _list(data, at + 1, b")")
            found.append(inner)
        elif char == b'"':
            text = bytearray()
            at += 1
            while data[at : at + 1] != b'"':
                at += data[at : at + 1] == b"\\"
                text += data[at : at + 1]
                at += 1
            found.append(bytes(text))
            at += 1
        elif match := _LITERAL.match(data, at):
            at = match.end() + int(match[1])
            found.append(data[match.end() : at])
        else:
            start, depth = at, 0
            while at < len(data) and (depth or data[at : at + 1] not in (b" ", b")")):
                depth += (data[at] == 0x5B) - (data[at] == 0x5D)  # BODY[HEADER.FIELDS (X)]
                at += 1
            atom = data[start:at]
            found.append(None if atom == b"NIL" else atom)
    assert not end, data
    return found, at


def pairs(found: list[Any]) -> dict[bytes, Any]:
    """Name, value, name, value."""
    assert len(found) % 2 == 0, found
    return dict(zip(found[::2], found[1::2], strict=True))


def esearch(line: list[Any]) -> tuple[bytes, dict[bytes, Any]]:
    """Its tag, and its data with `UID` as a name of its own and ADDTO and REMOVEFROM in lists."""
    tag, data = b"", dict[bytes, Any]()
    rest = iter(line[2:])
    for word in rest:
        if isinstance(word, list):
            data |= pairs(word)
            tag = data.pop(b"TAG", b"")
        elif word == b"UID":
            data[b"UID"] = True
        elif word in (b"ADDTO", b"REMOVEFROM"):
            data.setdefault(b"UPDATES", []).append((word, next(rest)))
        else:
            data[word] = next(rest)
    return tag, data
