"""The last lines of a connection, for people who look for what went wrong: no password, no token, no mail in it."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from .scanning import text_of

MAX_LINE: Final = 300  # octets of a line that are kept
HEAD: Final = 24  # lines that stay for as long as the transcript does: what was agreed on at the beginning
_QUOTED: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_FETCH: Final = re.compile(rb"\* ++[0-9]++ ++(?:UID)?FETCH ", re.IGNORECASE)


class Transcript:
    """The first HEAD lines, greeting and login, and a ring of the last `size`, made at the first.

    One may go through several connections of an account.
    """

    __slots__ = ("_clock", "_dropped", "_head", "_lines", "_rows", "_size")

    def __init__(self, size: int = 200, clock: Callable[[], float] = time.time) -> None:
        self._size = size
        self._clock = clock
        self._lines: deque[tuple[float, str]] | None = None
        self._head: list[tuple[float, str]] = []
        self._dropped = 0
        self._rows = 0

    def lines(self) -> list[tuple[float, str]]:
        """(Unix seconds, `C: …` or `S: …` or `- …`), oldest first."""
        self._told_rows()
        lines = list(self._lines or ())
        if self._dropped:
            lines.insert(0, (lines[0][0], f"- {self._dropped} lines are left out"))
        return self._head + lines

    def keep(self, size: int) -> None:
        """From now on so many of the last lines: somebody wants to see them."""
        if size > self._size:
            self._size = size
            if self._lines is not None:
                self._lines = deque(self._lines, maxlen=size)

    def sent(self, octets: bytes) -> None:
        """A command, whose secrets the caller has taken out."""
        self._add("C: ", octets)

    def heard(self, octets: bytes) -> None:
        """A response without its literals. Of many rows of a FETCH the first is shown and the others are counted."""
        if octets[:1] == b"+":
            octets = b"+ ..."  # a challenge may hold what was said to it
        elif _FETCH.match(octets) is not None:
            self._rows += 1
            if self._rows > 1:
                return
            octets = _QUOTED.sub(b'"..."', octets[: 4 * MAX_LINE])
            if octets.count(b'"') % 2:
                octets = octets[: octets.rindex(b'"')]
            self._put("S: ", octets)
            return
        self._add("S: ", octets)

    def note(self, text: str) -> None:
        """What is no line: a connection made, lost, encrypted."""
        self._add("- ", text.encode("utf-8", "replace"))

    def _add(self, who: str, octets: bytes) -> None:
        self._told_rows()
        self._put(who, octets)

    def _told_rows(self) -> None:
        if self._rows > 1:
            rows, self._rows = self._rows - 1, 0
            self._put("- ", b"%d more FETCH responses" % rows)
        self._rows = 0

    def _put(self, who: str, octets: bytes) -> None:
        cut = " ..." if len(octets) > MAX_LINE else ""
        line = (self._clock(), who + text_of(octets[:MAX_LINE]) + cut)
        if len(self._head) < HEAD:
            self._head.append(line)
            return
        if self._lines is None:
            self._lines = deque(maxlen=self._size)
        self._dropped += len(self._lines) == self._size
        self._lines.append(line)
