"""Which folders of a Gmail account were read before All Mail was shown, or hidden, and where their mail is now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.connectors.plan.views import Shown, label_of, superseded, to_regroup

EVERY = Shown(1, "\\All", True, True, "live")
INBOX = Shown(2, "INBOX", False, True, "live")
WORK = Shown(3, None, False, True, "live")
NEVER = Shown(4, None, False, False, "new")
SPAM = Shown(5, "\\Junk", False, True, "live")
TRASH = Shown(6, "\\Trash", False, True, "live")
FOLDERS = (EVERY, INBOX, WORK, NEVER, SPAM, TRASH)


@pytest.mark.parametrize(
    ("chosen", "labelled", "found"),
    [
        ({1, 5, 6}, True, {2, 3}),
        ({1, 5}, True, {2, 3}),  # Trash is not listed for a moment
        ({2, 3, 4, 5, 6}, False, {1}),
        ({2, 5, 6}, False, {1}),  # one is excluded: nothing else shows its mail
        ({1, 2, 5, 6}, True, {3}),
    ],
)
def test_superseded(chosen: set[int], labelled: bool, found: set[int]) -> None:
    assert superseded(FOLDERS, chosen, labelled=labelled) == found


def test_an_account_that_was_read_one_way_always_has_none() -> None:
    plain = [one for one in FOLDERS if one is not EVERY]
    assert superseded(plain, {2, 3, 4, 5, 6}, labelled=False) == set()
    assert superseded([EVERY, NEVER, SPAM, TRASH], {1, 5, 6}, labelled=True) == set()


def test_a_folder_is_looked_through_once_and_before_it_is_live() -> None:
    began = replace(INBOX, phase="backfill")
    assert to_regroup(began, {1}, ())
    assert not to_regroup(began, {1}, {2})
    assert not to_regroup(began, (), ())
    assert not to_regroup(INBOX, {1}, ())
    assert not to_regroup(replace(began, opened=False), {1}, ())
    assert not to_regroup(replace(TRASH, phase="backfill"), {1}, ())
    assert not to_regroup(began, {1, 2}, ())


def test_labels_of_folders() -> None:
    assert label_of("INBOX", "INBOX") == "INBOX"
    assert label_of("\\Sent", "[Gmail]/Gesendet") == "\\Sent"
    assert label_of(None, "Work/2026") == "Work/2026"
    assert label_of("\\Archive", "Archiv") == "Archiv"
