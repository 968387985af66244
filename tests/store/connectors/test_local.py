"""What changed here, found by state; and what came of sending it up."""

from __future__ import annotations

from gateway.model.flags import FLAGGED, SEEN
from gateway.store import cleanup, mailboxes, messages
from gateway.store.connectors import accounts, adopt, lease, local, places, upstream
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.local import Agreed, LocalChanges
from gateway.store.connectors.moves import Key
from gateway.store.connectors.rows import RemoteFolder
from gateway.store.connectors.window import Cursor
from gateway.store.db import Database, Tx
from tests.store.helpers import NOW, put

from .kit import LIFE, NODE, VALIDITY, Account, arrival, make_account


async def look(account: Account, folder: RemoteFolder, **options: int) -> LocalChanges:
    current = await account.get(folder.id)
    return await account.db.read(lambda rx: local.local_changes(rx, account.inbox.id, current, **options))


async def agree(account: Account, folder: RemoteFolder, *agreed: Agreed, upto: int | None = None) -> None:
    await account.twice(
        lambda tx: local.agree(
            tx, account.claim, folder.id, VALIDITY, agreed, pushed_modseq=upto, now=NOW
        )
    )


async def test_what_an_import_did_shows_once_and_differs_in_nothing(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    made = await account.bring(folder, [arrival(7, box, flags=(SEEN, ("work",)))])
    found = await look(account, folder)
    assert (len(found.changed), found.removed, found.complete, found.exists) == (1, [], True, True)
    assert found.changed[0].flags == found.changed[0].base == (SEEN, ("work",))
    assert found.changed[0].place == made.places[0]
    await agree(account, folder, upto=found.highest_modseq)
    assert await look(account, folder) == LocalChanges(found.highest_modseq, [], [])
    await agree(account, folder, upto=1)  # never back
    assert (await account.get(folder.id)).pushed_modseq == found.highest_modseq


async def test_flags_removals_and_news(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(uid, box) for uid in (7, 8, 9)], Cursor(uidnext=10))
    await agree(account, folder, upto=(await look(account, folder)).highest_modseq)
    inbox = account.inbox.id

    def unit(tx: Tx) -> None:
        messages.store_flags(tx, inbox, box, [1], "add", FLAGGED, ("mine",))
        messages.expunge(tx, inbox, box, [2], only_deleted=False, now=NOW)
        put(tx, inbox, box, b"Subject: new\r\n\r\n")

    await account.write(unit)
    found = await look(account, folder)
    assert [(each.uid, each.flags, each.base) for each in found.changed] == [
        (1, (FLAGGED, ("mine",)), (0, ())), (4, (0, ()), None),
    ]  # fmt: skip
    assert found.changed[1].place is None
    assert found.changed[1].size == len(b"Subject: new\r\n\r\n")
    assert [(each.place.uid, each.gone) for each in found.removed] == [(8, None)]
    await agree(account, folder, Agreed(7, (FLAGGED, ("mine",)), 44), upto=found.highest_modseq)
    await account.write(lambda tx: upstream.forget(tx, account.claim, folder.id, VALIDITY, [8], now=NOW))
    known = await account.remote(folder)
    assert (known[7].flags, known[7].modseq, sorted(known)) == ((FLAGGED, ("mine",)), 44, [7, 9])
    after = await look(account, folder)
    assert (after.changed, after.removed) == ([], [])


