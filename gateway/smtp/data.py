"""The DATA phase without sockets: its end, dot-stuffing and smuggling (RFC 5321 4.5.2), and what is too slow."""

from __future__ import annotations

import io
from typing import Final

TERMINATOR: Final = b"\r\n.\r\n"
_DOT_LINE: Final = b"\r\n."
_PREFIXES: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")  # longest first: what a chunk may end with and mean more
_ALLOWED: Final = (None, "\r\n")  # kinds of line end


class DataDecoder:
    """Feeds on any chunking of the octets after 354 and yields those of the message.

    The message ends at CRLF.CRLF and nowhere else. A bare CR, a bare LF or a NUL makes the message `violated`: others
    on its way may take LF.LF or CR.CR for the end, and what follows for commands of ours ("SMTP smuggling"). Such a
    message, or one over `max_size` octets, is read to its real end and yields nothing more.
    """

    __slots__ = ("_held", "_line_ends", "_max_size", "_skip", "finished", "received", "rest", "size", "violated")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        # Which kinds of line end there were: a third of the cost of counting CR, LF and CRLF.
        self._line_ends = io.IncrementalNewlineDecoder(None, translate=False)
        self._held = b"\r\n"  # the first line starts a line too: "." at once is an empty message
        self._skip = 2  # the CRLF that we put there
        self.finished = False
        self.violated = False
        self.received = 0  # octets fed, stuffing included
        self.size = 0  # octets of the message so far
        self.rest = b""  # what followed the end: the next commands

    @property
    def too_big(self) -> bool:
        return self.size > self._max_size

    def feed(self, chunk: bytes) -> bytes:
        """The message's octets that `chunk` completes; may be empty. Sets `finished` and `rest` at the end."""
        self.received += len(chunk)
        data = self._held + chunk if self._held else chunk
        # Attachments hold no dot at all, and to find that out costs a twentieth of looking for the end.
        dots = data.find(_DOT_LINE) if b"." in data else -1
        end = data.find(TERMINATOR, dots) if dots >= 0 else -1
        if end >= 0:
            self.finished = True
            self.rest = data[end + len(TERMINATOR) :]
            data = data[: end + 2]
            self._held = b""
        elif data.endswith(_PREFIXES):
            self._held = next(prefix for prefix in _PREFIXES if data.endswith(prefix))
            data = data[: -len(self._held)]
        else:
            self._held = b""
        # A piece never ends inside CRLF or between CRLF and a dot, so that each piece can be unstuffed alone.
        self._look_at(data)
        if 0 <= dots < len(data) - 2:  # not only that of the end
            data = data.replace(_DOT_LINE, b"\r\n")
        if data and self._skip:
            data, self._skip = data[self._skip :], 0
        self.size += len(data)
        return b"" if self.violated or self.too_big else data

    def _look_at(self, data: bytes) -> None:
        """Called with each piece, its dots still stuffed."""
        if self._is_irregular(data):
            self.violated = True

    def _is_irregular(self, data: bytes) -> bool:
        """Whether the piece holds a NUL, or there was a bare CR or LF up to its end; a CR at the end may be one."""
        self._line_ends.decode(data.decode("latin-1"))
        return self._line_ends.newlines not in _ALLOWED or b"\0" in data


class SlowBudget:
    """In each `window` seconds of our waiting `octets` must arrive. Time that we need ourselves does not count."""

    __slots__ = ("_got", "_octets", "_waited", "_window")

    def __init__(self, window: float, octets: int) -> None:
        self._window = window
        self._octets = octets
        self._waited = 0.0
        self._got = 0

    @property
    def left(self) -> float:
        """Seconds that may still be waited."""
        return self._window - self._waited

    def arrived(self, octets: int, waited: float) -> None:
        self._got += octets
        self._waited += waited
        if self._got >= self._octets:
            self._got, self._waited = 0, 0.0
