"""A message -> octets of a DATA phase: CRLF line ends, no NUL, dots stuffed (RFC 5321 4.5.2), in any chunking."""

from __future__ import annotations

import re
from typing import Final

_BARE: Final = re.compile(rb"\r\n|\r|\n")
# Searches whose pattern begins with one plain octet: five times as quick as counting or replacing pairs.
_LONE_CR: Final = re.compile(rb"\r[^\n]")
_LINE_WITH_DOT: Final = re.compile(rb"\r\n\.")


class DotStuffer:
    """What goes out never holds a bare CR or LF: the next server might take LF.LF for the end (smuggling).

    APPEND and upstream messages never passed submission's check, so that this is the place where it is held.
    """

    __slots__ = ("_cr", "_line_start")

    def __init__(self) -> None:
        self._line_start = True
        self._cr = False  # the last chunk ended in CR: the next octet decides what it is

    def feed(self, chunk: bytes) -> bytes:
        if self._cr:
            chunk = b"\r" + chunk
            self._cr = False
        if b"\0" in chunk:
            chunk = chunk.replace(b"\0", b"")
        if chunk.endswith(b"\r"):
            chunk = chunk[:-1]
            self._cr = True
        if not chunk:
            return b""
        # Where each CR is followed by LF, and they are as many, no LF stands alone. (CR CR has left one at the end.)
        if chunk.count(b"\n") != chunk.count(b"\r") or chunk.endswith(b"\r") or _LONE_CR.search(chunk):
            chunk = _BARE.sub(b"\r\n", chunk)
        out = chunk.replace(b"\r\n.", b"\r\n..") if _LINE_WITH_DOT.search(chunk) else chunk
        if self._line_start and out.startswith(b"."):
            out = b"." + out
        self._line_start = chunk.endswith(b"\r\n")
        return out

    def finish(self) -> bytes:
        """The end of the message: its last line is closed if it is open, then the lone dot."""
        end = b"" if self._line_start and not self._cr else b"\r\n"
        return end + b".\r\n"
