"""The announcement of a literal at the end of a line (RFC 3501 4.3, RFC 3516 4.4, RFC 7888 4)."""

from __future__ import annotations

import re
from typing import Final

_ANNOUNCEMENT: Final = re.compile(rb"(~?)\{([0-9]+)(\+?)\}\Z")
_HUGE: Final = 1 << 63  # stands for any literal size of so many digits
_HUGE_DIGITS: Final = 19


def announcement(line: bytes) -> tuple[int, bool, bool, int] | None:
    """(octets, synchronising, literal8, where it starts) of the literal announced at the end of `line`."""
    if not line.endswith(b"}"):
        return None
    start = line.rfind(b"{")
    if start > 0 and line[start - 1] == 0x7E:
        start -= 1
    found = _ANNOUNCEMENT.match(line, max(start, 0))
    if found is None:
        return None
    digits = found[2].lstrip(b"0")
    size = int(digits or b"0") if len(digits) < _HUGE_DIGITS else _HUGE
    return size, not found[3], bool(found[1]), start
