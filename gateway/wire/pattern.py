"""LIST and LSUB patterns (RFC 3501 6.3.8): `*` matches anything, `%` anything but the delimiter.

The pattern is a set of positions, one bit each, that moves over the name: linear in the name for each pattern, whatever
both hold; nothing backtracks.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.model.composed import composed
from gateway.model.mailbox import DELIMITER, INBOX

_WILDCARDS: Final = re.compile(r"[*%]{2,}")


class Matcher:
    """One pattern below one reference, to be asked about many names. Names and pattern compare as NFC.

    INBOX, alone or as the first level, matches without case (RFC 3501 5.1).
    """

    __slots__ = ("_any", "_exact", "_final", "_level", "_moves", "_prefix", "_start", "_wild", "simple")

    def __init__(self, reference: str, pattern: str) -> None:
        text = reference + pattern
        text = composed(text) or text  # what cannot be composed is no name, and matches none
        # `%*` matches what `*` does, `%%` what `%` does: with no two wildcards in a row, one shift skips them all.
        text = _WILDCARDS.sub(lambda run: "*" if "*" in run[0] else "%", text)
        self._moves: dict[str, int] = {}
        self._any = 0
        self._level = 0
        for position, char in enumerate(text):
            bit = 1 << position
            if char == "*":
                self._any |= bit
            elif char == "%":
                self._level |= bit
            else:
                self._moves[char] = self._moves.get(char, 0) | bit
        self._wild = self._any | self._level
        self._final = 1 << len(text)
        self._start = 1 | ((1 & self._wild) << 1)
        self._exact = None if self._wild else text
        # What nearly all clients send, one wildcard at the end: no need to move over the name.
        self._prefix = text[:-1] if text[-1:] in {"*", "%"} and self._wild == self._final >> 1 else None
        self.simple = self._exact is not None or self._prefix is not None
        """`matches` is a comparison or two."""

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` (canonical spelling) matches."""
        folded = len(INBOX) if name == INBOX or name.startswith(INBOX + DELIMITER) else 0
        if self._prefix is not None and (not folded or not self._prefix):
            if not self._level:
                return name.startswith(self._prefix)
            return name.startswith(self._prefix) and DELIMITER not in name[len(self._prefix) :]
        if self._exact is not None and not folded:
            return name == self._exact
        state = self._start
        moves, wild = self._moves, self._wild
        for index, char in enumerate(name):
            move = moves.get(char, 0)
            if index < folded:
                move |= moves.get(char.lower(), 0)
            stay = self._any if char == DELIMITER else wild
            state = ((state & move) << 1) | (state & stay)
            state |= (state & wild) << 1
            if not state:
                return False
        return bool(state & self._final)
