"""Search criteria (RFC 3501 9 `search-key`, and what extensions add to it) -> `search` values.

Nesting is kept on a list, not on the interpreter's stack, so that input decides nothing about recursion. Parentheses
and NOT count as depth; a chain of ORs does not, for programs write hundreds of them and it becomes one flat `Or`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gateway.model import flags
from gateway.model.flags import MAX_KEYWORD_LENGTH

from .parse_modseq import search_modseq
from .search import (
    MAX_DEPTH,
    MAX_KEYS,
    All,
    And,
    Body,
    Date,
    DateField,
    DateOp,
    Filter,
    Fuzzy,
    Header,
    Keyword,
    ModSeq,
    Not,
    Numbers,
    ObjectId,
    Or,
    Recent,
    Saved,
    SearchKey,
    Size,
    SystemFlag,
    Text,
    Within,
)
from .tokens import MAX_NUMBER64, Cursor, Malformed

_WORD: Final = re.compile(rb"[A-Za-z]++(?=[ )]|\Z)")
_OBJECT_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,255}+(?=[ )]|\Z)")  # RFC 8474 7


_CONSTANTS: Final[dict[bytes, SearchKey]] = {
    b"ALL": All(),
    b"RECENT": Recent(True),
    b"OLD": Recent(False),
    b"NEW": And((Recent(True), SystemFlag(flags.SEEN, False))),
    b"SAVEDATESUPPORTED": All(),  # RFC 8514 4.3: every message has one
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
    for prefix, field in ((b"", DateField.INTERNAL), (b"SENT", DateField.SENT), (b"SAVED", DateField.SAVED))
    for op in DateOp
}


def criteria(cursor: Cursor, encoding: str) -> SearchKey:
    """All keys up to the end of the text; strings are in Python's `encoding`. Malformed."""
    return _Keys(cursor, encoding).read()


class _Open:
    """A construct whose operands are still being read."""

    __slots__ = ("kind", "operands", "seen")

    def __init__(self, kind: bytes) -> None:
        self.kind = kind  # b"" for the top, b"(", b"NOT", b"FUZZY", b"OR"
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
            if name in {b"NOT", b"FUZZY", b"OR"}:
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
            if top.kind in {b"NOT", b"FUZZY"}:
                key = Not(key) if top.kind == b"NOT" else Fuzzy(key)
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
            if cursor.skip(b"$"):
                return Saved()
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
        except UnicodeError:
            raise Malformed("A search string is not in its charset") from None

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

    def within(self, name: bytes) -> SearchKey:
        return Within(name == b"YOUNGER", self.cursor.nz_number("seconds"))

    def object_id(self, name: bytes) -> SearchKey:
        found = self.cursor.match(_OBJECT_ID)
        if found is None:
            raise self.cursor.expected("an object id")
        return ObjectId(name == b"THREADID", found[0].decode("ascii"))

    def filter(self, name: bytes) -> SearchKey:
        value = self.cursor.atom("the name of a filter").decode("ascii")
        if "/" in value:
            raise Malformed("The name of a filter has no slash")
        return Filter(value)

    def modseq(self, name: bytes) -> SearchKey:
        return ModSeq(search_modseq(self.cursor))

    def numbers(self, name: bytes) -> SearchKey:
        messages = self.cursor.messages()
        return Saved() if messages.saved else Numbers(messages, uid=True)

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
    b"MODSEQ": _Keys.modseq,
    **dict.fromkeys((b"OLDER", b"YOUNGER"), _Keys.within),
    **dict.fromkeys((b"EMAILID", b"THREADID"), _Keys.object_id),
    b"FILTER": _Keys.filter,
}
