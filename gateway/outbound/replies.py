"""Replies of a server from its octets (RFC 5321 4.2), in any chunking, each whole and bounded. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_LINE: Final = 8_192  # octets; RFC 5321 4.5.3.1.5 allows 512
MAX_REPLY: Final = 32_768  # octets of all lines of one reply
_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)


class BadReply(Exception):
    """What came is no reply. The text says so without quoting it at length."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`text`: its lines without codes, joined by line feeds."""

    code: int
    text: str


class ReplyParser:
    """`feed` octets, take whole replies. After BadReply it is of no more use."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._octets = 0
        self._code = b""

    @property
    def empty(self) -> bool:
        """Nothing of a further reply is there."""
        return not self._rest and not self._lines

    def feed(self, octets: bytes) -> Iterator[Reply]:
        """Each reply that is complete now; to be read to its end. What came before a BadReply counts.

        BadReply: too long, no code, or lines of one reply that bear different codes.
        """
        lines = (self._rest + octets).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            reply = self._take(line.removesuffix(b"\r"))
            if reply is not None:
                yield reply
        if len(self._rest) > MAX_LINE:
            raise BadReply("A line that is too long")

    def _take(self, line: bytes) -> Reply | None:
        match = _LINE.fullmatch(line)
        if match is None or len(line) > MAX_LINE:
            raise BadReply(line[:100].decode("utf-8", "replace"))
        code, more, text = match[1], match[2] == b"-", match[3] or b""
        self._octets += len(line)
        if (self._lines and code != self._code) or self._octets > MAX_REPLY:
            raise BadReply("Lines of one reply that do not belong together")
        self._code = code
        self._lines.append(text.strip(b" \t"))
        if more:
            return None
        reply = Reply(int(code), b"\n".join(self._lines).decode("utf-8", "replace"))
        self._lines, self._octets = [], 0
        return reply
