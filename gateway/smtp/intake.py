"""What came from the client and was not taken yet: lines of commands, pieces of a message. Without sockets."""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_DISCARD: Final = 1_048_576
"""Octets of an overlong line that are read to find its end."""


class LineTooLong(Exception):
    """Told once for a line, as soon as its limit is passed. What it has and what it gets up to its end is dropped."""


class EndlessLine(Exception):
    """A line that was too long has no end."""


class Intake:
    """Feeds on any chunking. A message's octets are handed on as they came; only lines are put together."""

    __slots__ = ("_buffer", "_dropped", "_dropping", "_octets", "_pieces", "line_octets")

    def __init__(self) -> None:
        self._buffer = bytearray()  # lines, and of a message what was read together with them
        self._pieces: deque[bytes] = deque()  # of a message, behind the buffer's octets
        self._octets = 0  # in the pieces
        self._dropping = False  # until a line end
        self._dropped = 0  # octets of the line that is being dropped
        self.line_octets = 0  # of all lines that were taken or dropped

    def __len__(self) -> int:
        return len(self._buffer) + self._octets

    def feed(self, octets: bytes, *, whole: bool = False) -> None:
        """`whole`: they are a message's, and copied no more than need be."""
        if self._dropping:
            self._buffer += octets
            self._drop()
        elif whole:
            self._pieces.append(octets)
            self._octets += len(octets)
        else:
            self._buffer += octets

    @property
    def has_line(self) -> bool:
        return b"\n" in self._buffer

    def line(self, limit: int, auth_limit: int = 0) -> bytes | None:
        """The next line with its end; None until more octets come. LineTooLong, EndlessLine.

        `auth_limit` is that of a line that begins with AUTH, for it may hold a token.
        """
        buffer = self._buffer
        if self._dropping:
            if self._dropped > MAX_DISCARD:
                raise EndlessLine
            return None
        end = buffer.find(b"\n") + 1
        length = end or len(buffer)
        if length > limit and (length > auth_limit or buffer[:5].upper() != b"AUTH "):
            self._dropping = True
            self._dropped = 0
            self._drop()
            raise LineTooLong
        if not end:
            return None
        found = bytes(buffer[:end])
        del buffer[:end]
        self.line_octets += end
        return found

    def piece(self, most: int | None = None) -> bytes:
        """The next octets of a message, whatever they are, `most` of them; empty when there are none."""
        if self._buffer:
            with memoryview(self._buffer) as octets:
                found = bytes(octets[:most])
            del self._buffer[: len(found)]
        elif self._pieces:
            found = self._pieces.popleft()
            if most is not None and len(found) > most:
                self._pieces.appendleft(found[most:])
                found = found[:most]
            self._octets -= len(found)
        else:
            found = b""
        return found

    def unread(self, octets: bytes) -> None:
        """Gives back what was taken beyond the end of a message: all that is left are commands."""
        self._buffer += b"".join((octets, *self._pieces))
        self._pieces.clear()
        self._octets = 0

    def clear(self) -> None:
        """Forgets everything: before TLS (RFC 3207 5)."""
        self._buffer.clear()
        self._pieces.clear()
        self._octets = 0
        self._dropping = False

    def _drop(self) -> None:
        end = self._buffer.find(b"\n") + 1
        self._dropping = not end
        gone = end or len(self._buffer)
        self._dropped += gone
        self.line_octets += gone
        del self._buffer[:gone]
