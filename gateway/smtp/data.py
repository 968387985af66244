"""The DATA phase without sockets: finds the end, removes dot-stuffing, refuses smuggling (RFC 5321 4.5.2)."""

from __future__ import annotations

from typing import Final

TERMINATOR: Final = b"\r\n.\r\n"
_PREFIXES: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")  # longest first: what a chunk may end with and mean more


class DataDecoder:
    """Feeds on any chunking of the octets after 354 and yields those of the message.

    The message ends at CRLF.CRLF and nowhere else. A bare CR, a bare LF or a NUL makes the message `violated`: others
    on its way may take LF.LF or CR.CR for the end, and what follows for commands of ours ("SMTP smuggling"). Such a
    message, or one over `max_size` octets, is read to its real end and yields nothing more.
    """

    __slots__ = ("_held", "_max_size", "_skip", "finished", "received", "rest", "size", "violated")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
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
        data = self._held + chunk
        end = data.find(TERMINATOR)
        if end >= 0:
            self.finished = True
            self.rest = data[end + len(TERMINATOR) :]
            data = data[: end + 2]
            self._held = b""
        else:
            self._held = next((prefix for prefix in _PREFIXES if data.endswith(prefix)), b"")
            if self._held:
                data = data[: -len(self._held)]
        # A piece never ends inside CRLF or between CRLF and a dot, so that each piece can be judged alone.
        if data.count(b"\n") != (pairs := data.count(b"\r\n")) or data.count(b"\r") != pairs or b"\0" in data:
            self.violated = True
        if data and self._skip:
            data, self._skip = self._unstuff(data)[self._skip :], 0
        else:
            data = self._unstuff(data)
        self.size += len(data)
        return b"" if self.violated or self.too_big else data

    @staticmethod
    def _unstuff(data: bytes) -> bytes:
        return data.replace(b"\r\n.", b"\r\n")
