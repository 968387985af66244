"""RFC 5322 address lists to the address structures of ENVELOPE (RFC 3501 7.4.2), whatever they look like.

Nothing raises and nothing valid is lost for a neighbour that is not: what has no domain gets an empty
host (a host of None would mean a group), what is only a name keeps its name. Every step consumes
input, so time is linear in the octets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.model.envelope import Address

from .header import unfold
from .params import unquote

# The two forms that nearly all mail has, taken whole: `name <local@host>` and `local@host`, then a comma or the end.
# What they match they read exactly as the tokens below would (a test compares), only faster.
_ATEXT: Final = rb"A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-"
_FAST: Final = re.compile(
    rb'[ \t]*+(?:(?:"([^"\\]*+)"[ \t]*+|([' + _ATEXT + rb". ]*+))<)?([" + _ATEXT + rb".]++)@([" + _ATEXT
    + rb".]++)(>?)[ \t]*+(?:,|\Z)"
)  # fmt: skip
# An encoded word is one token even with a bare comma or `@` in it: RFC 2047 5 (3) forbids that, senders do it.
_PLAIN_TOKENS: Final = (
    rb"(?P<ws>[ \t\r\n]++)"
    rb'|(?P<word>=\?[^?\s]{1,75}\?[bBqQ]\?[^?\s"<>]*+\?=|[^\s"(),:;<>@\[\].]++)'
    rb"|(?P<literal>\[[^\[\]\r\n]*+\])"
    rb"|(?P<other>.)"
)
_TOKEN: Final = re.compile(rb'(?P<quoted>"(?:[^"\\]|\\.)*+")|' + _PLAIN_TOKENS, re.DOTALL)
_TOKEN_WITHOUT_QUOTES: Final = re.compile(_PLAIN_TOKENS, re.DOTALL)
_PAREN: Final = re.compile(rb"\\.|[()]", re.DOTALL)
_GROUP_END: Final = Address(None, None, None, None)


class _Word(NamedTuple):
    text: bytes
    spaced: bool  # blanks or a comment stood before it
    mark: bool  # one of . @ : and the like, which holds words together


def parse_addresses(value: bytes) -> tuple[Address, ...]:
    """All addresses of a field's value (folded or not), groups as their start and end markers, in order."""
    text = unfold(value)
    found: list[Address] = []
    at = 0
    end = len(text)
    while at < end:
        match = _FAST.match(text, at)
        if match is None:
            break
        quoted, bare, local, host, close = match.groups()
        if quoted is not None:
            name = quoted
        elif bare is not None:
            name = bare.strip()
        else:
            name = b""
        if bool(close) != (quoted is not None or bare is not None) or b"  " in name:
            break
        if b"=?" in host or b"=?" in local:  # an encoded word that goes on behind the comma, perhaps
            break
        found.append(Address(name or None, None, local, host))
        at = match.end()
    if at < end:
        reader = _Reader(text, at, found)
        reader.read()
    return tuple(found)


