"""What the consistency check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST: Final = 100  # findings a rule: the first ones tell the story


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise: `code` names the rule, `text` the row, `remedy` what to do about it."""

    code: str
    text: str
    remedy: str
