"""Which folders are synced."""

from __future__ import annotations

import pytest

from gateway.connectors.plan.filters import FolderFilter
from gateway.connectors.plan.roles import ALL, TRASH
from gateway.upstream.values import ListedMailbox


def folder(name: str, *attributes: str, delimiter: str | None = ".") -> ListedMailbox:
    return ListedMailbox(name.encode(), name, delimiter, frozenset(attributes))


def chosen(filter_: FolderFilter, name: str, role: str | None = None) -> bool:
    return filter_.chooser()(folder(name), role)


def test_everything_that_can_be_selected_by_default() -> None:
    assert chosen(FolderFilter(), "Work")
    assert not FolderFilter().chooser()(folder("Work", "\\noselect"), None)


def test_virtual_folders_have_to_be_named() -> None:
    assert not chosen(FolderFilter(), "All Mail", ALL)
    assert not chosen(FolderFilter(include=("*",)), "All Mail", ALL)
    assert chosen(FolderFilter(include=("\\All",)), "All Mail", ALL)
    assert chosen(FolderFilter(include=("all mail",)), "All Mail", ALL)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [("inbox", "INBOX", True), ("INBOX/*", "inbox.a.b", True), ("inbox/%", "INBOX.a.b", False),
     ("work", "Work", True), ("Work", "Work.sub", False), ("*ork*", "Work.sub", True), ("\\trash", "Bin", True),
     ("\\Trash", "Trash2", False)],
)  # fmt: skip
def test_patterns_are_without_case_and_with_our_delimiter(pattern: str, name: str, matches: bool) -> None:
    role = TRASH if name == "Bin" else None
    assert chosen(FolderFilter(include=(pattern,)), name, role) is matches
    assert chosen(FolderFilter(exclude=(pattern,)), name, role) is not matches


def test_exclusion_comes_after_inclusion() -> None:
    only = FolderFilter(include=("Work", "Work/*"), exclude=("Work/Old*",))
    assert chosen(only, "Work.New")
    assert not chosen(only, "Work.Old.2001")
    assert not chosen(only, "Play")