@dataclass(slots=True)
class _Reader:
    """One pass over the tokens; `flush` turns what was collected since the last separator into addresses."""

    text: bytes
    at: int
    found: list[Address]
    words: list[_Word] = field(default_factory=list)
    angle: list[_Word] | None = None
    in_angle: bool = False
    in_route: bool = False
    route: bytes | None = None
    comment: bytes | None = None
    in_group: bool = False
    spaced: bool = False
    at_sign: bool = False  # an `@` stands among `words`
    parens: bool = True  # False once a comment was found open to the end: no later one can close either
    quotes: bool = True  # the same of quoted strings; without the two, hostile input costs quadratic time

    def read(self) -> None:
        text = self.text
        tokens = _TOKEN
        match = tokens.match(text, self.at)
        while match is not None:
            self.at = match.end()
            kind = match.lastgroup
            token = match.group()
            if kind == "ws":
                self.spaced = True
            elif kind == "word" or kind == "literal":
                self._add(token, False)
            elif kind == "quoted":
                self._add(unquote(token[1:-1]), False)
            else:
                self._special(token)
                if not self.quotes:
                    tokens = _TOKEN_WITHOUT_QUOTES
            match = tokens.match(text, self.at)
        self._flush()
        if self.in_group:
            self.found.append(_GROUP_END)

    def _add(self, text: bytes, mark: bool) -> None:
        target = self.angle if self.in_angle and self.angle is not None else self.words
        target.append(_Word(text, self.spaced, mark))
        self.spaced = False

    def _special(self, token: bytes) -> None:
        if token == b",":
            if not self.in_route:
                self._flush()
            else:
                self._add(token, True)
        elif token == b"<":
            self._open_angle()
        elif token == b">":
            self.in_angle = self.in_route = False
            self.spaced = True
        elif token == b"(":
            self._comment()
        elif token == b";":
            self._flush()
            if self.in_group:
                self.found.append(_GROUP_END)
                self.in_group = False
        elif token == b":":
            self._colon()
        elif token == b'"':
            self.spaced = True  # a quote that is never closed: what follows is read as if it were not there
            self.quotes = False
        elif token == b"@":
            if self.in_angle and not self.angle:
                self.in_route = True  # RFC 5322 4.4: obs-route = "@" domain *("," "@" domain) ":"
            self.at_sign = self.at_sign or not self.in_angle
            self._add(token, True)
        else:
            self._add(token, token == b".")

    def _open_angle(self) -> None:
        if self.angle is not None:
            self._flush()  # `<a@b> <c@d>`, or a bracket that was never closed: two addresses
        self.angle = []
        self.in_angle = True
        self.spaced = False

    def _colon(self) -> None:
        if self.in_route:
            self.route = _tight(self.angle or [])
            self.angle = []
            self.in_route = False
        elif self.in_angle or self.in_group or self.angle is not None or self.at_sign:
            self._add(b":", True)
        else:
            self.found.append(Address(None, None, _phrase(self.words), None))
            self.in_group = True
            self._reset()

    def _comment(self) -> None:
        """At `(`: read to its partner. Without one the sign is dropped and its text read as usual."""
        self.spaced = True
        if not self.parens:
            return
        depth = 1
        for match in _PAREN.finditer(self.text, self.at):
            sign = match.group()
            depth += (sign == b"(") - (sign == b")")
            if depth == 0:
                self.comment = b" ".join(unquote(self.text[self.at : match.start()]).split())
                self.at = match.end()
                return
        self.parens = False

    def _flush(self) -> None:
        if self.angle is not None:
            if self.in_route:  # `<@a,@b` without a colon: no route, the last `@` counts
                self.angle = [word for word in self.angle if word.text != b","]
            local, host = _split(self.angle)
            name = _phrase(self.words) or self.comment
            self.found.append(Address(name or None, self.route, local, host))
        elif self.words:
            self._bare()
        self._reset()

    def _reset(self) -> None:
        self.words = []
        self.angle = None
        self.in_angle = self.in_route = self.at_sign = self.spaced = False
        self.route = self.comment = None

    def _bare(self) -> None:
        """Words without angle brackets: `local@host`, also several with the comma missing, or only a name."""
        chunks = _chunks(self.words)
        addresses = [any(word.text == b"@" and word.mark for word in chunk) for chunk in chunks]
        comment = self.comment or None
        if True not in addresses:
            if len(chunks) == 1:
                self.found.append(Address(comment, None, _tight(self.words), b""))
            else:
                self.found.append(Address(_phrase(self.words) or None, None, b"", b""))
            return
        before: list[_Word] = []
        pending: tuple[list[_Word], bytes, bytes] | None = None
        for chunk, is_address in zip(chunks, addresses, strict=True):
            if not is_address:
                before += chunk
                continue
            if pending is not None:
                self.found.append(Address(_phrase(pending[0]) or None, None, pending[1], pending[2]))
            pending = (before, *_split(chunk))
            before = []
        if pending is not None:
            name = _phrase(pending[0]) or comment or _phrase(before)
            self.found.append(Address(name or None, None, pending[1], pending[2]))


def _chunks(words: list[_Word]) -> list[list[_Word]]:
    """Words that belong together: no blank between them, or a mark on either side (`a . b @ c`)."""
    chunks: list[list[_Word]] = []
    glue = False
    for word in words:
        if chunks and (glue or word.mark or not word.spaced):
            chunks[-1].append(word)
        else:
            chunks.append([word])
        glue = word.mark
    return chunks


def _split(words: list[_Word]) -> tuple[bytes, bytes]:
    """Local part and host at the last `@`; a missing one is empty, never None."""
    for place in range(len(words) - 1, -1, -1):
        if words[place].mark and words[place].text == b"@":
            return _tight(words[:place]), _tight(words[place + 1 :])
    return _tight(words), b""


def _tight(words: list[_Word]) -> bytes:
    """Blanks only between two words, none beside a mark (obs-local-part, obs-domain)."""
    pieces: list[bytes] = []
    glue = True
    for word in words:
        if word.spaced and not glue and not word.mark:
            pieces.append(b" ")
        pieces.append(word.text)
        glue = word.mark
    return b"".join(pieces)


def _phrase(words: list[_Word]) -> bytes:
    """A display name as a person would write it: one blank where there were any."""
    pieces: list[bytes] = []
    for word in words:
        if word.spaced and pieces:
            pieces.append(b" ")
        pieces.append(word.text)
    return b"".join(pieces)
