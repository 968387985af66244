"""Gmail shows each message in All Mail with its labels, or, where that is hidden from IMAP, in a folder a label. Pure.

Whoever shows or hides All Mail changes the folders that are read, and not the mail: what was read by the folders before
(they are superseded) is known again in those that are read now, and carried over (`gateway.connectors.regrouping`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gateway.model.mailbox import DRAFTS, INBOX, SENT

from .folder import Phase
from .roles import JUNK, TRASH


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known of a folder. `labels`: it is All Mail, read by labels. `opened`: its messages have rows."""

    id: int
    role: str | None
    labels: bool
    opened: bool
    phase: str


def superseded(folders: Iterable[Shown], chosen: Collection[int], *, labelled: bool) -> frozenset[int]:
    """Folders that were read before, and whose mail is to be found in `chosen` now.

    `labelled`: All Mail is read. Trash and Spam stand apart and are read either way.
    """
    before = (one for one in folders if one.opened and one.id not in chosen and one.role not in (TRASH, JUNK))
    return frozenset(one.id for one in before if one.labels is not labelled)


def to_regroup(folder: Shown, earlier: Collection[int], done: Collection[int]) -> bool:
    """Whether mail of the superseded folders `earlier` has to be looked for in `folder` before anything is fetched.

    A folder that is live was read while they were superseded already. `done`: by this process.
    """
    if not earlier or folder.id in earlier or folder.id in done or folder.role in (TRASH, JUNK):
        return False
    return folder.opened and folder.phase == Phase.BACKFILL.value


def label_of(role: str | None, name: str) -> str:
    """The label that places of a folder stand for, as `Target.label` spells it."""
    return role if role in (INBOX, SENT, DRAFTS) else name
