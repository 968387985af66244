"""Line ends of mail in files: what stands on a disk is often in the local form, what IMAP shows is not.

A message whose first line ends with a bare LF was written in Unix's local form: each of its bare LFs
becomes CRLF, and export to mbox and Maildir goes the other way. A message whose first line ends with
CRLF is taken as it is, octet for octet (an .eml file saved by a mail program: its signatures stay whole).
"""

from __future__ import annotations

import re

_BARE_LF = re.compile(rb"(?<!\r)\n")


class ToCrlf:
    """Incremental: feed a message's octets in pieces of any size, take out the octets to store."""

    def __init__(self) -> None:
        self._local: bool | None = None  # not known before the first line end
        self._after_cr = False

    def feed(self, chunk: bytes) -> bytes:
        if not chunk:
            return b""
        after_cr, self._after_cr = self._after_cr, chunk.endswith(b"\r")
        if self._local is None:
            at = chunk.find(b"\n")
            if at < 0:
                return chunk
            self._local = not (after_cr if at == 0 else chunk[at - 1] == 0x0D)
        if not self._local:
            return chunk
        if after_cr and chunk.startswith(b"\n"):
            return b"\n" + _BARE_LF.sub(b"\r\n", chunk[1:])
        return _BARE_LF.sub(b"\r\n", chunk)


class ToLf:
    """The other way: CRLF becomes LF; a CR on its own stays."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        chunk = self._held + chunk
        self._held = b""
        if chunk.endswith(b"\r"):  # its LF may open the next piece
            chunk, self._held = chunk[:-1], b"\r"
        return chunk.replace(b"\r\n", b"\n")

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return held
