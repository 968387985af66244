"""What the up side keeps: how far local changes were seen to, folders that were made, renamed or deleted, labels."""

from __future__ import annotations

import pytest

from gateway.model.flags import DELETED, SEEN
from gateway.model.ids import MailboxId
from gateway.store import mailboxes
from gateway.store.connectors import accounts, lease, local, ops, places, pushing, state
from gateway.store.connectors.folders import Discovered
from gateway.store.connectors.ops import OpState
from gateway.store.connectors.rows import LeaseLost, Place
from gateway.store.db import Database, Tx
from tests.store.helpers import NOW, put

from .kit import VALIDITY, arrival, make_account


async def test_seen_to_is_for_the_folders_that_were_looked_at_and_never_goes_back(db: Database) -> None:
    account = await make_account(db)
    first, other = await account.folder(), await account.folder("Junk", local="Spam", validity=88)
    await account.bring(first, [arrival(7, await account.box("INBOX"))])
    upto = await account.modseq()
    before = (await account.get(other.id)).pushed_modseq
    await account.twice(lambda tx: pushing.seen_to(tx, account.claim, [first.id], upto, now=NOW))
    await account.write(lambda tx: pushing.seen_to(tx, account.claim, [first.id], 1, now=NOW))
    assert (await account.get(first.id)).pushed_modseq == upto
    assert (await account.get(other.id)).pushed_modseq == before
    found = await db.read(lambda rx: local.local_changes(rx, account.inbox.id, first))
    assert len(found.changed) == 1


async def test_a_folder_that_was_made_there_gets_all_of_its_mailbox(db: Database) -> None:
    account = await make_account(db)
    box = await account.write(lambda tx: mailboxes.create(tx, account.inbox.id, "New", now=NOW).id)
    await account.write(lambda tx: put(tx, account.inbox.id, box))
    made = Discovered(b"New", "New", "/", True)
    number = await account.twice(lambda tx: pushing.added(tx, account.claim, made, box, now=NOW))
    row = await account.get(number)
    assert (row.raw, row.mailbox_id, row.pushed_modseq, row.gone) == (b"New", box, 0, False)
    found = await db.read(lambda rx: local.local_changes(rx, account.inbox.id, row))
    assert len(found.changed) == 1


async def test_a_renamed_folder_takes_what_is_below_along(db: Database) -> None:
    account = await make_account(db)
    for name in ("Work", "Work/Old", "Workshop"):
        await account.folder(name)
    rows = await account.folders()

    def unit(tx: Tx) -> None:
        pushing.renamed(tx, account.claim, rows, b"Work", b"Job", "Work", "Job", delimiter=b"/", now=NOW)

    await account.twice(unit)
    assert sorted(row.raw for row in await account.folders()) == [b"Job", b"Job/Old", b"Workshop"]
    assert sorted(row.name for row in await account.folders()) == ["Job", "Job/Old", "Workshop"]


async def test_renames_are_in_the_log(db: Database) -> None:
    account = await make_account(db)
    inbox = account.inbox.id
    boxes = [
        await account.write(lambda tx, name=name: mailboxes.create(tx, inbox, name, now=NOW).id)
        for name in ("A", "A/B", "C")
    ]
    since = await account.modseq()
    assert await db.read(lambda rx: pushing.renamed_since(rx, inbox, since)) == set()
    await account.write(lambda tx: mailboxes.rename(tx, inbox, "A", "D", now=NOW))
    assert await db.read(lambda rx: pushing.renamed_since(rx, inbox, since)) == set(boxes[:2])


async def test_deleted_mailboxes_are_in_the_log(db: Database) -> None:
    account = await make_account(db)
    inbox = account.inbox.id
    box = await account.write(lambda tx: mailboxes.create(tx, inbox, "A", now=NOW).id)
    since = await account.modseq()
    await account.write(lambda tx: mailboxes.rename(tx, inbox, "A", "B", now=NOW))
    assert await db.read(lambda rx: pushing.deleted_since(rx, inbox, since)) == set()
    await account.write(lambda tx: mailboxes.delete(tx, inbox, "B", now=NOW))
    assert await db.read(lambda rx: pushing.deleted_since(rx, inbox, since)) == {box}


async def test_a_folder_whose_mailbox_went_while_it_was_made_is_seen_by_it(db: Database) -> None:
    account = await make_account(db)
    await account.folder("Work")
    row = (await account.folders())[0]
    box = MailboxId(987_654)
    await account.twice(lambda tx: pushing.made_for(tx, account.claim, row.id, box, now=NOW))
    assert {one.id: one.mailbox_id for one in await account.folders()}[row.id] == box


