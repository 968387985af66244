"""The little of IMAP's grammar that a server reads (RFC 9051 section 9), written apart from the gateway's on purpose.

A command is a list of tokens: `str` for an atom (a `[section]` and a `<partial>` belong to it), `bytes` for a string,
`list` for what stands in parentheses. It is strict: what a client must not send is a `Wrong`.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Token = Any
"""str | bytes | list of tokens."""

_ATOM = re.compile(rb'[^\s(){"\[\]]+')
_LITERAL = re.compile(rb"(~?)\{(\d+)(\+?)\}\Z")
_DATE = re.compile(r" ?(\d{1,2})-([A-Z][a-z]{2})-(\d{4})(?: (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d))?\Z")
_SET = re.compile(r"(?:(?:\A|,)(?:\d+|\*)(?::(?:\d+|\*))?)+\Z")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Wrong(Exception):
    """The client broke the grammar, or asked for what was never offered; its text goes out with BAD."""


class Lie(Wrong):
    """The client used what we advertise and do not do: no fault of its own."""


@dataclass(eq=False)
class Command:
    """One line of the log. `name` in capitals, `UID FETCH` as one; `raw` with its literals, as it came."""

    connection: int
    user: str
    tag: str
    name: str
    args: list[Token]
    raw: bytes

    @property
    def text(self) -> str:
        """Without its tag, for assertions and their messages."""
        return self.raw.decode("utf-8", "replace").partition(" ")[2].rstrip("\r\n")


class Line:
    """Pieces of one command as they arrive: text and literals in turn."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    @property
    def literal(self) -> tuple[int, bool] | None:
        """(octets, with `+`) when the last piece announces a literal."""
        found = _LITERAL.search(self.pieces[-1])
        return (int(found[2]), bool(found[3])) if found else None

    @property
    def raw(self) -> bytes:
        text = self.pieces[0]
        for literal, rest in zip(self.pieces[1::2], self.pieces[2::2], strict=True):
            text += b"\r\n" + literal + rest
        return text

    def tokens(self) -> list[Token]:
        """The whole line, the tag too."""
        reader = _Reader(self.pieces)
        found = reader.sequence(b"")
        if reader.depth:
            raise Wrong("parentheses do not match")
        return found


class _Reader:
    def __init__(self, pieces: list[bytes]) -> None:
        self.text, self.rest, self.at, self.depth = pieces[0], pieces[1:], 0, 0

    def sequence(self, end: bytes) -> list[Token]:
        found: list[Token] = []
        spaced = True
        while True:
            here = self.text[self.at : self.at + 1]
            if here == end or not here:
                if here != end:
                    raise Wrong("a parenthesis is open")
                self.at += len(end)
                return found
            if here == b" ":
                if spaced:
                    raise Wrong("a space too many")
                spaced = True
                self.at += 1
                continue
            if not spaced and not (end and here == b"("):
                raise Wrong("a space is missing")
            spaced = False
            found.append(self.one(here))

    def one(self, here: bytes) -> Token:
        if here == b"(":
            self.at += 1
            return self.sequence(b")")
        if here == b'"':
            return self.quoted()
        literal = _LITERAL.match(self.text, self.at)
        if literal:
            octets, self.text, self.rest, self.at = self.rest[0], self.rest[1], self.rest[2:], 0
            return octets
        start = self.at
        while self.at < len(self.text):
            here = self.text[self.at : self.at + 1]
            if here == b"[":  # BODY[HEADER.FIELDS (A B)]<0.10>
                close = self.text.find(b"]", self.at)
                if close < 0:
                    raise Wrong("a bracket is open")
                self.at = close + 1
            elif here == b"]" or (found := _ATOM.match(self.text, self.at)) is None:
                if here == b"]":  # a flag may contain one
                    self.at += 1
                    continue
                break
            else:
                self.at = found.end()
        if self.at == start:
            raise Wrong(f"unexpected {here!r}")
        return self.text[start : self.at].decode("latin-1")

    def quoted(self) -> bytes:
        self.at += 1
        octets = bytearray()
        while True:
            here = self.text[self.at : self.at + 1]
            self.at += 1
            if not here:
                raise Wrong("a quoted string is open")
            if here == b'"':
                return bytes(octets)
            if here == b"\\":
                here = self.text[self.at : self.at + 1]
                self.at += 1
                if here not in (b'"', b"\\"):
                    raise Wrong("only quote and backslash are escaped")
            if here == b"\0":
                raise Wrong("NUL in a quoted string")
            octets += here


