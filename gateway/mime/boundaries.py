"""The boundaries of open multiparts, and the lines in which they stand (RFC 2046 5.1.1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

LONGEST_LINE: Final = 2048  # "--", a boundary of at most 998 octets, "--", blanks, line end


@dataclass(frozen=True, slots=True)
class BoundaryLine:
    start: int  # index of the "--" in the buffer
    end: int  # index behind the line end
    level: int  # place of the multipart on the stack
    closes: bool


class Boundaries:
    """Those that count, each with the places of its multiparts on the stack; false without any."""

    __slots__ = ("_levels", "needle")

    def __init__(self) -> None:
        self._levels: dict[bytes, list[int]] = {}  # innermost last
        self.needle = b""
        """"\\n--" and the common beginning of all of them; empty without any."""

    def __bool__(self) -> bool:
        return bool(self._levels)

    def add(self, boundary: bytes, level: int) -> None:
        self._levels.setdefault(boundary, []).append(level)
        self._set_needle()

    def forget(self, boundary: bytes | None, level: int) -> None:
        if boundary in self._levels:
            levels = self._levels[boundary]
            levels.remove(level)
            if not levels:
                del self._levels[boundary]
            self._set_needle()

    def clear(self) -> None:
        """None counts any more."""
        self._levels.clear()
        self.needle = b""

    def _set_needle(self) -> None:
        self.needle = b"\n--" + _common_prefix(self._levels) if self._levels else b""

    def find(self, buffer: bytes, low: int, final: bool) -> tuple[BoundaryLine | None, int]:
        """The first boundary line from the line end at index `low` on; or the index to wait at, or -1."""
        needle = self.needle
        if buffer.find(b"-", low) < 0:  # one octet is looked for ten times as fast, and base64 has no hyphen
            return None, -1
        at = buffer.find(needle, low)
        while at >= 0:
            line, waits = self.line_at(buffer, at, final)
            if line is not None:
                return line, -1
            if waits:
                return None, at
            at = buffer.find(needle, at + 1)
        return None, -1

    def line_at(self, buffer: bytes, at: int, final: bool) -> tuple[BoundaryLine | None, bool]:
        """The boundary line behind the line end at index `at`, if it is one; True if more octets must tell.

        RFC 2046 5.1.1: "--", the boundary, "--" at the last one, then nothing but blanks. Of several open
        multiparts that a line fits, the innermost gets it.
        """
        levels = self._levels
        end = buffer.find(b"\n", at + 1, at + 1 + LONGEST_LINE)
        if end < 0:
            if len(buffer) - at - 1 >= LONGEST_LINE:
                return None, False
            if not final:
                return None, True
            end = len(buffer)
        word = buffer[at + 3 : end].rstrip(b" \t\r")
        level = levels[word][-1] if word in levels else -1
        closes = False
        if word.endswith(b"--") and word[:-2] in levels and levels[word[:-2]][-1] > level:
            level = levels[word[:-2]][-1]
            closes = True
        if level < 0:
            return None, False
        return BoundaryLine(at + 1, min(end + 1, len(buffer)), level, closes), False


def _common_prefix(words: Collection[bytes]) -> bytes:
    low, high = min(words), max(words)
    for place, sign in enumerate(low):
        if high[place] != sign:  # low < high, so high is no shorter than what they have in common
            return low[:place]
    return low
