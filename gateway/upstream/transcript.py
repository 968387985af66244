"""The last lines of a connection, for people who look for what went wrong: no password, no token, no mail in it."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable
from typing import Final

from .scanning import text_of

MAX_LINE: Final = 300  # octets of a line that are kept
HEAD: Final = 24  # lines that stay for as long as the transcript does: what was agreed on at the beginning
_QUOTED: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_FETCH: Final = re.compile(rb"\* ++[0-9]++ ++(?:UID)?FETCH ", re.IGNORECASE)


class Transcript:
    """The first HEAD lines, greeting and login, and the last `size` ones. It may go through several connections.

    Thousands of connections in IDLE have one each: lines are kept as text, and compressed HEAD at a time.
    """

    __slots__ = ("_blocks", "_clock", "_count", "_open", "_rows", "_size")

    def __init__(self, size: int = 200, clock: Callable[[], float] = time.time) -> None:
        self._size = size
        self._clock = clock
        self._blocks: list[bytes] = []  # of HEAD lines each; the first one stays
        self._open = b""  # the lines that fill no block yet
        self._count = 0  # of all lines, also those that are gone
        self._rows = 0

    def lines(self) -> list[tuple[float, str]]:
        """(Unix seconds, `C: …` or `S: …` or `- …`), oldest first."""
        self._told_rows()
        lines = [line for block in self._blocks for line in _unpacked(zlib.decompress(block))] + _unpacked(self._open)
        head, rest = lines[:HEAD], lines[HEAD:]
        rest = rest[max(0, len(rest) - self._size) :]
        if (dropped := self._count - len(head) - len(rest)) > 0:
            head.append((rest[0][0], f"- {dropped} lines are left out"))
        return head + rest

    def keep(self, size: int) -> None:
        """From now on so many of the last lines: somebody wants to see them."""
        self._size = max(size, self._size)

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
        text = who + text_of(octets[:MAX_LINE]) + cut
        self._open += f"{self._clock()!r} {text}\n".encode("utf-8", "replace")
        self._count += 1
        if self._count % HEAD:
            return
        self._blocks.append(zlib.compress(self._open, 1))
        self._open = b""
        if len(self._blocks) > 1 and (len(self._blocks) - 2) * HEAD >= self._size:
            del self._blocks[1]


def _unpacked(octets: bytes) -> list[tuple[float, str]]:
    lines = [line.partition(" ") for line in octets.decode("utf-8").split("\n")[:-1]]
    return [(float(at), text) for at, _, text in lines]
