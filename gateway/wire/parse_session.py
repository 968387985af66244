"""Arguments of commands that change the session itself: COMPRESS (RFC 4978), LANGUAGE (RFC 5255)."""

from __future__ import annotations

import re
from typing import Final

from . import commands
from .commands import Command
from .tokens import Cursor, Malformed

# RFC 4647 2.1 `language-range`; "default" is one by its form.
_RANGE: Final = re.compile(r"(?:[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\Z")
_MOST: Final = 30  # ranges; people speak fewer languages


def compress(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    return commands.Compress(tag, cursor.keyword("an algorithm"))


def language(cursor: Cursor, tag: bytes) -> Command:
    ranges: list[str] = []
    while not cursor.at_end:
        cursor.space()
        text = cursor.astring("a language").decode("ascii", "replace")
        if _RANGE.match(text) is None or len(ranges) >= _MOST:
            raise Malformed("a language range, as RFC 4647 has them, was expected")
        ranges.append(text)
    return commands.Language(tag, tuple(ranges))
