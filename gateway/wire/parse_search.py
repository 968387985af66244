"""SEARCH arguments (RFC 3501 9 `search`, RFC 4466 2.6 RETURN) -> `search` values.

Nesting is kept on a list, not on the interpreter's stack, so that input decides nothing about recursion. Parentheses
and NOT count as depth; a chain of ORs does not, for programs write hundreds of them and it becomes one flat `Or`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gateway.model import flags
from gateway.model.flags import MAX_KEYWORD_LENGTH

from .search import (
    MAX_DEPTH,
    MAX_KEYS,
    All,
    And,
    Body,
    Date,
    DateField,
    DateOp,
    Header,
    Keyword,
    Not,
    Numbers,
    Or,
    Recent,
    SearchKey,
    Size,
    SystemFlag,
    Text,
)
from .tokens import MAX_NUMBER64, Cursor, Malformed

CHARSETS: Final = {"US-ASCII": "ascii", "UTF-8": "utf-8"}
"""Charsets a client may name, in capitals; the answer to others is NO [BADCHARSET (US-ASCII UTF-8)]."""

RETURN_OPTIONS: Final = frozenset({"MIN", "MAX", "ALL", "COUNT"})  # RFC 4731 3.1

_WORD: Final = re.compile(rb"[A-Za-z]++(?=[ )]|\Z)")
_RETURN: Final = re.compile(rb"RETURN (?=\()", re.IGNORECASE)
_CHARSET: Final = re.compile(rb"CHARSET ", re.IGNORECASE)


class UnknownCharset(Malformed):
    """A charset that is not in CHARSETS."""


_CONSTANTS: Final[dict[bytes, SearchKey]] = {
    b"ALL": All(),
    b"RECENT": Recent(True),
    b"OLD": Recent(False),
    b"NEW": And((Recent(True), SystemFlag(flags.SEEN, False))),
    **{
        prefix + name: SystemFlag(bit, not prefix)
        for prefix in (b"", b"UN")
        for name, bit in {
            b"SEEN": flags.SEEN,
            b"ANSWERED": flags.ANSWERED,
            b"FLAGGED": flags.FLAGGED,
            b"DELETED": flags.DELETED,
            b"DRAFT": flags.DRAFT,
        }.items()
    },
}
_HEADERS: Final = frozenset({b"FROM", b"TO", b"CC", b"BCC", b"SUBJECT"})
_DATES: Final = {
    prefix + op.value.upper().encode("ascii"): (field, op)
    for prefix, field in ((b"", DateField.INTERNAL), (b"SENT", DateField.SENT))
    for op in DateOp
}


def search_arguments(cursor: Cursor) -> tuple[str | None, tuple[str, ...] | None, SearchKey]:
    """(charset, return options, criteria) of all that follows `SEARCH `. Malformed, UnknownCharset."""
    returns: tuple[str, ...] | None = None
    if cursor.match(_RETURN):
        options = cursor.listed(lambda: cursor.keyword("a search return option"), empty=True)
        if not RETURN_OPTIONS.issuperset(options):
            raise Malformed("Unknown search return option")
        returns = tuple(options) or ("ALL",)
        cursor.space()
    charset: str | None = None
    if cursor.match(_CHARSET):
        charset = cursor.astring("a charset").decode("ascii", "replace").upper()
        if charset not in CHARSETS:
            raise UnknownCharset("Unknown charset")
        cursor.space()
    # Without CHARSET strings are US-ASCII (RFC 3501 6.4.4); UTF-8 contains it, and clients send it unannounced.
    return charset, returns, _Keys(cursor, CHARSETS[charset or "UTF-8"]).read()


class _Open:
    """A construct whose operands are still being read."""

    __slots__ = ("kind", "operands", "seen")

    def __init__(self, kind: bytes) -> None:
        self.kind = kind  # b"" for the top, b"(", b"NOT", b"OR"
        self.operands: list[SearchKey] = []
        self.seen = 0

    def add(self, key: SearchKey, same: type[And] | type[Or]) -> None:
        self.seen += 1
        if isinstance(key, same):
            self.operands.extend(key.keys)
        else:
            self.operands.append(key)


class _Keys:
    """Reads criteria until the end of the text."""

    __slots__ = ("cursor", "depth", "encoding", "keys", "ors", "stack")

    def __init__(self, cursor: Cursor, encoding: str) -> None:
        self.cursor = cursor
        self.encoding = encoding
        self.stack = [_Open(b"")]
        self.depth = 0
        self.keys = 0
        self.ors = 0

    def read(self) -> SearchKey:
        cursor = self.cursor
        while True:
            word = cursor.match(_WORD)
            name = word[0].upper() if word is not None else b""
            if name in {b"NOT", b"OR"}:
                cursor.space()
                self.open(name)
            elif word is None and cursor.skip(b"("):
                self.open(b"(")
            else:
                self.keys += 1
                if self.keys > MAX_KEYS:
                    raise Malformed(f"More than {MAX_KEYS} search keys")
                done = self.close(self.leaf(name))
                if done is not None:
                    return done

    def open(self, kind: bytes) -> None:
        if kind == b"OR":
            self.ors += 1
            if self.ors > MAX_KEYS:
                raise Malformed(f"More than {MAX_KEYS} search keys")
        else:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise Malformed(f"Search keys nest deeper than {MAX_DEPTH} levels")
        self.stack.append(_Open(kind))

    def close(self, key: SearchKey) -> SearchKey | None:
        """Hand `key` to what is open and close all that is complete; the whole tree at the end of the text."""
        cursor, stack = self.cursor, self.stack
        while True:
            top = stack[-1]
            if top.kind == b"NOT":
                key = Not(key)
                self.depth -= 1
            elif top.kind == b"OR":
                top.add(key, Or)
                if top.seen < 2:
                    cursor.space()
                    return None
                key = Or(tuple(top.operands))
            else:
                top.add(key, And)
                if top.kind == b"(" and cursor.skip(b")"):
                    self.depth -= 1
                elif top.kind or not cursor.at_end:
                    cursor.space()
                    return None
                key = top.operands[0] if len(top.operands) == 1 else And(tuple(top.operands))
                if not top.kind:
                    return key
            stack.pop()

    def leaf(self, name: bytes) -> SearchKey:
        cursor = self.cursor
        constant = _CONSTANTS.get(name)
        if constant is not None:
            return constant
        if not name:
            if cursor.peek() not in _SET_START:
                raise cursor.expected("a search key")
            return Numbers(cursor.sequence_set(), uid=False)
        read = _LEAVES.get(name)
        if read is None:
            raise Malformed("Unknown search key")
        cursor.space()
        return read(self, name)

    def text(self) -> str:
        octets = self.cursor.astring("a string to search for")
        try:
            return octets.decode(self.encoding)
        except UnicodeDecodeError:
            raise Malformed(f"A search string is not {self.encoding.upper()}") from None

    def header(self, name: bytes) -> SearchKey:
        if name in _HEADERS:
            return Header(name.decode("ascii"), self.text())
        try:
            field = self.cursor.astring("a header field name").decode("ascii").upper()
        except UnicodeDecodeError:
            raise Malformed("A header field name is not US-ASCII") from None
        self.cursor.space()
        return Header(field, self.text())

    def content(self, name: bytes) -> SearchKey:
        return Body(self.text()) if name == b"BODY" else Text(self.text())

    def date(self, name: bytes) -> SearchKey:
        return Date(*_DATES[name], self.cursor.date())

    def size(self, name: bytes) -> SearchKey:
        return Size(name == b"LARGER", self.cursor.number("a size", limit=MAX_NUMBER64))

    def numbers(self, name: bytes) -> SearchKey:
        return Numbers(self.cursor.sequence_set(), uid=True)

    def keyword(self, name: bytes) -> SearchKey:
        keyword = self.cursor.flag()
        if keyword.startswith(b"\\") or len(keyword) > MAX_KEYWORD_LENGTH:
            raise Malformed(f"{name.decode('ascii')} takes a keyword")
        return Keyword(keyword.decode("ascii"), name == b"KEYWORD")


_SET_START: Final = frozenset(b"%c" % octet for octet in b"0123456789*")
_LEAVES: Final[dict[bytes, Callable[[_Keys, bytes], SearchKey]]] = {
    **dict.fromkeys((*_HEADERS, b"HEADER"), _Keys.header),
    **dict.fromkeys((b"BODY", b"TEXT"), _Keys.content),
    **dict.fromkeys(_DATES, _Keys.date),
    **dict.fromkeys((b"LARGER", b"SMALLER"), _Keys.size),
    **dict.fromkeys((b"KEYWORD", b"UNKEYWORD"), _Keys.keyword),
    b"UID": _Keys.numbers,
}
