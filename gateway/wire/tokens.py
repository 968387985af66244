"""A cursor over one frame's text: one compiled expression a kind of token (RFC 3501 9).

All expressions are possessive: each looks at an octet a bounded number of times, whatever the input. Nothing here
recurses; `value` keeps its own stack. Errors say what was expected and where, never what was found: it may be a
password. The same cursor reads responses (atoms with sections, flags with `]`, NIL, nested lists).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

from gateway.model.sequence import SAVED, STAR, SequenceSet

from . import date, mutf7
from .events import Frame

MAX_DEPTH: Final = 50  # of nested lists (security.md)
MAX_NUMBER: Final = 2**32 - 1
MAX_RANGES: Final = 20_000  # of all sequence sets of one command: more than a line holds of UIDs of three digits
MAX_NUMBER64: Final = 2**63 - 1  # RFC 7162 3.1, RFC 9051 number64

# `~` is an atom character, but `~{` announces a literal8.
_ATOM: Final = re.compile(rb'(?!~\{)[^\x00-\x20(){%*"\\\]\x7f-\xff]++')
# Raw UTF-8 is not in the grammar, but clients send it in names.
_ASTRING_ATOM: Final = re.compile(rb'(?!~\{)[^\x00-\x20(){%*"\\\x7f]++')
_LIST_ATOM: Final = re.compile(rb'(?!~\{)[^\x00-\x20(){"\\\x7f]++')
_QUOTED: Final = re.compile(rb'"([^"\\\x00\r\n]*+(?:\\["\\][^"\\\x00\r\n]*+)*+)"')
_ESCAPE: Final = re.compile(rb'\\(["\\])')
_LITERAL: Final = re.compile(rb"(~?)\{[0-9]++\+?\}\n")
_NUMBER: Final = re.compile(rb"[0-9]++")
_SEQUENCE: Final = re.compile(
    rb"(?:[1-9][0-9]{0,9}+|\*)(?::(?:[1-9][0-9]{0,9}+|\*))?+(?:,(?:[1-9][0-9]{0,9}+|\*)(?::(?:[1-9][0-9]{0,9}+|\*))?+)*+"
)
# A flag is an atom by the grammar; `]` stands in keywords of real mailboxes.
_FLAG: Final = re.compile(rb'\\?[^\x00-\x20(){%*"\\\x7f-\xff]++|\\\*')
# In a response: BODY[HEADER.FIELDS ("To")]<0>, RFC822.SIZE, \Seen, 17, UIDNEXT.
_RESPONSE_ATOM: Final = re.compile(rb'(?!~\{)(?:\\?[^\x00-\x20(){"\\\x7f\[]|\\\*|\[[^\]\r\n]*+\])++')

T = TypeVar("T")


class Malformed(ValueError):
    """Text that is not in the grammar. Its message is safe to send to the peer."""


class Atom(bytes):
    """An unquoted word of a `value`; a quoted or literal string is plain `bytes`."""

    __slots__ = ()


Value = bytes | None | tuple["Value", ...]
"""What `Cursor.value` reads: Atom, string, NIL as None, or a list."""


class Cursor:
    """Reads tokens of `frame` from left to right; each method raises Malformed and leaves the position undefined."""

    __slots__ = ("_literals", "_ranges", "_used", "at", "text", "utf8")

    def __init__(self, text: bytes, literals: tuple[bytes, ...] = (), *, at: int = 0, utf8: bool = False) -> None:
        """`utf8`: mailbox names are UTF-8, not modified UTF-7 (RFC 6855 3)."""
        self.text = text
        self.at = at
        self.utf8 = utf8
        self._literals = literals
        self._used = 0
        self._ranges = 0

    @classmethod
    def of(cls, frame: Frame, *, at: int = 0) -> Cursor:
        return cls(frame.text, frame.literals, at=at)

    def expected(self, what: str) -> Malformed:
        """The error for whoever finds something else here."""
        return Malformed(f"Expected {what} at octet {self.at + 1}")

    # Punctuation.

    @property
    def at_end(self) -> bool:
        return self.at >= len(self.text)

    def peek(self) -> bytes:
        """The next octet, b"" at the end."""
        return self.text[self.at : self.at + 1]

    def skip(self, octets: bytes) -> bool:
        """Step over `octets` if they come next."""
        if self.text.startswith(octets, self.at):
            self.at += len(octets)
            return True
        return False

    def need(self, octets: bytes) -> None:
        if not self.skip(octets):
            raise self.expected("a space" if octets == b" " else f'"{octets.decode("ascii")}"')

    def space(self) -> None:
        if self.text[self.at : self.at + 1] != b" ":
            raise self.expected("a space and another argument" if self.at_end else "a space")
        self.at += 1

    def end(self) -> None:
        if self.at < len(self.text):
            raise Malformed(f"Unexpected text at octet {self.at + 1}")

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Step over `pattern` if it matches here."""
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    # Words and strings.

    def atom(self, what: str = "an atom") -> bytes:
        found = _ATOM.match(self.text, self.at)
        if found is None:
            raise self.expected(what)
        self.at = found.end()
        return found[0]

    def keyword(self, what: str) -> str:
        """An atom in capitals: the name of an option, item or mechanism."""
        return self.atom(what).decode("ascii").upper()

    def string(self, what: str = "a string") -> bytes:
        """Quoted or literal."""
        found = _QUOTED.match(self.text, self.at)
        if found is not None:
            inner = found[1]
            if self.utf8 and not inner.isascii():
                self._check_utf8(inner)
            self.at = found.end()
            return _ESCAPE.sub(rb"\1", inner) if b"\\" in inner else inner
        return self.literal(what)

    def _check_utf8(self, octets: bytes) -> None:
        """RFC 6855 3: what is not UTF-8 in a quoted string is BAD once the client speaks it."""
        try:
            octets.decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed(f"The string at octet {self.at + 1} is not UTF-8") from None

    def literal(self, what: str = "a literal", *, binary: bool = False) -> bytes:
        """The octets of a literal; NUL only in a literal8 where `binary` allows one (RFC 3516 4.4)."""
        found = _LITERAL.match(self.text, self.at)
        if found is None or self._used >= len(self._literals):
            raise self.expected(what)
        if found[1] and not binary:
            raise Malformed(f"A literal8 is not allowed at octet {self.at + 1}")
        octets = self._literals[self._used]
        if not found[1] and b"\x00" in octets:
            raise Malformed(f"A literal may not hold NUL at octet {self.at + 1}")
        self._used += 1
        self.at = found.end()
        return octets

    def astring(self, what: str = "a string") -> bytes:
        found = _ASTRING_ATOM.match(self.text, self.at)
        if found is None:
            return self.string(what)
        self.at = found.end()
        return found[0]

    def nstring(self, what: str = "a string or NIL") -> bytes | None:
        return None if self.nil() else self.string(what)

    def nil(self) -> bool:
        """Step over NIL if it is the next word."""
        found = _ASTRING_ATOM.match(self.text, self.at)
        if found is not None and found[0].upper() == b"NIL":
            self.at = found.end()
            return True
        return False

    # Numbers.

    def number(self, what: str = "a number", *, limit: int = MAX_NUMBER) -> int:
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            raise self.expected(what)
        if found.end() - found.start() > 20 or (value := int(found[0])) > limit:
            raise Malformed(f"The number at octet {self.at + 1} is too large")
        self.at = found.end()
        return value

    def nz_number(self, what: str = "a number above 0", *, limit: int = MAX_NUMBER) -> int:
        at = self.at
        value = self.number(what, limit=limit)
        if value == 0:
            self.at = at
            raise self.expected(what)
        return value

    def sequence_set(self) -> SequenceSet:
        """RFC 3501 9 `sequence-set`; work and size are linear in its text, not in the numbers it names.

        All sets of a command hold MAX_RANGES ranges at most: a SEARCH continued through literals reaches a megabyte.
        """
        return self._sequence_set("a sequence set")

    def messages(self) -> SequenceSet:
        """The messages a command is about: a sequence set or `$` (RFC 5182 3)."""
        if self.skip(b"$"):
            return SAVED
        return self._sequence_set('a sequence set or "$"')

    def _sequence_set(self, what: str) -> SequenceSet:
        found = _SEQUENCE.match(self.text, self.at)
        if found is None:
            raise self.expected(what)
        self._ranges += found[0].count(b",") + 1
        if self._ranges > MAX_RANGES:
            raise Malformed(f"A command may name {MAX_RANGES} ranges of messages at most")
        pairs: list[tuple[int, int]] = []
        for item in found[0].split(b","):
            low, colon, high = item.partition(b":")
            first = STAR if low == b"*" else int(low)
            last = first if not colon else STAR if high == b"*" else int(high)
            if first > MAX_NUMBER or last > MAX_NUMBER:
                raise Malformed(f"A number of the sequence set at octet {self.at + 1} is too large")
            pairs.append((first, last))
        self.at = found.end()
        return SequenceSet(tuple(pairs))

    def one_message(self) -> SequenceSet:
        """RFC 8508 5 `seq-number`: one message by number or UID, or `*`."""
        at = self.at
        found = self.sequence_set()
        ((low, high),) = found.pairs if len(found.pairs) == 1 else ((0, 1),)
        if low != high:
            self.at = at
            raise self.expected("the number of one message")
        return found

    # What only IMAP has.

    def flag(self) -> bytes:
        found = _FLAG.match(self.text, self.at)
        if found is None:
            raise self.expected("a flag")
        self.at = found.end()
        return found[0]

    def listed(self, read: Callable[[], T], *, empty: bool = False) -> list[T]:
        """`(` item *(SP item) `)`, each read by `read`."""
        self.need(b"(")
        items: list[T] = []
        if empty and self.skip(b")"):
            return items
        while True:
            items.append(read())
            if self.skip(b")"):
                return items
            self.space()

    def mailbox(self, what: str = "a mailbox name") -> str:
        return self._decode_name(self.astring(what))

    def list_mailbox(self) -> str:
        found = self.match(_LIST_ATOM)
        return self._decode_name(found[0] if found is not None else self.string("a mailbox pattern"))

    def _decode_name(self, octets: bytes) -> str:
        try:
            # Raw UTF-8 in a name that should be modified UTF-7: no such name has 8-bit octets, so nothing is ambiguous.
            name = octets.decode("utf-8") if self.utf8 or not octets.isascii() else mutf7.decode(octets)
        except ValueError:
            encoding = "UTF-8" if self.utf8 else "modified UTF-7"
            raise Malformed(f"The mailbox name before octet {self.at + 1} is not {encoding}") from None
        if "\x00" in name:
            raise Malformed("A mailbox name may not hold NUL")
        return name

    def date(self) -> int:
        """RFC 3501 9 `date` -> days since 1970-01-01."""
        at = self.at
        try:
            return date.parse_date(self.astring("a date"))
        except ValueError:
            self.at = at
            raise self.expected("a date like 1-Feb-1994") from None

    def date_time(self) -> int:
        """RFC 3501 9 `date-time` -> Unix seconds."""
        at = self.at
        try:
            return date.parse_date_time(self.string("a date and time"))
        except ValueError:
            self.at = at
            raise self.expected('a date and time like "17-Jul-1996 02:44:25 -0700"') from None

    def value(self, depth: int = MAX_DEPTH) -> Value:
        """One item of a response, whatever it is; lists nest up to `depth` levels."""
        stack: list[list[Value]] = []
        while True:
            if self.skip(b"("):
                if len(stack) >= depth:
                    raise Malformed(f"Lists nest deeper than {depth} levels")
                stack.append([])
                self.skip(b" ")
                continue
            item: Value
            if stack and self.skip(b")"):
                item = tuple(stack.pop())
            elif (found := self.match(_RESPONSE_ATOM)) is not None:
                item = None if found[0].upper() == b"NIL" else Atom(found[0])
            elif self.peek() == b'"':
                item = self.string()
            else:
                item = self.literal("a value", binary=True)
            if not stack:
                return item
            stack[-1].append(item)
            # Between items one space; between the children of a multipart none (RFC 3501 9 `body-type-mpart`).
            self.skip(b" ")
