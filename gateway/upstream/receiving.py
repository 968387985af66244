"""Cutting a server's octets into responses (RFC 3501 2.2.2, 4.3; RFC 3516 literal8), without sockets.

`feed` takes octets in pieces of any size, `next` yields one event at a time and None when it needs more. A response is
a line with literals in it anywhere; a body that is asked for (`stream`) is given out piece by piece, never collected. A
literal's octets are never taken for responses. Time is linear in the octets whatever the pieces; nothing recurses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.wire.announcement import announcement
from gateway.wire.events import Frame
from gateway.wire.octets import Octets

from .endpoint import ImapLimits

_TOO_MUCH: Final = "The server says more than it may"  # one text, so that pieces make no difference
CHUNK: Final = 65_536
MAX_LITERALS: Final = 2_000  # of one response: the labels of a message, each as a literal
_DRAIN: Final = 16  # a body up to so many times too large is thrown away; beyond it the connection ends

# What stands behind these words is for people: `{3}` at its end announces nothing.
_WORDS: Final = re.compile(rb"(?:\+|[^ ]++ ++(?:OK|NO|BAD|BYE|PREAUTH))(?: |\Z)", re.IGNORECASE)
_FETCH: Final = re.compile(rb"\* ++[0-9]++ ++(?:UID)?FETCH ", re.IGNORECASE)
_TAIL: Final = 96  # octets before an announcement in which the item's name is looked for

WHOLE: Final = re.compile(rb"(?:[( ]BODY\[\](?:<0>)?|[( ]RFC822) *\Z", re.IGNORECASE)
"""The message's octets, whatever the server calls them."""
PART: Final = re.compile(rb"[( ](?:BODY|BINARY)\[[0-9.]*(?:HEADER|TEXT|MIME)?\](?:<0>)? *\Z", re.IGNORECASE)


class Unreadable(ValueError):
    """Octets beyond a limit, or that are no IMAP. The text is safe to show."""


@dataclass(frozen=True, slots=True)
class BodyStart:
    """A streamed literal begins. `head`: the response up to it; `too_big`: over `ImapLimits.message`."""

    head: Frame
    size: int
    too_big: bool


@dataclass(frozen=True, slots=True)
class BodyData:
    octets: bytes


@dataclass(frozen=True, slots=True)
class BodyEnd:
    """All octets of it came. The response goes on, and comes as a Frame whose literal there is empty."""


Event = Frame | BodyStart | BodyData | BodyEnd


class _State(Enum):
    LINE = "collecting a line"
    LITERAL = "collecting a literal"
    BODY = "giving out a body"


class ResponseReader(Octets):
    """The receiving half of one connection; Unreadable ends it."""

    __slots__ = (
        "_first", "_limits", "_literals", "_remaining", "_room", "_segments", "_state", "_text", "stream", "total"
    )  # fmt: skip

    def __init__(self, limits: ImapLimits) -> None:
        super().__init__()
        self._limits = limits
        self._segments: list[bytes] = []
        self._literals: list[bytes] = []
        self._text = 0  # octets of the segments
        self._room = limits.literal  # for the literals of this response
        self._remaining = 0
        self._state = _State.LINE
        self._first = True
        self.stream: re.Pattern[bytes] | None = None
        """Which items of a FETCH are given out in pieces; matched against what stands before the literal."""
        self.total: int | None = limits.greeting
        """Octets that may still come; None without limit."""

    def feed(self, octets: bytes | memoryview) -> None:
        self._buffer += octets

    def take_all(self) -> bytes:
        """What was fed and not read: it is of another layer (RFC 4978)."""
        return self._take(self.buffered)

    def next(self) -> Event | None:
        """The next event; None when more octets are needed. Unreadable."""
        while True:
            if self._state is _State.LINE:
                event = self._line()
                if event is not None or self._state is _State.LINE:
                    return event
            elif self._state is _State.LITERAL:
                if self.buffered < self._remaining:
                    return None
                self._literals.append(self._take(self._remaining))
                self._state = _State.LINE
            else:
                return self._body()

    def _line(self) -> Event | None:
        length, complete = self._find_line()
        if self._text + length > self._limits.line or (self.total is not None and length > self.total):
            raise Unreadable(_TOO_MUCH)
        if not complete:
            return None
        line = self._take_line(length)
        if self.total is not None:
            self.total -= length + 1
            if self.total < 0:
                raise Unreadable(_TOO_MUCH)
        if line[-1:] != b"}" or (self._first and _WORDS.match(line) is not None):
            if self._first:
                return Frame(line)
            self._segments.append(line)
            return self._ended()
        announced = announcement(line)
        self._segments.append(line)
        if announced is None:
            return self._ended()
        return self._announced(line, *announced)

    def _ended(self) -> Frame:
        frame = self._head()
        self._segments.clear()
        self._literals.clear()
        self._text = 0
        self._room = self._limits.literal
        self._first = True
        return frame

    def _head(self) -> Frame:
        return Frame(b"".join(self._segments), tuple(self._literals))

    def _announced(self, line: bytes, size: int, _sync: bool, _binary: bool, at: int) -> Event | None:
        self._segments.append(b"\n")
        self._text += len(line) + 1
        self._first = False
        if len(self._literals) >= MAX_LITERALS:
            raise Unreadable("A response has too many literals")
        if self._streams(line[max(0, at - _TAIL) : at]):
            return self._begin_body(size)
        if size > self._room:
            raise Unreadable("A literal is longer than any may be")
        if self.total is not None:
            self.total -= size
            if self.total < 0:
                raise Unreadable(_TOO_MUCH)
        self._room -= size
        self._remaining = size
        self._state = _State.LITERAL
        return None

    def _streams(self, before: bytes) -> bool:
        if self.stream is None or self.total is not None or self.stream.search(before) is None:
            return False
        return _FETCH.match(self._segments[0]) is not None

    def _begin_body(self, size: int) -> BodyStart:
        limit = self._limits.message
        if size > limit * _DRAIN:
            raise Unreadable("A message is longer than any may be")
        event = BodyStart(self._head(), size, size > limit)
        self._literals.append(b"")
        self._remaining = size
        self._state = _State.BODY
        return event

    def _body(self) -> Event | None:
        if not self._remaining:
            self._state = _State.LINE
            return BodyEnd()
        size = min(self._remaining, self.buffered, CHUNK)
        if not size:
            return None
        self._remaining -= size
        return BodyData(self._take(size))
