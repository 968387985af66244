"""Changes upstream: flags that both sides merge, messages that vanish by each policy, moves and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.flags import ANSWERED, FLAGGED, SEEN
from gateway.model.ids import MailboxId
from gateway.store import mailboxes, messages
from gateway.store.connectors import moves, upstream
from gateway.store.connectors.moves import Key, LabelChange, Moved, Relabelled
from gateway.store.connectors.rows import BATCH, Gone, RemoteFolder
from gateway.store.connectors.upstream import FlagChange
from gateway.store.connectors.window import Target
from gateway.store.db import Database
from tests.store.helpers import NOW

from .kit import VALIDITY, Account, arrival, make_account


async def filled(db: Database, count: int = 3) -> tuple[Account, RemoteFolder, MailboxId]:
    account = await make_account(db)
    folder = await account.folder(uidnext=1)
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(uid, box, flags=(SEEN, ("work",))) for uid in range(11, 11 + count)])
    return account, folder, box


async def apply(account: Account, folder: RemoteFolder, *changes: FlagChange, upto: int | None = None) -> list[int]:
    seen = await account.modseq() if upto is None else upto
    found: list[int] = await account.write(
        lambda tx: upstream.apply_flags(tx, account.claim, folder.id, VALIDITY, changes, upto=seen, now=NOW)
    )
    return found


async def test_flags_and_their_base_change_together(db: Database) -> None:
    account, folder, _ = await filled(db)
    left = await apply(
        account, folder,
        FlagChange(11, (FLAGGED, ("new",)), add=(FLAGGED, ("new",)), remove=(SEEN, ("WORK",)), modseq=50),
        FlagChange(12, (SEEN | ANSWERED, ("work",)), add=(ANSWERED, ())),
        FlagChange(13, (0, ()), modseq=51),
        FlagChange(99, (SEEN, ()), add=(SEEN, ())),
    )  # fmt: skip
    assert left == []
    assert await account.mail() == {
        1: (FLAGGED, ("new",)), 2: (SEEN | ANSWERED, ("work",)), 3: (SEEN, ("work",)),
    }  # fmt: skip
    known = await account.remote(folder)
    assert {uid: (each.flags, each.modseq) for uid, each in known.items()} == {
        11: ((FLAGGED, ("new",)), 50), 12: ((SEEN | ANSWERED, ("work",)), None), 13: ((0, ()), 51),
    }  # fmt: skip


async def test_a_message_that_changed_here_meanwhile_is_left_alone(db: Database) -> None:
    account, folder, box = await filled(db)
    seen = await account.modseq()
    await account.write(
        lambda tx: messages.store_flags(tx, account.inbox.id, box, [2], "add", FLAGGED)
    )
    changes = [FlagChange(uid, (0, ()), remove=(SEEN, ("work",))) for uid in (11, 12, 13)]
    assert await apply(account, folder, *changes, upto=seen) == [12]
    assert await account.mail() == {1: (0, ()), 2: (SEEN | FLAGGED, ("work",)), 3: (0, ())}
    assert (await account.remote(folder))[12].flags == (SEEN, ("work",))
    assert await apply(account, folder, *changes) == []
    assert (await account.mail())[2] == (FLAGGED, ())


async def test_a_base_is_kept_for_what_is_expunged_here(db: Database) -> None:
    account, folder, box = await filled(db)
    await account.write(lambda tx: messages.expunge(tx, account.inbox.id, box, [1], only_deleted=False, now=NOW))
    assert await apply(account, folder, FlagChange(11, (FLAGGED, ()), add=(FLAGGED, ())), upto=0) == []
    assert (await account.remote(folder))[11].flags == (FLAGGED, ())


async def test_keywords_without_room_are_not_agreed_upon(db: Database) -> None:
    account, folder, _ = await filled(db)
    names = tuple(f"k{number:02}" for number in range(58))
    await apply(account, folder, FlagChange(11, (0, names), add=(0, names)))
    local, agreed = (await account.mail())[1], (await account.remote(folder))[11].flags
    assert local == (SEEN, (*names[:57], "work"))
    assert agreed == (0, names[:57])


async def test_batches_are_bounded(db: Database) -> None:
    account, folder, _ = await filled(db, 1)
    with pytest.raises(InvalidRequest):
        await apply(account, folder, *[FlagChange(uid, (0, ())) for uid in range(BATCH + 1)])


async def vanish(account: Account, folder: RemoteFolder, uids: Sequence[int], policy: str, **more: Any) -> list[int]:
    upto = more.pop("upto", None)
    seen = await account.modseq() if upto is None else upto
    found: list[int] = await account.write(
        lambda tx: upstream.vanished(
            tx, account.claim, folder.id, VALIDITY, uids, policy, upto=seen, now=NOW, **more  # type: ignore[arg-type]
        )
    )
    return found


async def test_vanished_and_kept(db: Database) -> None:
    account, folder, _ = await filled(db)
    for _ in range(2):
        assert await vanish(account, folder, [11, 13, 99], "keep") == []
    assert list(await account.mail()) == [1, 2, 3]
    known = await account.remote(folder)
    assert [known[uid].gone for uid in (11, 12, 13)] == [Gone.VANISHED, None, Gone.VANISHED]
    assert (await account.get(folder.id)).live == 1
    await account.twice(lambda tx: upstream.forget(tx, account.claim, folder.id, VALIDITY, [11, 12], now=NOW))
    assert list(await account.remote(folder)) == [13]
    assert (await account.get(folder.id)).live == 0
    assert list(await account.mail()) == [1, 2, 3]


async def test_vanished_and_deleted(db: Database) -> None:
    account, folder, box = await filled(db)
    seen = await account.modseq()
    await account.write(
        lambda tx: messages.store_flags(tx, account.inbox.id, box, [3], "add", FLAGGED)
    )
    assert await vanish(account, folder, [11, 13], "delete", upto=seen) == [13]
    assert list(await account.mail()) == [2, 3]
    assert list(await account.remote(folder)) == [12, 13]
    assert (await account.get(folder.id)).live == 2
    assert await vanish(account, folder, [11, 13], "delete") == []
    assert list(await account.mail()) == [2]
    # What was marked before goes too, and is not counted twice.
    await vanish(account, folder, [12], "keep")
    await vanish(account, folder, [12], "delete")
    assert (await account.mail(), (await account.get(folder.id)).live) == ({}, 0)


async def test_vanished_and_thrown_away(db: Database) -> None:
    account, folder, _ = await filled(db)
    trash = await account.box("Trash")
    before = await account.email_ids()
    with pytest.raises(InvalidRequest):
        await vanish(account, folder, [11], "trash")
    assert await vanish(account, folder, [11, 12], "trash", trash=trash) == []
    assert await account.email_ids("Trash") == {1: before[1], 2: before[2]}
    assert list(await account.mail()) == [3]
    assert list(await account.remote(folder)) == [13]
    # What lies in Trash stays there.
    other = await account.folder("Deleted", local="Trash")
    await account.bring(other, [arrival(5, trash)])
    await vanish(account, other, [5], "trash", trash=trash)
    assert len(await account.mail("Trash")) == 3
    assert await account.remote(other) == {}


async def carry(account: Account, *changes: Moved, upto: int | None = None) -> list[Key]:
    seen = await account.modseq() if upto is None else upto
    found: list[Key] = await account.write(
        lambda tx: moves.moved(tx, account.claim, changes, upto=seen, now=NOW)
    )
    return found


async def test_a_move_upstream_is_a_move_here(db: Database) -> None:
    account, folder, box = await filled(db)
    spam = await account.box("Spam")
    other = await account.folder("Junk", local="Spam", validity=88)
    before = await account.email_ids()
    change = [
        Moved(Key(folder.id, VALIDITY, uid), Key(other.id, 88, new), spam, base=(FLAGGED, ()), modseq=9)
        for uid, new in ((13, 5), (11, 6))
    ]
    assert await carry(account, *change) == []
    assert list(await account.mail()) == [2]
    assert sorted((await account.email_ids("Spam")).values()) == sorted((before[1], before[3]))
    there = await account.remote(other)
    assert {uid: (each.flags, each.modseq) for uid, each in there.items()} == {
        5: ((FLAGGED, ()), 9), 6: ((FLAGGED, ()), 9),
    }  # fmt: skip
    stands = await account.stands(other, [5, 6])
    assert {uid: each[0].email_id for uid, each in stands.items()} == {5: before[3], 6: before[1]}
    assert [(await account.get(each)).live for each in (folder.id, other.id)] == [1, 2]
    assert await carry(account, *change) == []  # repeated: done before
    assert len(await account.mail("Spam")) == 2
    assert (await account.email_ids("Spam"))[stands[5][0].local_uid] == before[3]
    assert box != spam


async def test_a_move_that_was_imported_already_leaves_one_message(db: Database) -> None:
    account, folder, _ = await filled(db)
    spam = await account.box("Spam")
    other = await account.folder("Junk", local="Spam", validity=88)
    await account.bring(other, [arrival(5, spam, text="message-11")])
    change = Moved(Key(folder.id, VALIDITY, 11), Key(other.id, 88, 5), spam)
    assert await carry(account, change) == []
    assert (list(await account.mail()), list(await account.mail("Spam"))) == ([2, 3], [1])
    assert [(await account.get(each)).live for each in (folder.id, other.id)] == [2, 1]


async def test_pairs_that_a_server_made_up(db: Database) -> None:
    account, folder, box = await filled(db)
    other = await account.folder("Junk", local="Spam", validity=88)
    spam = await account.box("Spam")

    def move(old: int, new: int) -> Moved:
        return Moved(Key(folder.id, VALIDITY, old), Key(other.id, 88, new), spam)

    same = Moved(Key(folder.id, VALIDITY, 13), Key(folder.id, VALIDITY, 13), box)
    assert await carry(account, move(11, 5), move(12, 5), move(11, 6), same) == []
    assert (sorted(await account.remote(folder)), sorted(await account.remote(other))) == ([12, 13], [5])
    assert (list(await account.mail()), list(await account.mail("Spam"))) == ([2, 3], [1])


async def test_moves_meet_what_was_done_here(db: Database) -> None:
    account, folder, box = await filled(db)
    spam = await account.box("Spam")
    other = await account.folder("Junk", local="Spam", validity=88)
    seen = await account.modseq()
    await account.write(lambda tx: messages.expunge(tx, account.inbox.id, box, [1], only_deleted=False, now=NOW))
    await account.write(lambda tx: messages.store_flags(tx, account.inbox.id, box, [2], "add", FLAGGED))
    change = [Moved(Key(folder.id, VALIDITY, uid), Key(other.id, 88, uid), spam) for uid in (11, 12, 13)]
    assert await carry(account, *change, upto=seen) == [change[1].old]
    # What was expunged here is known in its new folder, and nothing stands for it.
    assert sorted(await account.remote(other)) == [11, 13]
    assert sorted(await account.stands(other, [11, 13])) == [13]
    assert list(await account.mail()) == [2]
    with pytest.raises(NotFound):
        await carry(account, Moved(change[1].old, change[1].new, MailboxId(spam + 999)))
    assert await carry(account, change[1]) == []
    assert sorted(await account.remote(other)) == [11, 12, 13]


async def test_labels_bring_copies_and_take_them_away(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder("All", local=None)
    for name in ("Work", "Home", "Archive"):
        await account.write(lambda tx, name=name: mailboxes.create(tx, account.inbox.id, name, now=NOW))
    inbox, work, home, archive = [await account.box(name) for name in ("INBOX", "Work", "Home", "Archive")]
    await account.bring(folder, [arrival(4, inbox, labels=("\\Inbox",), flags=(SEEN, ("kept",)))])
    email = (await account.email_ids())[1]

    async def relabel(labels: dict[str, MailboxId], upto: int | None = None) -> Relabelled:
        seen = await account.modseq() if upto is None else upto
        change = LabelChange(4, tuple(labels), [Target(box, label) for label, box in labels.items()], modseq=7)
        found: Relabelled = await account.write(
            lambda tx: moves.relabel(tx, account.claim, folder.id, VALIDITY, [change], upto=seen, now=NOW)
        )
        return found

    async def where() -> dict[str, list[str]]:
        names = ("INBOX", "Work", "Home", "Archive")
        return {name: list((await account.email_ids(name)).values()) for name in names}

    made = await relabel({"\\Inbox": inbox, "W": work, "H": home})
    assert sorted(place.mailbox_id for place in made.places) == sorted((work, home))
    assert await where() == {"INBOX": [email], "Work": [email], "Home": [email], "Archive": []}
    assert (await account.mail("Home")) == {1: (SEEN, ("kept",))}
    assert await relabel({"\\Inbox": inbox, "W": work, "H": home}) == Relabelled()
    await relabel({"A": archive})  # out of three, into one
    assert await where() == {"INBOX": [], "Work": [], "Home": [], "Archive": [email]}
    await relabel({"W": work, "H": home})  # out of one, into two
    assert await where() == {"INBOX": [], "Work": [email], "Home": [email], "Archive": []}
    await relabel({"W2": work})
    known = (await account.remote(folder))[4]
    assert (known.labels, known.modseq) == (("W2",), 7)
    assert [place.label for place in (await account.stands(folder, [4]))[4]] == ["W2"]
    uid = next(iter(await account.mail("Work")))
    seen = await account.modseq()
    await account.write(lambda tx: messages.store_flags(tx, account.inbox.id, work, [uid], "add", FLAGGED))
    assert (await relabel({"\\Inbox": inbox}, upto=seen)).left == (4,)
    await account.write(lambda tx: messages.expunge(tx, account.inbox.id, work, [uid], only_deleted=False, now=NOW))
    assert (await relabel({"\\Inbox": inbox})).lost == (4,)
    assert (await account.remote(folder))[4].labels == ("W2",)
