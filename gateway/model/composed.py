"""NFC and NFKC in linear time, whoever wrote the text.

Normalising sorts each run of combining characters by insertion: 30,000 of them, two orders mixed, hold the interpreter
for seconds. Writing has a few in a row; Unicode's Stream-Safe Text Format (UAX 15, 13) allows 30.
"""

from __future__ import annotations

import unicodedata
from typing import Final, Literal

MOST_IN_A_ROW: Final = 30
"""Combining characters behind one another."""


def composable(text: str) -> bool:
    """Whether `text` has no longer run of combining characters than writing has."""
    if text.isascii():
        return True
    run = 0
    for char in text:
        if not unicodedata.combining(char):
            run = 0
        elif run == MOST_IN_A_ROW:
            return False
        else:
            run += 1
    return True


def composed(text: str, form: Literal["NFC", "NFKC"] = "NFC") -> str | None:
    """`text` in that form; None when it is not `composable`."""
    return unicodedata.normalize(form, text) if composable(text) else None
