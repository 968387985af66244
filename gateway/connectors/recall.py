"""What a process remembers of a connector from one session to the next; lost with it, and found out again."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.store.connectors.rows import FolderId

from .looks import Looks
from .plan.budget import OctetBudget
from .plan.standing import Account, Remaps
from .plan.windows import Taken


@dataclass(slots=True)
class FolderRecall:
    """`exists`: messages upstream as far as they were accounted for, None: unknown. Times: Unix seconds.

    `failed`: how often the connection was lost while a window began with this UID. `most`: messages of a window until
    one succeeds. `asked_again`, `retreat_at`: something unbelievable was seen, and is to be seen a second time.
    """

    exists: int | None = None
    listed_at: float = 0.0
    flags_at: float = 0.0
    recent_flags_at: float = 0.0
    taken: Taken | None = None
    most: int | None = None
    failed: dict[int, int] = field(default_factory=dict)
    asked_again: bool = False
    retreat_at: float | None = None
    remaps: Remaps = field(default_factory=Remaps)


@dataclass(slots=True)
class Recall:
    """Of one connector. `confirmed`: somebody said that what seems gone is gone."""

    account: Account
    folders: dict[FolderId, FolderRecall] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)
    confirmed: bool = False
    renew: bool = False
    listing_asked_again: bool = False
    octets: OctetBudget | None = None
    """What was fetched today, where the provider counts it."""
    distrust: set[str] = field(default_factory=set)
    """Capabilities that turned out to be lies."""
    flag_tries: dict[FolderId, tuple[int, float]] = field(default_factory=dict)
    """Folders that refuse changes of flags: how often in a row, and until when they are left alone."""
    regrouped: set[FolderId] = field(default_factory=set)
    """Folders in which mail of those that were read before was looked for (`regrouping`)."""
    settled: bool = False
    """What was left of them then was seen to."""
    asked_at: int = 0
    """`sync_asked_at` of the last request that a session has taken up, whatever came of it: else one that fails would
    be tried on and on."""

    def is_asked(self, sync_asked_at: int | None) -> bool:
        """Whether that request is a new one."""
        return sync_asked_at is not None and sync_asked_at > self.asked_at

    def of(self, folder_id: FolderId) -> FolderRecall:
        found = self.folders.get(folder_id)
        if found is None:
            found = self.folders[folder_id] = FolderRecall()
        return found