async def test_a_move_here_is_a_lost_place_and_its_emailid_elsewhere(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box, spam = await account.box("INBOX"), await account.box("Spam")
    other = await account.folder("Junk", local="Spam", validity=88)
    await account.bring(folder, [arrival(7, box)])
    email = (await account.email_ids())[1]
    await account.write(lambda tx: messages.move(tx, account.inbox.id, box, [1], spam, now=NOW))
    lost = (await look(account, folder)).removed
    news = (await look(account, other)).changed
    assert [each.place.email_id for each in lost] == [each.email_id for each in news] == [email]
    found = await db.read(lambda rx: places.whereabouts(rx, account.inbox.id, [email, "Mnothing"]))
    assert [(each.mailbox_id, each.uid, each.placed) for each in found] == [(spam, 1, False)]

    def finish(tx: Tx) -> None:
        key = Key(other.id, 88, 3)
        assert adopt.placed(tx, account.claim, key, (spam, 1, email), (SEEN, ()), modseq=6, now=NOW)
        upstream.forget(tx, account.claim, folder.id, VALIDITY, [7], now=NOW)

    await account.twice(finish)
    assert (await account.remote(other))[3].flags == (SEEN, ())
    assert await account.remote(folder) == {}
    assert [(await account.get(each)).live for each in (folder.id, other.id)] == [0, 1]
    made = await account.bring(other, [arrival(3, spam, text="message-7")])
    assert (made.known, len(await account.mail("Spam"))) == ((3,), 1)


async def test_a_pull_that_was_faster_than_the_end_of_an_append_leaves_one_copy(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    mine = await account.write(lambda tx: put(tx, account.inbox.id, box, b"Subject: mine\r\n\r\n"))
    await account.bring(folder, [arrival(5, box, text="mine")])
    assert list(await account.mail()) == [1, 2]
    place = (box, mine.uid, mine.email_id)
    for _ in range(2):
        assert await account.write(
            lambda tx: adopt.placed(
                tx, account.claim, Key(folder.id, VALIDITY, 5), place, (0, ()), source_key="gm:5", now=NOW
            )
        )
    assert await account.email_ids() == {1: mine.email_id}
    assert [each.local_uid for each in (await account.stands(folder, [5]))[5]] == [1]
    assert not await account.write(
        lambda tx: adopt.placed(tx, account.claim, Key(folder.id, VALIDITY + 1, 6), place, (0, ()), now=NOW)
    )


async def test_an_upload_that_was_removed_here_meanwhile_is_seen_as_removed(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    mine = await account.write(lambda tx: put(tx, account.inbox.id, box))
    await account.write(lambda tx: messages.expunge(tx, account.inbox.id, box, [1], only_deleted=False, now=NOW))
    await account.write(
        lambda tx: adopt.placed(
            tx, account.claim, Key(folder.id, VALIDITY, 5), (box, mine.uid, mine.email_id), (0, ()), now=NOW
        )
    )
    assert [each.place.uid for each in (await look(account, folder)).removed] == [5]
    lost, end = await db.read(lambda rx: local.lost(rx, account.row.id, box))
    assert ([each.place.uid for each in lost], end) == ([5], None)
    assert await db.read(lambda rx: local.lost(rx, account.row.id, box, after=1)) == ([], None)


async def test_too_much_at_once_is_read_by_pages(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(uid, box) for uid in range(1, 8)])
    assert not (await look(account, folder, most=3)).complete
    first, after = await db.read(lambda rx: local.page(rx, account.row.id, box, limit=4))
    assert after == 4
    rest, end = await db.read(lambda rx: local.page(rx, account.row.id, box, 4, limit=4))
    assert ([each.uid for each in (*first, *rest)], end) == (list(range(1, 8)), None)
    assert all(each.place is not None and each.base == (0, ()) for each in first)


async def test_more_changes_of_flags_than_their_record_holds(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(uid, box) for uid in range(1, 101)])
    await agree(account, folder, upto=(await look(account, folder)).highest_modseq)
    for uid in range(1, 100, 2):
        await account.write(
            lambda tx, uid=uid: messages.store_flags(tx, account.inbox.id, box, [uid], "add", FLAGGED)
        )
    found = await look(account, folder, most=50)
    assert found.complete
    assert [each.uid for each in found.changed] == list(range(1, 100, 2))
    assert not (await look(account, folder, most=49)).complete


async def test_records_that_are_too_old_are_said(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(uid, box) for uid in (1, 2, 3)])
    for uid in (1, 2):
        await account.write(
            lambda tx, uid=uid: messages.expunge(tx, account.inbox.id, box, [uid], only_deleted=False, now=NOW)
        )
    await account.write(lambda tx: cleanup.prune_record(tx, account.inbox.id, box, 1, 100))
    found = await look(account, folder)
    assert not found.complete
    found_lost, after = await db.read(lambda rx: local.lost(rx, account.row.id, box, limit=2))
    assert ([each.place.uid for each in found_lost], after) == ([1, 2], 2)
    assert await db.read(lambda rx: local.lost(rx, account.row.id, box, 2, limit=2)) == ([], None)


async def test_a_mailbox_that_is_gone_is_said(db: Database) -> None:
    account = await make_account(db)
    await account.write(lambda tx: mailboxes.create(tx, account.inbox.id, "Work", now=NOW))
    folder = await account.folder("Work", local="Work")
    work = await account.box("Work")
    await account.bring(folder, [arrival(1, work)])
    await account.write(lambda tx: mailboxes.delete(tx, account.inbox.id, "Work", now=NOW))
    assert not (await look(account, folder)).exists
    unlinked = await account.folder("Nowhere", local=None)
    assert not (await look(account, unlinked)).exists


async def test_what_belongs_to_another_connector_is_not_ours_to_send(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(1, box), arrival(2, box)])
    row = await db.write(
        lambda tx: accounts.create(
            tx, NewConnector(account.inbox.pod_id, "second", "b@elsewhere.test", inbox_id=account.inbox.id), now=NOW
        )
    )
    claim = await db.write(lambda tx: lease.claim_one(tx, row.id, NODE, LIFE, NOW))
    assert claim is not None
    other = Account(db, account.inbox, row, claim)
    theirs = await other.folder(everything=True)
    await account.write(lambda tx: messages.expunge(tx, account.inbox.id, box, [2], only_deleted=False, now=NOW))
    await account.write(lambda tx: put(tx, account.inbox.id, box))
    found = await look(other, theirs)
    assert ([each.uid for each in found.changed], found.removed) == ([3], [])
    pages, _ = await db.read(lambda rx: local.page(rx, row.id, box))
    assert [each.uid for each in pages] == [3]
    assert await db.read(lambda rx: local.lost(rx, row.id, box)) == ([], None)
    mine = await look(account, folder)
    assert ([each.uid for each in mine.changed], [each.place.uid for each in mine.removed]) == ([1, 3], [2])


async def test_by_which_an_upload_is_found_again(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(1, box, text="known")])
    content = (await look(account, folder)).changed[0].content_id
    assert await db.read(lambda rx: local.message_id(rx, content)) == b"known@elsewhere.test"
