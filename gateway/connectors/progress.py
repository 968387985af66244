"""What a sync has done so far: for whoever waits for it, and for the event that is left of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MOST_IDS: Final = 1_000
"""EMAILIDs that a result names; all are counted."""


@dataclass(slots=True)
class SyncRun:
    """Counts of one run. `expected`: messages that will be fetched, as far as that is known yet.

    `told` is called after each change; it must be quick and not raise.
    """

    run: str
    told: Callable[[SyncRun], None] | None = None
    folder: str = ""
    folders: int = 0
    imported: int = 0
    octets: int = 0
    expected: int = 0
    flags: int = 0
    vanished: int = 0
    remapped: int = 0
    poisoned: int = 0
    pushed: int = 0
    email_ids: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a person should know: folders left out, messages that cannot be had."""

    @property
    def did_something(self) -> bool:
        """An event is left of it."""
        return bool(self.imported or self.flags or self.vanished or self.remapped or self.poisoned or self.pushed)

    def brought(self, email_ids: list[str], octets: int) -> None:
        self.imported += len(email_ids)
        self.octets += octets
        self.email_ids += email_ids[: max(0, MOST_IDS - len(self.email_ids))]
        self.changed()

    def note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < MOST_IDS:
            self.notes.append(text)

    def changed(self) -> None:
        if self.told is not None:
            self.told(self)
