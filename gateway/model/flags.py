"""Message flags as a bit mask: five system flags, then the mailbox's own keywords.

A mailbox keeps a table bit -> keyword that only grows, so a mask means the same for ever
and can be compared, stored and interned as one integer. Bits 0-4 are system flags, bits
5-62 keywords (58 a mailbox: a documented limit, so that the mask fits a signed 64-bit column).
Keyword names compare without case; the first spelling is kept (RFC 3501 2.3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SEEN: Final = 1 << 0
ANSWERED: Final = 1 << 1
FLAGGED: Final = 1 << 2
DELETED: Final = 1 << 3
DRAFT: Final = 1 << 4

SYSTEM_FLAGS: Final[Mapping[str, int]] = {
    "\\Seen": SEEN,
    "\\Answered": ANSWERED,
    "\\Flagged": FLAGGED,
    "\\Deleted": DELETED,
    "\\Draft": DRAFT,
}
SYSTEM_BY_FOLDED: Final[Mapping[str, int]] = {name.lower(): bit for name, bit in SYSTEM_FLAGS.items()}
SYSTEM_MASK: Final = 0b11111

FIRST_KEYWORD_BIT: Final = 5
MAX_KEYWORDS: Final = 58
MAX_KEYWORD_LENGTH: Final = 255


def names_of(mask: int, keywords: Mapping[int, str]) -> list[str]:
    """The flag names of `mask`, system flags first; `keywords` maps bit number to name."""
    names = [name for name, bit in SYSTEM_FLAGS.items() if mask & bit]
    rest = mask >> FIRST_KEYWORD_BIT
    bit = FIRST_KEYWORD_BIT
    while rest:
        if rest & 1 and bit in keywords:
            names.append(keywords[bit])
        rest >>= 1
        bit += 1
    return names
