"""What changed here, as operations for upstream."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.connectors.plan.flags import NO_FLAGS, FlagRules, Flags
from gateway.connectors.plan.local import (
    FolderChange,
    GonePlace,
    Layout,
    LocalChanges,
    LocalPlace,
    Operation,
    PushAppend,
    PushCopy,
    PushDelete,
    PushFlags,
    PushMove,
    Rank,
    Rejoin,
    Remote,
    Switches,
    folder_changes,
    operations,
)
from gateway.connectors.plan.roles import DRAFTS, SENT, TRASH
from gateway.model.flags import FLAGGED, SEEN

ON = Switches(flags=True, moves=True, deletes=True, folders=True, drafts=True, sent=True, appends=True)
INBOX_BOX, WORK_BOX, TRASH_BOX, SENT_BOX, DRAFTS_BOX, OWN_BOX = 1, 2, 3, 4, 5, 6
INBOX_F, WORK_F, TRASH_F, SENT_F, DRAFTS_F = 11, 12, 13, 14, 15
LAYOUT = Layout(
    {INBOX_BOX: INBOX_F, WORK_BOX: WORK_F, TRASH_BOX: TRASH_F, SENT_BOX: SENT_F, DRAFTS_BOX: DRAFTS_F},
    {TRASH_F: TRASH, SENT_F: SENT, DRAFTS_F: DRAFTS},
    ON,
    FlagRules(two_way=True),
)
AT = Remote(INBOX_F, 7, 100)


def gone(folder: int = INBOX_F, mailbox: int = INBOX_BOX, email_id: str = "M1") -> GonePlace:
    return GonePlace(mailbox, 1, email_id, Remote(folder, 7, 100))


def new(mailbox: int, email_id: str = "M1", uid: int = 5) -> LocalPlace:
    return LocalPlace(mailbox, uid, email_id, local=Flags(SEEN))


def test_flags_that_changed_here_go_up_as_a_difference() -> None:
    place = LocalPlace(INBOX_BOX, 1, "M1", AT, base=Flags(FLAGGED), local=Flags(SEEN, ("mine",)))
    assert operations(LocalChanges((place,)), LAYOUT) == [
        PushFlags(AT, Flags(SEEN, ("mine",)), Flags(FLAGGED), Flags(SEEN, ("mine",)))
    ]


def test_what_came_down_does_not_go_up_again() -> None:
    place = LocalPlace(INBOX_BOX, 1, "M1", AT, base=Flags(SEEN), local=Flags(SEEN))
    assert operations(LocalChanges((place,)), LAYOUT) == []


def test_a_message_that_left_and_turned_up_was_moved() -> None:
    assert operations(LocalChanges((new(WORK_BOX),), (gone(),)), LAYOUT) == [PushMove(AT, WORK_F, (WORK_BOX, 5))]


def test_moving_to_trash_here_is_moving_to_trash_there() -> None:
    assert operations(LocalChanges((new(TRASH_BOX),), (gone(),)), LAYOUT) == [PushMove(AT, TRASH_F, (TRASH_BOX, 5))]


def test_moved_away_and_back_needs_nothing_upstream() -> None:
    assert operations(LocalChanges((new(INBOX_BOX, uid=9),), (gone(),)), LAYOUT) == [Rejoin(AT, (INBOX_BOX, 9))]


def test_a_twin_is_rejoined_where_it_was_and_the_other_moved() -> None:
    changes = LocalChanges((new(WORK_BOX), new(INBOX_BOX)), (gone(WORK_F, WORK_BOX), gone()))
    assert {type(one) for one in operations(changes, LAYOUT)} == {Rejoin}


def test_a_message_that_turned_up_while_its_twin_stayed_was_copied() -> None:
    twin = LocalPlace(INBOX_BOX, 1, "M1", AT)
    changes = LocalChanges((new(WORK_BOX),), (), {"M1": (new(WORK_BOX), twin)})
    assert operations(changes, LAYOUT) == [PushCopy(AT, WORK_F, (WORK_BOX, 5))]


def test_a_message_that_turned_up_alone_is_appended() -> None:
    assert operations(LocalChanges((new(WORK_BOX, "M9"),)), LAYOUT) == [
        PushAppend(WORK_F, (WORK_BOX, 5), "M9", Flags(SEEN))
    ]


@pytest.mark.parametrize(
    ("box", "switch"), [(SENT_BOX, "sent"), (DRAFTS_BOX, "drafts"), (WORK_BOX, "appends"), (TRASH_BOX, "appends")]
)
def test_each_kind_of_append_has_its_switch(box: int, switch: str) -> None:
    off = replace(LAYOUT, switches=replace(ON, **{switch: False}))
    assert operations(LocalChanges((new(box),)), off) == []
    only = replace(LAYOUT, switches=Switches(**{switch: True}))
    assert len(operations(LocalChanges((new(box),)), only)) == 1


def test_a_message_that_is_gone_goes_to_trash() -> None:
    assert operations(LocalChanges((), (gone(),)), LAYOUT) == [PushDelete(AT, TRASH_F)]


def test_gone_from_trash_is_gone_for_good() -> None:
    in_trash = gone(TRASH_F, TRASH_BOX)
    assert operations(LocalChanges((), (in_trash,)), LAYOUT) == [PushDelete(in_trash.remote, None)]
    assert operations(LocalChanges((), (in_trash,)), replace(LAYOUT, uidplus=False)) == []


def test_permanent_deletion_is_asked_for_and_needs_uidplus() -> None:
    permanent = replace(LAYOUT, permanent_delete=True)
    assert operations(LocalChanges((), (gone(),)), permanent) == [PushDelete(AT, None)]
    assert operations(LocalChanges((), (gone(),)), replace(permanent, uidplus=False)) == []


def test_without_a_trash_nothing_is_deleted_for_good() -> None:
    layout = replace(LAYOUT, roles={number: role for number, role in LAYOUT.roles.items() if number != TRASH_F})
    assert operations(LocalChanges((), (gone(),)), layout) == []


def test_moved_to_a_mailbox_of_ours_alone_is_deleted_there() -> None:
    assert operations(LocalChanges((new(OWN_BOX),), (gone(),)), LAYOUT) == [PushDelete(AT, TRASH_F)]


def test_nothing_goes_up_where_nothing_may() -> None:
    off = replace(LAYOUT, switches=Switches())
    flagged = LocalPlace(INBOX_BOX, 1, "M2", AT, local=Flags(SEEN))
    twin = LocalPlace(INBOX_BOX, 1, "M3", AT)
    changes = LocalChanges(
        (flagged, new(WORK_BOX), new(WORK_BOX, "M3"), new(SENT_BOX, "M4")), (gone(), gone(email_id="M5")),
        {"M3": (twin,)},
    )  # fmt: skip
    assert operations(changes, off) == []
    assert not Switches().any
    assert ON.any


def test_a_move_that_may_not_go_up_deletes_nothing_there() -> None:
    """The message is still here, in another mailbox."""
    off = replace(LAYOUT, switches=replace(ON, moves=False))
    found: list[Operation] = operations(LocalChanges((new(WORK_BOX),), (gone(),)), off)
    assert found == []


def test_flags_come_before_moves_and_deletions_last() -> None:
    flagged = LocalPlace(INBOX_BOX, 1, "M2", AT, local=Flags(SEEN))
    changes = LocalChanges(
        (new(WORK_BOX), flagged, new(WORK_BOX, "M4")), (gone(email_id="M5"), gone()),
    )  # fmt: skip
    ranks = [operation.rank for operation in operations(changes, LAYOUT)]
    assert ranks == [Rank.FLAGS, Rank.APPEND, Rank.MOVE, Rank.DELETE]


def test_folders_are_made_from_the_top_and_removed_from_the_bottom() -> None:
    known: dict[int, str] = {1: "INBOX", 2: "Old", 3: "Old/sub", 4: "Was"}
    present: dict[int, str | None] = {1: "INBOX", 4: "Is", 5: "New/sub", 6: "New", 7: None, 8: "Unsynced"}
    assert folder_changes(known, present, {1, 4, 5, 6, 7}) == [
        FolderChange(Rank.CREATE_FOLDER, "New"), FolderChange(Rank.CREATE_FOLDER, "New/sub"),
        FolderChange(Rank.RENAME_FOLDER, "Was", "Is"), FolderChange(Rank.DELETE_FOLDER, "Old/sub"),
        FolderChange(Rank.DELETE_FOLDER, "Old"),
    ]  # fmt: skip


def test_a_place_without_flags_is_none() -> None:
    assert LocalPlace(1, 1, "M1").local == NO_FLAGS