@pytest.mark.parametrize("gone", [True, False])
async def test_a_folder_that_ended_is_as_if_it_were_new(db: Database, gone: bool) -> None:
    account = await make_account(db)
    folder = await account.folder()
    await account.bring(folder, [arrival(7, await account.box("INBOX"))])
    await account.twice(lambda tx: pushing.ended(tx, account.claim, folder.id, gone=gone, now=NOW))
    row = await account.get(folder.id)
    assert (row.gone, row.uidvalidity, row.uidnext, row.mailbox_id, row.live, row.phase) == (
        gone, None, None, None, 0, "new",
    )  # fmt: skip
    assert await account.remote(folder, VALIDITY) == {}
    assert await account.stands(folder, [7], VALIDITY) == {}
    assert len(await account.mail()) == 1, "no mail is touched"


async def test_what_cannot_be_expunged_stays_known_and_stands_for_nothing(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    await account.bring(folder, [arrival(7, await account.box("INBOX"), flags=(SEEN, ()))])
    await account.twice(
        lambda tx: pushing.left_behind(tx, account.claim, folder.id, VALIDITY, [7, 9], now=NOW)
    )
    assert (await account.remote(folder))[7].flags == (SEEN | DELETED, ())
    assert await account.stands(folder, [7]) == {}
    assert (await account.get(folder.id)).live == 1


async def test_labels_and_what_no_longer_stands_for_one(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder("All", local=None)
    box, spam = await account.box("INBOX"), await account.box("Spam")
    made = await account.bring(folder, [arrival(7, box, spam)])
    lost = [place for place in made.places if place.mailbox_id == spam]

    def unit(tx: Tx) -> None:
        pushing.relabelled(tx, account.claim, folder.id, VALIDITY, 7, ["b", "a"], lost, now=NOW)

    await account.twice(unit)
    assert (await account.remote(folder))[7].labels == ("a", "b")
    assert [place.mailbox_id for place in (await account.stands(folder, [7]))[7]] == [box]
    there = await db.read(lambda rx: places.places_at(rx, MailboxId(spam), [1]))
    assert there == dict[int, Place]()


async def test_another_connectors_mailboxes(db: Database) -> None:
    account = await make_account(db)
    await account.folder()
    other = await db.write(
        lambda tx: accounts.create(
            tx, accounts.NewConnector(account.inbox.pod_id, "other", "o@x.test", inbox_id=account.inbox.id), now=NOW
        )
    )
    box = await account.box("INBOX")
    inbox = account.inbox.id
    assert await db.read(lambda rx: pushing.linked_elsewhere(rx, inbox, other.id)) == {box}
    assert await db.read(lambda rx: pushing.linked_elsewhere(rx, inbox, account.row.id)) == set()


async def test_becoming_two_way_begins_with_now(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    await account.write(lambda tx: put(tx, account.inbox.id, folder.mailbox_id or MailboxId(0)))
    row = await db.write(
        lambda tx: accounts.change(tx, account.row.id, account.row.version, {"mode": "two-way"}, now=NOW)
    )
    assert (await account.get(folder.id)).pushed_modseq == await account.modseq()
    await account.write(lambda tx: put(tx, account.inbox.id, folder.mailbox_id or MailboxId(0)))
    await db.write(lambda tx: accounts.change(tx, row.id, row.version, {"name": "other"}, now=NOW))
    assert (await account.get(folder.id)).pushed_modseq == await account.modseq() - 1, "only when the mode changes"


async def test_an_operation_that_somebody_else_asks_for(db: Database) -> None:
    account = await make_account(db)
    number = account.row.id
    for _ in range(2):
        await account.write(lambda tx: ops.ask(tx, number, "sent:1", "sent", {"size": 3}, not_before=NOW + 5, now=NOW))
    (op,) = await db.read(lambda rx: ops.open_ops(rx, number))
    assert (op.state, op.kind, op.not_before, op.payload) == (OpState.PLANNED, "sent", NOW + 5, {"size": 3})


async def test_what_was_found_out_about_sent_and_who_may_say_so(db: Database) -> None:
    account = await make_account(db)
    assert account.row.files_sent is None
    for files in (True, False):
        await account.twice(lambda tx, files=files: state.files_sent(tx, account.claim, files, now=NOW))
        assert (await db.read(lambda rx: accounts.get(rx, account.row.id))).files_sent is files
    await db.write(lambda tx: lease.revoke(tx, account.row.id))
    with pytest.raises(LeaseLost):
        await account.write(lambda tx: state.files_sent(tx, account.claim, True, now=NOW))
    with pytest.raises(LeaseLost):
        await account.write(lambda tx: pushing.seen_to(tx, account.claim, [], 5, now=NOW))
