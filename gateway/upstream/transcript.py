"""The last lines of a connection, for people who look for what went wrong: no password, no token, no mail in it."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from .scanning import text_of

MAX_LINE: Final = 300  # octets of a line that are kept
_QUOTED: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_FETCH: Final = re.compile(rb"\* ++[0-9]++ ++(?:UID)?FETCH ", re.IGNORECASE)


class Transcript:
    """A ring of `size` lines, made at the first. One may go through several connections of an account."""

    __slots__ = ("_clock", "_lines", "_rows", "_size")

    def __init__(self, size: int = 200, clock: Callable[[], float] = time.time) -> None:
        self._size = size
        self._clock = clock
        self._lines: deque[tuple[float, str]] | None = None
        self._rows = 0

    def lines(self) -> list[tuple[float, str]]:
        """(Unix seconds, `C: …` or `S: …` or `- …`), oldest first."""
        self._told_rows()
        return list(self._lines or ())

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
        if self._lines is None:
            self._lines = deque(maxlen=self._size)
        cut = " ..." if len(octets) > MAX_LINE else ""
        self._lines.append((self._clock(), who + text_of(octets[:MAX_LINE]) + cut))