def string(token: Token) -> bytes:
    """An astring's octets."""
    if isinstance(token, list):
        raise Wrong("a string was expected")
    return token.encode("latin-1") if isinstance(token, str) else bytes(token)


def flags(token: Token) -> list[str]:
    """A flag list, or flags without parentheses (which STORE allows)."""
    items = token if isinstance(token, list) else [token]
    if not all(isinstance(item, str) for item in items):
        raise Wrong("flags are atoms")
    return [canonical(item) for item in items]


def canonical(flag: str) -> str:
    """System flags in their usual spelling; keywords as they are."""
    return flag[0] + flag[1:].capitalize() if flag.startswith("\\") else flag


def numbers(token: Token, known: Callable[[], tuple[int, ...]]) -> list[tuple[int, int]]:
    """A sequence set as (low, high) pairs; `known` gives what `*` is: its last, 0 for none."""
    if not isinstance(token, str) or not _SET.match(token):
        raise Wrong(f"no sequence set: {token!r}")

    def number(text: str) -> int:
        if text == "*":
            return known()[-1] if known() else 0
        if not 1 <= int(text) <= 4_294_967_295:
            raise Wrong("a number is out of range")
        return int(text)

    pairs = []
    for part in token.split(","):
        low, _, high = part.partition(":")
        ends = number(low), number(high or low)
        pairs.append((min(ends), max(ends)))
    return pairs


def date_time(text: str) -> int:
    """Seconds since 1970 of a date-time, or of a date (its midnight, UTC)."""
    found = _DATE.match(text)
    if not found or found[2] not in _MONTHS:
        raise Wrong(f"no date: {text!r}")
    clock = [int(part or 0) for part in found.group(4, 5, 6)]
    day = calendar.timegm((int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1]), *clock))
    east = (int(found[8] or 0) * 60 + int(found[9] or 0)) * 60
    return day - east if found[7] != "-" else day + east


def shown_date(seconds: int) -> str:
    when = time.gmtime(seconds)
    return f"{when.tm_mday:2d}-{_MONTHS[when.tm_mon - 1]}-{when.tm_year} {time.strftime('%H:%M:%S', when)} +0000"


def quoted(octets: bytes) -> bytes:
    """A quoted string, or a literal where it must be one."""
    if b"\r" in octets or b"\n" in octets or b"\0" in octets:
        return b"{%d}\r\n" % len(octets) + octets
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def nstring(octets: bytes | None) -> bytes:
    return b"NIL" if octets is None else quoted(octets)


def listed(words: Iterable[str]) -> str:
    return f"({' '.join(words)})"


def utf7(name: str) -> str:
    """Modified UTF-7 (RFC 3501 5.1.3) of a name."""

    def shifted(found: re.Match[str]) -> str:
        if found[0] == "&":
            return "&-"
        return "&" + base64.b64encode(found[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"

    return re.sub(r"&|[^\x20-\x7e]+", shifted, name)


def from_utf7(raw: str) -> str:
    """The name of modified UTF-7; what is none stays as it is."""

    def plain(found: re.Match[str]) -> str:
        if not found[1]:
            return "&"
        try:
            text = found[1].replace(",", "/")
            return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-16-be")
        except (binascii.Error, UnicodeDecodeError):
            return found[0]

    return re.sub(r"&([A-Za-z0-9+,]*)-", plain, raw)
