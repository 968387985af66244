"""FETCH items (RFC 3501 9 `fetch-att`) -> `fetch` values, and the modifiers behind them (RFC 4466 2.4)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .fetch import ITEMS, MACROS, Attribute, BinarySection, BodySection, SectionText
from .parse_modseq import modseq_value, once
from .parse_partial import partial_range
from .render import astring
from .search import Partial
from .tokens import MAX_NUMBER64, Cursor, Malformed

MAX_ITEMS: Final = 1000  # a compiled list is kept for the next command; large messages have their parts asked for
MAX_HEADER_SECTIONS: Final = 100  # each may be a copy of 256 KiB of header in one response
MAX_WINDOWS: Final = 16  # on decoded parts: each is decoded from its beginning

_NAME: Final = re.compile(rb"[A-Za-z0-9.]++")
_PATH: Final = re.compile(rb"[1-9][0-9]{0,9}+(?:\.[1-9][0-9]{0,9}+)*+")
_TEXT: Final = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.IGNORECASE)
_CACHED_TEXT: Final = 1024  # octets
_FIELDS: Final = {SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT}
_HEADERS: Final = {*_FIELDS, SectionText.HEADER}


def fetch_items(cursor: Cursor) -> tuple[Attribute, ...]:
    """One item, a macro, or a list of items; repeats stay. Malformed."""
    rest = cursor.text[cursor.at :]
    if len(rest) <= _CACHED_TEXT and b"\n" not in rest:
        try:
            items = _cached(rest)
        except Malformed:
            pass  # read again below, for the error's place in the whole command
        else:
            cursor.at = len(cursor.text)
            return items
    return item_list(cursor)


@lru_cache(maxsize=256)
def _cached(text: bytes) -> tuple[Attribute, ...]:
    """Clients ask for the same items of ever other messages. Never with literals: `text` is all there is."""
    cursor = Cursor(text)
    items = item_list(cursor)
    cursor.end()
    return items


def item_list(cursor: Cursor) -> tuple[Attribute, ...]:
    """As `fetch_items`, where other arguments may follow."""
    if cursor.peek() == b"(":
        items = tuple(cursor.listed(lambda: _item(cursor)))
        if len(items) > MAX_ITEMS:
            raise Malformed(f"More than {MAX_ITEMS} FETCH items")
        if sum(isinstance(item, BodySection) and _copies_header(item) for item in items) > MAX_HEADER_SECTIONS:
            raise Malformed(f"More than {MAX_HEADER_SECTIONS} header sections")
        if sum(isinstance(item, BinarySection) and item.partial is not None for item in items) > MAX_WINDOWS:
            raise Malformed(f"More than {MAX_WINDOWS} windows of decoded parts")
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
    if cursor.peek() == b"[":
        if name in {b"BODY", b"BODY.PEEK"}:
            return _section(cursor, peek=name != b"BODY")
        if name in {b"BINARY", b"BINARY.PEEK", b"BINARY.SIZE"}:
            return _binary(cursor, name)
    if name == b"PREVIEW" and cursor.skip(b" ("):
        _lazy(cursor)
    item = ITEMS.get(name)
    if item is None:
        raise Malformed("Unknown FETCH item")
    return item


def _lazy(cursor: Cursor) -> None:
    """RFC 8970 6 `preview-mod`; means nothing here."""
    while True:
        if cursor.keyword("LAZY") != "LAZY":
            raise Malformed("Unknown modifier of PREVIEW")
        if cursor.skip(b")"):
            return
        cursor.space()


def _binary(cursor: Cursor, name: bytes) -> BinarySection:
    cursor.need(b"[")
    numbers = cursor.match(_PATH)
    cursor.need(b"]")
    path = _path(numbers[0]) if numbers is not None else ()
    section = b"[%b]" % (numbers[0] if numbers is not None else b"")
    if name == b"BINARY.SIZE":
        return BinarySection(b"BINARY.SIZE" + section, path, size=True)
    partial = _window(cursor)
    echo = b"BINARY" + section + (b"" if partial is None else b"<%d>" % partial[0])
    return BinarySection(echo, path, name != b"BINARY", partial)


def _path(numbers: bytes) -> tuple[int, ...]:
    return tuple(map(int, numbers.split(b".")))


def _window(cursor: Cursor) -> tuple[int, int] | None:
    if not cursor.skip(b"<"):
        return None
    offset = cursor.number("an offset", limit=MAX_NUMBER64)  # RFC 9051 9: number64
    cursor.need(b".")
    partial = (offset, cursor.nz_number("a count above 0", limit=MAX_NUMBER64))
    cursor.need(b">")
    return partial


def url_section(text: bytes, partial: tuple[int, int] | None) -> BodySection:
    """The section that an IMAP URL names (RFC 5092 11 `enc-section`, decoded). Malformed."""
    cursor = Cursor(text)
    echo, path, kind, fields = _section_text(cursor, b"")
    cursor.end()
    return BodySection(echo, path, kind, fields, True, partial)


def _section(cursor: Cursor, *, peek: bool) -> BodySection:
    cursor.need(b"[")
    echo, path, text, fields = _section_text(cursor, b"]")
    cursor.need(b"]")
    partial = _window(cursor)
    echo = b"BODY[%b]" % echo + (b"" if partial is None else b"<%d>" % partial[0])
    return BodySection(echo, path, text, fields, peek, partial)


def _section_text(cursor: Cursor, end: bytes) -> tuple[bytes, tuple[int, ...], SectionText, tuple[bytes, ...]]:
    """RFC 3501 9 `section-spec` up to `end`: its echo, part numbers, what of the part, header field names."""
    echo = b""
    path: tuple[int, ...] = ()
    if (numbers := cursor.match(_PATH)) is not None:
        echo += numbers[0]
        path = _path(numbers[0])
    text = SectionText.ALL
    fields: tuple[bytes, ...] = ()
    if cursor.peek() != end:
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
    return echo, path, text, fields


def fetch_modifiers(cursor: Cursor, *, uid: bool) -> tuple[int | None, bool, Partial | None]:
    """(CHANGEDSINCE, VANISHED, PARTIAL) behind the items of a FETCH, which is a UID FETCH with `uid`."""
    if cursor.at_end:
        return None, False, None
    cursor.space()
    names: set[str] = set()
    since: int | None = None
    partial: Partial | None = None

    def modifier() -> None:
        nonlocal since, partial
        name = cursor.keyword("a FETCH modifier")
        once(names, name)
        if name == "CHANGEDSINCE":
            cursor.space()
            since = modseq_value(cursor)
        elif name == "PARTIAL":
            cursor.space()
            partial = partial_range(cursor)
        elif name != "VANISHED":
            raise Malformed("Unknown FETCH modifier")

    cursor.listed(modifier)
    if "VANISHED" in names and (since is None or not uid):
        raise Malformed("VANISHED is for UID FETCH with CHANGEDSINCE")  # RFC 7162 3.2.6
    if partial is not None and not uid:
        raise Malformed("PARTIAL is for UID FETCH")  # RFC 9394 3.3
    return since, "VANISHED" in names, partial
