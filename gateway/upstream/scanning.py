"""A cursor over one response that takes what servers send, not only what the grammar allows.

`wire.tokens.Cursor` reads what clients send us and refuses; here a wrong octet costs one item at most. One compiled
expression a token, all possessive: each looks at an octet a bounded number of times. Nothing recurses.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.wire.events import Frame

MAX_DEPTH: Final = 50
MAX_TOKENS: Final = 10_000  # in the values of one response: 20 ms of the loop's time
MAX_NUMBER64: Final = 2**63 - 1

_TOKEN: Final = re.compile(
    rb" *+(?:(\()|(\))"
    rb'|"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
    rb"|(~?\{[0-9]++\+?\}\n)"
    # Flags of Gmail hold brackets and Exchange's atoms nearly anything; a quote within a word belongs to it.
    rb'|([^\x00-\x20()"][^\x00-\x20()]*+))',
    re.DOTALL,
)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_NUMBER: Final = re.compile(rb" *+([0-9]{1,20}+)(?![0-9])")
_OPEN, _CLOSE, _QUOTED, _LITERAL = 1, 2, 3, 4


class Odd(ValueError):
    """Text that no reading of the grammar covers."""


class Word(bytes):
    """An unquoted word; a quoted or literal string is plain `bytes`."""

    __slots__ = ()


Value = bytes | None | tuple["Value", ...]
"""Word, string, NIL as None, or a list."""


class Scanner:
    """Reads `frame` from left to right; Odd leaves the position where the trouble is."""

    __slots__ = ("_literals", "_tokens", "_used", "at", "text")

    def __init__(self, frame: Frame, at: int = 0) -> None:
        self.text = frame.text
        self.at = at
        self._literals = frame.literals
        self._used = 0
        self._tokens = 0

    def skip(self, octets: bytes) -> bool:
        if self.text.startswith(octets, self.at):
            self.at += len(octets)
            return True
        return False

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def number(self, limit: int = MAX_NUMBER64) -> int | None:
        """None for what is no number, or none that can be meant."""
        found = _NUMBER.match(self.text, self.at)
        if found is None or (value := int(found[1])) > limit:
            return None
        self.at = found.end()
        return value

    def rest(self) -> bytes:
        return self.text[self.at :]

    def string(self) -> bytes:
        """A word, quoted string or literal. Odd for a list; NIL is the word."""
        found = _TOKEN.match(self.text, self.at)
        if found is None or found.lastindex in (_OPEN, _CLOSE):
            raise Odd
        self.at = found.end()
        return self._octets(found)

    def value(self) -> Value:
        """One item, whatever it is. Odd where lists nest deeper than MAX_DEPTH, or for too many tokens, or none."""
        stack: list[list[Value]] = []
        while True:
            found = _TOKEN.match(self.text, self.at)
            if found is None or self._tokens >= MAX_TOKENS:
                raise Odd
            self._tokens += 1
            self.at = found.end()
            kind = found.lastindex
            item: Value
            if kind == _OPEN:
                if len(stack) >= MAX_DEPTH:
                    raise Odd
                stack.append([])
                continue
            if kind == _CLOSE:
                if not stack:
                    raise Odd
                item = tuple(stack.pop())
            else:
                octets = self._octets(found)
                item = None if type(octets) is Word and octets.upper() == b"NIL" else octets
            if not stack:
                return item
            stack[-1].append(item)

    def _octets(self, found: re.Match[bytes]) -> bytes:
        kind = found.lastindex
        if kind == _QUOTED:
            inner = found[_QUOTED]
            return _ESCAPE.sub(rb"\1", inner) if b"\\" in inner else inner
        if kind == _LITERAL:
            if self._used >= len(self._literals):
                raise Odd
            self._used += 1
            return self._literals[self._used - 1]
        return Word(found[0].lstrip(b" "))


def strings(value: Value) -> tuple[bytes, ...]:
    """The strings of a list, lists within it left out; one string as a list of it."""
    if value is None:
        return ()
    if isinstance(value, bytes):
        return (value,)
    return tuple(item for item in value if isinstance(item, bytes))


def text_of(octets: bytes) -> str:
    """For people: UTF-8, or what each octet is in Latin-1; never fails, no control characters."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()
