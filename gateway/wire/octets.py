"""Octets that have come and are not consumed yet: lines are found, and looked for once only however they are cut."""

from __future__ import annotations

from typing import Final

_COMPACT: Final = 65_536


class Octets:
    """The buffer of a `framing.Reader`, which is one: each line goes through here."""

    __slots__ = ("_buffer", "_position", "_scanned", "_spent")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0  # start of what was not consumed
        self._scanned = 0  # no LF stands before
        self._spent = 0  # octets consumed under the present limits

    @property
    def buffered(self) -> int:
        """Octets that were fed and not consumed."""
        return len(self._buffer) - self._position

    def _clear(self) -> None:
        self._buffer.clear()
        self._position = self._scanned = 0

    def _find_line(self) -> tuple[int, bool]:
        """Octets before the next LF, and whether there is one; else all that wait."""
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            return self._scanned - self._position, False
        self._scanned = end
        return end - self._position, True

    def _ends_with_cr(self, length: int) -> bool:
        return self._buffer[self._position + length - 1] == 0x0D

    def _take_line(self, length: int) -> bytes:
        line = bytes(self._buffer[self._position : self._position + length])
        self._drop(length + 1)
        return line[:-1] if line.endswith(b"\r") else line

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[self._position : self._position + size])
        self._drop(size)
        return data

    def _drop(self, size: int) -> None:
        self._spent += size
        self._position += size
        if self._position == len(self._buffer):
            self._clear()
            return
        if self._position >= _COMPACT:
            del self._buffer[: self._position]
            self._scanned = max(0, self._scanned - self._position)
            self._position = 0
        if self._scanned < self._position:
            self._scanned = self._position
