"""Which folders of an account are kept in sync: patterns and roles. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.model.mailbox import DELIMITER
from gateway.upstream.values import ListedMailbox
from gateway.wire.pattern import Matcher

from .roles import ROLES, VIRTUAL

_ROLE_OF_WORD: Final = {role.lower(): role for role in ROLES}
_Test = Callable[[str, str | None], bool]


@dataclass(frozen=True, slots=True)
class FolderFilter:
    """`include` empty: all folders. Then `exclude` takes away.

    An entry is a role (`\\Trash`) or a pattern of RFC 3501 6.3.8 over the folder's name with `/` between levels,
    without case: `*` any text, `%` any text of one level. Folders that only show mail of others (\\All, \\Flagged,
    \\Important) have to be named by their role or their whole name.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def chooser(self) -> Callable[[ListedMailbox, str | None], bool]:
        """A function of a folder and its role."""
        included = [_test(entry) for entry in self.include]
        named = [_test(entry) for entry in self.include if not {"*", "%"} & set(entry)]
        excluded = [_test(entry) for entry in self.exclude]

        def chosen(folder: ListedMailbox, role: str | None) -> bool:
            if not folder.selectable:
                return False
            name = slashed(folder)
            if role in VIRTUAL and not any(test(name, role) for test in named):
                return False
            if included and not any(test(name, role) for test in included):
                return False
            return not any(test(name, role) for test in excluded)

        return chosen


    def idle(self, folders: Iterable[tuple[ListedMailbox, str | None]]) -> list[str]:
        """Entries that fit none of `folders`, each with its role: mistyped, or of a folder that is gone."""
        known = list(folders)

        def fits(entry: str) -> bool:
            chooses = FolderFilter((entry,)).chooser()
            return any(chooses(folder, role) for folder, role in known)

        return [entry for entry in (*self.include, *self.exclude) if not fits(entry)]


def slashed(folder: ListedMailbox) -> str:
    """The folder's name with our delimiter."""
    if folder.delimiter is None or folder.delimiter == DELIMITER:
        return folder.name
    return folder.name.replace(folder.delimiter, DELIMITER)


def _test(entry: str) -> _Test:
    role = _ROLE_OF_WORD.get(entry.lower())
    if role is not None and entry.startswith("\\"):
        return lambda name, has: has == role
    matcher = Matcher("", entry.casefold())
    return lambda name, has: matcher.matches(name.casefold())
