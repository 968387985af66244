"""What a sync has done so far: for whoever waits for it, and for the event that is left of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

MOST_IDS: Final = 1_000
"""EMAILIDs that a result names; all are counted."""
_COUNTS: Final = ("imported", "octets", "flags", "vanished", "remapped", "poisoned", "pushed")


@dataclass(slots=True)
class SyncRun:
    """Counts of one run. `expected`: messages that will be fetched, as far as that is known yet.

    `tellers` are called after each change; they must be quick and not raise.
    """

    run: str
    tellers: list[Callable[[SyncRun], None]] = field(default_factory=list)
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
    said: bool = False
    """Something of `notes` is news."""

    @property
    def did_something(self) -> bool:
        """An event is left of it."""
        done = (self.imported, self.flags, self.vanished, self.remapped, self.poisoned, self.pushed)
        return self.said or any(done)

    def brought(self, email_ids: list[str], octets: int) -> None:
        self.imported += len(email_ids)
        self.octets += octets
        self.email_ids += email_ids[: max(0, MOST_IDS - len(self.email_ids))]
        self.changed()

    def note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < MOST_IDS:
            self.notes.append(text)

    def say(self, text: str) -> None:
        """A note for which an event is left, whatever else was done."""
        self.note(text)
        self.said = True

    def changed(self) -> None:
        for teller in self.tellers:
            teller(self)

    def so_far(self) -> SyncRun:
        """As it is now; it goes on."""
        return replace(self, tellers=[], email_ids=self.email_ids[:], notes=self.notes[:])

    def after(self, earlier: SyncRun, had: SyncRun) -> SyncRun:
        """With what `earlier`, the run before it, did since it was as `had`: who asked then sees all that came."""
        counts = {name: getattr(self, name) + getattr(earlier, name) - getattr(had, name) for name in _COUNTS}
        ids = earlier.email_ids[len(had.email_ids) :] + self.email_ids
        notes = [*(note for note in earlier.notes if note not in self.notes), *self.notes]
        return replace(self, tellers=[], email_ids=ids[:MOST_IDS], notes=notes, **counts)
