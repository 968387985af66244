"""Cutting a client's octets into commands, literals and lines (RFC 3501 2.2.1, 4.3; RFC 7888; RFC 3516 literal8).

`feed` takes octets in pieces of any size, `next` yields one event at a time, so that whoever pulls can change the rules
in between: limits after login, a raw line after AUTHENTICATE or IDLE, nothing at all before STARTTLS. Input that is
not pulled stays in the buffer (`buffered`): whoever feeds stops reading from the peer while too much waits.

The rule that keeps a connection safe: a literal's octets are never taken for commands. One that is refused before the
peer may send it (synchronising) ends its command; one that comes anyway (`{n+}`) is drained with the rest of its
command, whatever the command, or the connection ends. Time is linear in the octets whatever the pieces: each octet is
searched once for a line end, and the buffer's front is cut off in large pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final

from .announcement import announcement
from .events import (
    AppendEnd,
    Event,
    Fatal,
    Frame,
    Limits,
    Line,
    LiteralData,
    LiteralEnd,
    LiteralStart,
    NeedContinuation,
    Rejected,
    tag_of,
)
from .octets import Octets

_CUT_ANNOUNCEMENT: Final = re.compile(rb"[0-9]*\+\}\Z")
_NAME: Final = re.compile(rb"[^ ]+ +([A-Za-z]+)")
_LONG: Final = re.compile(rb"[^ ]+ (?:ID|AUTHENTICATE) ", re.IGNORECASE)
_APPEND: Final = re.compile(rb"[^ ]+ +(?:APPEND|(?:UID +)?REPLACE +[^ ]+) +", re.IGNORECASE)
_TAIL: Final = 64  # octets of a skipped line that are kept to see an announcement at its end
_TOO_MUCH: Final = "Too much input"  # one text, so that the pieces in which octets come make no difference


class _Again(Enum):
    AGAIN = "the state has moved, look again"


_AGAIN: Final = _Again.AGAIN


class _State(Enum):
    LINE = "collecting a line of a command"
    RAW = "collecting a raw line"
    LITERAL = "collecting a literal"
    STREAM = "giving out a message literal"
    SKIP = "throwing a line away"
    DRAIN = "throwing a literal away"
    DEAD = "after Fatal"


class Reader(Octets):
    """The receiving half of one connection. `next()` returns None when it needs more octets."""

    __slots__ = (
        "_append",
        "_awaiting",
        "_drained",
        "_index",
        "_kept",
        "_limits",
        "_literals",
        "_long",
        "_refused",
        "_remaining",
        "_segments",
        "_state",
        "_tag",
        "_tail",
    )

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self._start_command()

    def _start_command(self) -> None:
        self._state = _State.LINE
        self._segments: list[bytes] = []
        self._literals: list[bytes] = []
        self._kept = 0
        self._drained = 0
        self._remaining = 0  # octets of the current literal
        self._index = 0  # message literals so far
        self._append = False
        self._long = False
        self._awaiting = False  # a synchronising literal was announced and nobody has gone on yet
        self._refused: str | None = None  # why the rest is skipped; "" when whoever pulls has answered already
        self._tag: bytes | None = None
        self._tail = b""

    # What whoever pulls may call between two events.

    def feed(self, data: bytes) -> None:
        """Add octets from the peer. After `Fatal` they are dropped."""
        if self._state is not _State.DEAD:
            self._buffer += data

    @property
    def in_command(self) -> bool:
        """Part of a command has been consumed and its end has not."""
        return self._state not in {_State.LINE, _State.RAW} or bool(self._segments)

    def set_limits(self, limits: Limits) -> None:
        """Other limits from the next command on; `session` counts from zero. Only between commands."""
        self._limits = limits
        self._spent = 0

    def expect_line(self) -> None:
        """The next line is no command: a SASL response or IDLE's DONE. Only between commands; for one line."""
        self._start_command()
        self._state = _State.RAW

    def discard(self) -> int:
        """Forget all octets that were fed, and any unfinished command (RFC 3501 6.2.1: STARTTLS). Returns how many."""
        dropped = self.buffered
        self._clear()
        if self._state is not _State.DEAD:
            self._start_command()
        return dropped

    def refuse(self) -> None:
        """Give up the command that the last event belongs to: the caller has answered it, no event will.

        After `NeedContinuation` or a synchronising `LiteralStart` the command is over: the peer sends no octets of it.
        After a non-synchronising `LiteralStart`, or in the middle of any message literal, what is left of the
        command is drained. After a whole command it does nothing.
        """
        if self._awaiting:
            self._start_command()
        elif self._index and self._refused is None:
            self._refused = ""
            self._state = _State.DRAIN
            self._drained += self._remaining

    def __iter__(self) -> Iterator[Event]:
        while (event := self.next()) is not None:
            yield event

    def next(self) -> Event | None:
        """The next event, or None when more octets are needed."""
        self._awaiting = False
        while True:
            state = self._state
            if state is _State.LINE:
                event = self._on_line()
            elif state is _State.LITERAL:
                event = self._on_literal()
            elif state is _State.STREAM:
                event = self._on_stream()
            elif state is _State.DRAIN:
                event = self._on_drain()
            elif state is _State.SKIP:
                event = self._on_skip()
            elif state is _State.RAW:
                event = self._on_raw()
            else:
                return None
            if event is not _AGAIN:
                return event

    # One step in each state: an event, None for want of octets, or _AGAIN when the state has moved.

    def _on_line(self) -> Event | _Again | None:
        length, complete = self._find_line()
        limits = self._limits
        if complete and length <= limits.line and limits.session is None:
            # Nearly every command takes this way: one line within all limits, no literal.
            line = self._take_line(length)
            return self._command_line(line) if line.endswith(b"}") or not self._first else Frame(line)
        if self._over_session(length + complete):
            return self._fatal(_TOO_MUCH)
        limit = self._line_limit(length)
        if length > limit and not (length == limit + 1 and self._ends_with_cr(length)):
            # While the line is incomplete, one octet more than the limit may still be the CR of its end.
            if not complete and length == limit + 1:
                return None
            self._begin_skip("Line too long")
            return _AGAIN
        return self._command_line(self._take_line(length)) if complete else None

    def _command_line(self, line: bytes) -> Event | _Again:
        message_from = 0
        if self._first:
            self._tag = tag_of(line)
            self._long = _LONG.match(line) is not None
            if (append := _APPEND.match(line)) is not None:
                self._append = True
                message_from = append.end() + 1
        self._kept += len(line)
        if self._kept > self._limits.command:
            self._refused = "Command too long"
            self._drained += len(line)
            return self._end_skipped_line(line[-_TAIL:])
        literal = announcement(line)
        if literal is None:
            return self._end_command(line)
        size, synchronising, binary, start = literal
        if self._over_session(size):
            return self._fatal(_TOO_MUCH)
        self._segments.append(line + b"\n")
        if self._append and start >= message_from:
            return self._message_literal(size, synchronising, binary)
        return self._inner_literal(size, synchronising)

    def _end_command(self, line: bytes) -> Event:
        if self._index:
            self._start_command()
            return AppendEnd(line)
        self._segments.append(line)
        frame = self._frame()
        self._start_command()
        return frame

    def _inner_literal(self, size: int, synchronising: bool) -> Event | _Again:
        limits = self._limits
        too_much = None
        if size > limits.literal:
            too_much = "Literal too long"
        elif self._kept + size > limits.command:
            too_much = "Command too long"
        elif len(self._literals) >= limits.literals:
            too_much = "Too many literals"
        if too_much is not None:
            return self._refuse_literal(too_much, size, synchronising)
        self._kept += size
        self._remaining = size
        self._state = _State.LITERAL
        if not synchronising:
            return _AGAIN
        self._awaiting = True
        name = _NAME.match(self._segments[0])
        return NeedContinuation(self._tag, name[1].upper() if name else b"")

    def _message_literal(self, size: int, synchronising: bool, binary: bool) -> Event:
        if not synchronising and size > max(self._limits.drain, 2 * self._limits.append):
            return self._fatal("Message too big")
        event = LiteralStart(
            self._frame(), size, synchronising, binary, size > self._limits.append, self._index
        )
        self._segments.clear()
        self._literals.clear()
        self._index += 1
        self._remaining = size
        self._state = _State.STREAM
        self._awaiting = synchronising
        return event

    def _on_literal(self) -> _Again | None:
        if self.buffered < self._remaining:
            return None
        self._literals.append(self._take(self._remaining))
        self._state = _State.LINE
        return _AGAIN

    def _on_stream(self) -> Event | None:
        if not self._remaining:
            self._state = _State.LINE
            return LiteralEnd()
        size = min(self._remaining, self.buffered)
        if not size:
            return None
        self._remaining -= size
        return LiteralData(self._take(size))

    def _on_raw(self) -> Event | None:
        length, complete = self._find_line()
        limit = self._limits.long_line
        if self._over_session(length + complete) or length > limit + 1:
            return self._fatal(_TOO_MUCH)
        if not complete:
            return None
        line = self._take_line(length)
        if len(line) > limit:
            return self._fatal(_TOO_MUCH)
        self._start_command()
        return Line(line)

    # Throwing a refused command away.

    @property
    def _drain_limit(self) -> int:
        limits = self._limits
        return limits.drain + 2 * limits.append if self._append else limits.drain

    def _refuse_literal(self, reason: str, size: int, synchronising: bool) -> Event | _Again:
        self._refused = reason
        if synchronising:
            return self._end_refused()
        return self._begin_drain(size)

    def _begin_skip(self, reason: str) -> None:
        self._refused = reason
        if self._first:
            prefix = bytes(self._buffer[self._position : self._position + self._limits.line])
            self._tag = _tag_of_prefix(prefix)
        self._tail = b""
        self._state = _State.SKIP

    def _begin_drain(self, size: int) -> Event | _Again:
        self._drained += size
        if self._drained > self._drain_limit:
            return self._fatal(_TOO_MUCH)
        if self._over_session(size):
            return self._fatal(_TOO_MUCH)
        self._remaining = size
        self._state = _State.DRAIN
        return _AGAIN

    def _on_drain(self) -> Event | _Again | None:
        if self._drained > self._drain_limit:
            return self._fatal(_TOO_MUCH)
        if self._remaining:
            size = min(self._remaining, self.buffered)
            if not size:
                return None
            self._remaining -= size
            self._drop(size)
            return _AGAIN
        self._tail = b""
        self._state = _State.SKIP
        return _AGAIN

    def _on_skip(self) -> Event | _Again | None:
        length, complete = self._find_line()
        size = length + complete
        if self._over_session(size):
            return self._fatal(_TOO_MUCH)
        self._drained += size
        if self._drained > self._drain_limit:
            return self._fatal(_TOO_MUCH)
        from_ = max(self._position, self._position + length - _TAIL)
        self._tail = (self._tail + bytes(self._buffer[from_ : self._position + length]))[-_TAIL:]
        self._drop(size)
        if not complete:
            return None
        return self._end_skipped_line(self._tail.removesuffix(b"\r"))

    def _end_skipped_line(self, line: bytes) -> Event | _Again:
        """A line that is not kept has ended; `line` is all of it or its last octets."""
        if self._drained > self._drain_limit:
            return self._fatal(_TOO_MUCH)
        literal = announcement(line)
        if literal is None:
            if len(line) >= _TAIL - 1 and _CUT_ANNOUNCEMENT.match(line):
                # Only digits are left of it: some `{000…5+}`, whose octets would follow.
                return self._fatal(_TOO_MUCH)
            return self._end_refused()
        size, synchronising, _, _ = literal
        return self._end_refused() if synchronising else self._begin_drain(size)

    def _end_refused(self) -> Event | _Again:
        tag, reason = self._tag, self._refused
        self._start_command()
        return Rejected(tag, reason) if reason else _AGAIN

    def _fatal(self, text: str) -> Fatal:
        self._clear()
        self._start_command()
        self._state = _State.DEAD
        return Fatal(text)

    @property
    def _first(self) -> bool:
        """No line of this command has been taken yet."""
        return not self._segments and not self._index

    def _frame(self) -> Frame:
        return Frame(b"".join(self._segments), tuple(self._literals))

    def _line_limit(self, length: int) -> int:
        limits = self._limits
        if self._long:
            return limits.long_line
        if length > limits.line and self._first:
            start = self._position
            if _LONG.match(self._buffer, start, start + limits.line) is not None:
                return limits.long_line
        return limits.line

    def _over_session(self, size: int) -> bool:
        session = self._limits.session
        return session is not None and self._spent + size > session


def _tag_of_prefix(prefix: bytes) -> bytes | None:
    """The tag, if it ends within the first octets of a line that is too long to keep."""
    return tag_of(prefix) if b" " in prefix else None
