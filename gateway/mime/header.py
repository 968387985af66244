"""Header fields of a message or a MIME part: splitting, unfolding, choosing (RFC 5322 2.2, RFC 3501 6.4.5).

Octets are never changed: a field's `raw` is a slice of the header, and what `select_fields` answers is
made of such slices. Both CRLF and a bare LF end a line; a line that is no field (an mbox `From ` line,
garbage) belongs to no field and does not end the header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

# RFC 5322 2.2: field-name = 1*ftext (%d33-57 / %d59-126); obs-optional allows blanks before the colon.
# The second alternative consumes any other line whole, so one pass of finditer is linear.
_FIELD: Final = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)\n?|[^\n]*+\n?")
_FOLD: Final = re.compile(rb"\r*\n(?=[ \t])")
_LINE_END: Final = re.compile(rb"\r*\n")
_BLANKS: Final = b" \t\r\n"

FieldIndex = dict[bytes, list[bytes]]
"""Lower-case field name -> raw values (after the colon, folded, not stripped), in message order."""


class HeaderField(NamedTuple):
    """One field: `name` as written, `raw` with its line ends, `value` unfolded, without outer blanks."""

    name: bytes
    raw: bytes
    value: bytes


def unfold(value: bytes) -> bytes:
    """Remove the line end of each fold, keep the blank after it (RFC 5322 2.2.3), strip outer blanks."""
    if b"\n" in value:
        value = _FOLD.sub(b"", value)
        if b"\n" in value:  # never from a header that was split here; a value from elsewhere stays one line
            value = _LINE_END.sub(b" ", value)
    return value.strip(_BLANKS)


def fields(header: bytes) -> list[HeaderField]:
    """All fields of `header` in order; lines that are no fields are left out."""
    found = []
    for match in _FIELD.finditer(header):
        name, value = match.groups()
        if name is not None:
            found.append(HeaderField(name, match.group(), unfold(value)))
    return found


def index_fields(header: bytes) -> FieldIndex:
    """The same fields by lower-case name, values still folded: what the parsers of this package read."""
    index: FieldIndex = {}
    for name, value in _FIELD.findall(header):
        if name:
            key = name.lower()
            if key in index:
                index[key].append(value)
            else:
                index[key] = [value]
    return index


def select_fields(header: bytes, names: Iterable[bytes], exclude: bool = False) -> bytes:
    """`BODY[HEADER.FIELDS (names)]`, or with `exclude` `HEADER.FIELDS.NOT`: raw fields in message order, then CRLF.

    Names compare without case. The blank line always ends the answer (RFC 3501 6.4.5), also where the
    header has none. With `exclude`, lines that are no fields are kept, for nothing may get lost.
    """
    return field_selector(tuple(names), exclude)(header)


@lru_cache(maxsize=256)
def field_selector(names: tuple[bytes, ...], exclude: bool = False) -> Callable[[bytes], bytes]:
    """`select_fields` with everything but the header settled, for one set of names over many messages."""
    pattern = _selection(names)

    def chosen(header: bytes) -> bytes:
        found = pattern.findall(_from_line_end(header)) if pattern is not None else None
        return b"\n".join(found) + b"\n\r\n" if found else b"\r\n"

    def others(header: bytes) -> bytes:
        header = _from_line_end(header)
        rest = pattern.sub(b"", header) if pattern is not None else header
        return _without_blank_line(rest[1:]) + b"\r\n"

    return others if exclude else chosen


def _from_line_end(header: bytes) -> bytes:
    """With a line end before the first field every match begins at a literal "\\n", which `re` finds by memchr."""
    if header and header[-1] != 10:
        header += b"\r\n"  # an unfinished last line, else the blank line would be glued to it
    return b"\n" + header


@lru_cache(maxsize=256)
def _selection(names: tuple[bytes, ...]) -> re.Pattern[bytes] | None:
    wanted = sorted({name.lower() for name in names if name})
    if not wanted:
        return None
    return re.compile(
        rb"\n((?:" + b"|".join(map(re.escape, wanted)) + rb")[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE
    )


def _without_blank_line(header: bytes) -> bytes:
    if header in (b"\r\n", b"\n"):
        return b""
    if header.endswith(b"\n\r\n"):
        return header[:-2]
    if header.endswith(b"\n\n"):
        return header[:-1]
    return header


def strip_comments(value: bytes) -> bytes:
    """Remove RFC 5322 comments outside quoted strings; one that is never closed ends the value. Linear."""
    if b"(" not in value:
        return value
    kept: list[bytes] = []
    depth = 0
    quoted = False
    for token in _COMMENT_TOKEN.findall(value):
        if depth:
            depth += (token == b"(") - (token == b")")
            continue
        if token == b'"':
            quoted = not quoted
        elif token == b"(" and not quoted:
            depth = 1
            continue
        kept.append(token)
    return b"".join(kept)


_COMMENT_TOKEN: Final = re.compile(rb'\\.|[()"]|[^\\()"]++|\\', re.DOTALL)
