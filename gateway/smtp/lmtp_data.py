"""The DATA phase of LMTP: octets from a mail server that has taken the message already, read as final delivery must.

Submission refuses bare CR, bare LF and NUL: its client can mend them. Here nobody can. The server in front took the
message over, and what we refuse becomes a bounce to somebody who did nothing wrong. So all that can be stored is:
NUL and a bare CR are kept as they are, for IMAP can show both, and a bare LF becomes CRLF, so that header and body part
where every reader of line ends sees it.

What is refused is what could mean two messages: a dot that stands alone between line ends of any kind, also with NULs
that some servers drop, other than the CRLF.CRLF that ends this one. A server before us that reads line ends
otherwise than we do would have seen the message's end there, and commands behind it ("SMTP smuggling").
"""

from __future__ import annotations

import re
from typing import Final

from .data import DataDecoder

_LONE_DOT: Final = re.compile(rb"[\r\n]\.[\r\n]")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


class DeliveryDecoder(DataDecoder):
    """`violated`: the message holds a lone dot."""

    __slots__ = ("_before", "_mixed")

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size)
        self._before = b""  # the last octets without NUL, as far as a lone dot could reach into them
        self._mixed = False

    def feed(self, chunk: bytes) -> bytes:
        data = super().feed(chunk)
        if self._mixed and b"\n" in data:
            longer = _BARE_LF.sub(b"\r\n", data)  # no piece begins behind a CR
            self.size += len(longer) - len(data)
            return b"" if self.too_big else longer
        return data

    def _look_at(self, data: bytes) -> None:
        # From the first odd octet on every piece is searched; before it there is nothing to find.
        self._mixed = self._is_irregular(data) or self._mixed
        if self._mixed:
            data = data.replace(b"\0", b"")
            if _LONE_DOT.search(self._before + data):
                self.violated = True
        self._before = data[-3:] if len(data) > 2 else (self._before + data)[-3:]
