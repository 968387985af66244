"""What an account elsewhere did, in a line for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_COUNTS: Final = (
    ("emailSyncCount", "new"), ("flags", "flags changed"), ("vanished", "gone there"), ("pushed", "changed there"),
    ("poisoned", "passed over"),
)  # fmt: skip
_NAMED: Final = 5


def words_of(message: str | None, detail: Mapping[str, Any]) -> str:
    """Of a connector's event: what was said, whom mail went to, or what a sync has changed."""
    if message:
        return message
    people = [str(one["address"]) for one in detail.get("recipients") or ()]
    if people:
        return ", ".join(people[:_NAMED]) + (f" and {len(people) - _NAMED} more" if len(people) > _NAMED else "")
    return ", ".join(f"{detail[name]} {word}" for name, word in _COUNTS if detail.get(name)) or "nothing new"
