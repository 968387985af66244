"""FETCH items (RFC 3501 9 `fetch-att`) -> `fetch` values."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .fetch import ITEMS, MACROS, Attribute, BodySection, SectionText
from .render import astring
from .tokens import Cursor, Malformed

MAX_ITEMS: Final = 1000  # a compiled list is kept for the next command; large messages have their parts asked for
MAX_HEADER_SECTIONS: Final = 100  # each may be a copy of 256 KiB of header in one response

_NAME: Final = re.compile(rb"[A-Za-z0-9.]++")
_PATH: Final = re.compile(rb"[1-9][0-9]{0,9}+(?:\.[1-9][0-9]{0,9}+)*+")
_TEXT: Final = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.IGNORECASE)
_CACHED_TEXT: Final = 1024  # octets
_FIELDS: Final = {SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT}
_HEADERS: Final = {*_FIELDS, SectionText.HEADER}


def fetch_items(cursor: Cursor) -> tuple[Attribute, ...]:
    """One item, a macro, or a list of items, which end the command; repeats stay. Malformed."""
    rest = cursor.text[cursor.at :]
    if len(rest) <= _CACHED_TEXT and b"\n" not in rest:
        try:
            items = _cached(rest)
        except Malformed:
            pass  # read again below, for the error's place in the whole command
        else:
            cursor.at = len(cursor.text)
            return items
    return _items(cursor)


@lru_cache(maxsize=256)
def _cached(text: bytes) -> tuple[Attribute, ...]:
    """Clients ask for the same items of ever other messages. Never with literals: `text` is all there is."""
    cursor = Cursor(text)
    items = _items(cursor)
    cursor.end()
    return items


def _items(cursor: Cursor) -> tuple[Attribute, ...]:
    if cursor.peek() == b"(":
        items = tuple(cursor.listed(lambda: _item(cursor)))
        if len(items) > MAX_ITEMS:
            raise Malformed(f"More than {MAX_ITEMS} FETCH items")
        if sum(isinstance(item, BodySection) and _copies_header(item) for item in items) > MAX_HEADER_SECTIONS:
            raise Malformed(f"More than {MAX_HEADER_SECTIONS} header sections")
        return items
    at = cursor.at
    name = cursor.match(_NAME)
    macro = MACROS.get(name[0].upper()) if name is not None else None
    if macro is not None:
        return macro
    cursor.at = at
    return (_item(cursor),)


def _copies_header(section: BodySection) -> bool:
    """Not a plain MIME section: a client may ask for that of each of many parts."""
    return section.text in _HEADERS or (section.text is SectionText.MIME and section.partial is not None)


def _item(cursor: Cursor) -> Attribute:
    found = cursor.match(_NAME)
    if found is None:
        raise cursor.expected("a FETCH item")
    name = found[0].upper()
    if cursor.peek() == b"[" and name in {b"BODY", b"BODY.PEEK"}:
        return _section(cursor, peek=name != b"BODY")
    item = ITEMS.get(name)
    if item is None:
        raise Malformed("Unknown FETCH item")
    return item


def _section(cursor: Cursor, *, peek: bool) -> BodySection:
    cursor.need(b"[")
    echo = b"BODY["
    path: tuple[int, ...] = ()
    if (numbers := cursor.match(_PATH)) is not None:
        echo += numbers[0]
        path = tuple(map(int, numbers[0].split(b".")))
    text = SectionText.ALL
    fields: tuple[bytes, ...] = ()
    if cursor.peek() != b"]":
        if path:
            cursor.need(b".")
            echo += b"."
        word = cursor.match(_TEXT)
        if word is None:
            raise cursor.expected("a section")
        text = SectionText(word[0].upper())
        if text is SectionText.MIME and not path:
            raise Malformed("MIME needs a part number")
        echo += text.value
        if text in _FIELDS:
            cursor.space()
            start = cursor.at
            fields = tuple(cursor.listed(lambda: cursor.astring("a header field name")))
            raw = cursor.text[start : cursor.at]
            # A field name that came as a literal left only its announcement in the text.
            echo += b" " + (raw if b"\n" not in raw else b"(" + b" ".join(map(astring, fields)) + b")")
    cursor.need(b"]")
    echo += b"]"
    partial = None
    if cursor.skip(b"<"):
        offset = cursor.number("an offset")
        cursor.need(b".")
        partial = (offset, cursor.nz_number("a count above 0"))
        cursor.need(b">")
        echo += b"<%d>" % offset
    return BodySection(echo, path, text, fields, peek, partial)
