"""What of an account somebody wants synced now, where that is not all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.store.connectors.rows import RemoteFolder
from gateway.upstream.values import ListedMailbox

from .plan.filters import FolderFilter


@dataclass(frozen=True, slots=True)
class Scope:
    """`folder`: a name, role or pattern as in the option `imap.folders`, empty: all that are synced.

    `since`: days since 1970-01-01; mail below the first message of that day, by UID, is left for later. None: all.
    """

    folder: str = ""
    since: int | None = None

    @property
    def everything(self) -> bool:
        return self == EVERYTHING

    def chooser(self) -> Callable[[RemoteFolder], bool]:
        """Whether a folder of those that are synced is in it."""
        if not self.folder:
            return lambda row: True
        chosen = FolderFilter((self.folder,)).chooser()
        return lambda row: chosen(ListedMailbox(row.raw, row.name, row.delimiter, frozenset()), row.role)


EVERYTHING = Scope()


def joined(scopes: Sequence[Scope]) -> Scope:
    """One sync that is enough for all who asked."""
    if not scopes:
        return EVERYTHING
    folders, days = {one.folder for one in scopes}, [one.since for one in scopes]
    oldest = None if None in days else min(day for day in days if day is not None)
    return Scope(folders.pop() if len(folders) == 1 else "", oldest)
