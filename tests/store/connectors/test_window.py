"""The import of a window: exactly once, whatever is repeated, interrupted or shared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model.errors import InvalidRequest, MailboxGone, NotFound, OverQuota
from gateway.model.flags import FLAGGED, SEEN
from gateway.store import cleanup, content, holds, mailboxes, messages, quota
from gateway.store.connectors import window
from gateway.store.connectors.rows import WINDOW, Changed, ContentNeeded, FolderId, Gone
from gateway.store.connectors.upstream import vanished
from gateway.store.connectors.window import Arrival, Cursor, Target
from gateway.store.content import CHUNK, IdBlocks, stage_chunks
from gateway.store.db import Database, Tx
from gateway.store.messages import Columns
from gateway.store.quota import Limits
from gateway.store.statements import Stmt
from tests.store.helpers import NOW, staged

from .kit import VALIDITY, arrival, body, make_account

CONTENTS = Stmt("SELECT count(*) FROM content_meta")
SOURCES = Stmt("SELECT source_key FROM local_source ORDER BY source_key")


async def test_a_window_is_mail_with_its_dates_and_flags(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder(uidnext=1)
    box = await account.box("INBOX")
    made = await account.bring(
        folder,
        [arrival(7, box, flags=(SEEN, ("Work",)), modseq=9), arrival(9, box, flags=(FLAGGED, ()), size=1234)],
        Cursor(uidnext=10, highest_modseq=12, phase="changes"),
    )
    assert await account.mail() == {1: (SEEN, ("Work",)), 2: (FLAGGED, ())}
    rows = await db.read(lambda rx: messages.fetch_rows(rx, box, [1, 2], Columns.INTERNAL_DATE | Columns.EMAIL_ID))
    assert [row[1] for row in rows] == [NOW - 7, NOW - 9]
    assert [row[2] for row in rows] == made.email_ids
    assert [(place.uid, place.mailbox_id, place.local_uid) for place in made.places] == [(7, box, 1), (9, box, 2)]
    known = await account.remote(folder)
    assert (known[7].flags, known[7].modseq, known[7].gone) == ((SEEN, ("Work",)), 9, None)
    assert known[9].size == 1234
    after = await account.get(folder.id)
    assert (after.uidnext, after.highest_modseq, after.phase, after.live) == (10, 12, "changes", 2)


async def test_a_window_that_is_repeated_makes_nothing(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    first = await account.bring(folder, [arrival(1, box), arrival(2, box)], Cursor(uidnext=3))
    again = await account.bring(folder, [arrival(1, box), arrival(2, box), arrival(3, box)], Cursor(uidnext=3))
    assert (again.known, [place.uid for place in again.places]) == ((1, 2), [3])
    assert len(await account.mail()) == 3
    assert len({*first.email_ids, *again.email_ids}) == 3
    assert (await account.get(folder.id)).live == 3


async def test_cursors_never_go_the_wrong_way(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder(uidnext=50)
    await account.bring(folder, [], Cursor(uidnext=60, backfill_low=30))
    await account.bring(folder, [], Cursor(uidnext=55, backfill_low=40))
    after = await account.get(folder.id)
    assert (after.uidnext, after.backfill_low) == (60, 30)


async def test_the_same_octets_are_stored_once_and_are_two_messages(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    other = await account.folder("Archive", local="Spam")
    box, spam = await account.box("INBOX"), await account.box("Spam")
    await account.bring(folder, [arrival(1, box, text="same"), arrival(2, box, text="same")])
    await account.bring(other, [arrival(5, spam, text="same", content=False)])
    assert await db.read(lambda rx: rx.scalar(CONTENTS)) == 1
    assert len(await account.mail()) == 2
    ids = [*(await account.email_ids()).values(), *(await account.email_ids("Spam")).values()]
    assert len(ids) == 3
    assert len(set(ids)) == 1  # RFC 8474 4: the same content may have the same EMAILID, as after COPY


async def test_a_message_with_labels_is_in_several_mailboxes(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder("[Gmail]/All Mail", local=None)
    inbox, spam = await account.box("INBOX"), await account.box("Spam")
    each = arrival(4, labels=("\\Inbox", "Réunion ]"))
    labelled = Arrival(4, each.flags, each.internal_date, each.content, [Target(inbox, "\\Inbox"), Target(spam, "R")],
                       source_key="gm:1", labels=("\\Inbox", "Réunion ]"))  # fmt: skip
    made = await account.bring(folder, [labelled])
    assert [place.label for place in made.places] == ["\\Inbox", "R"]
    assert len(made.email_ids) == 1
    assert (await account.remote(folder))[4].labels == ("Réunion ]", "\\Inbox")
    assert len(await account.mail()) == len(await account.mail("Spam")) == 1


async def test_a_message_for_no_mailbox_is_known_and_leaves_nothing(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    made = await account.bring(folder, [arrival(1)])
    assert made.places == ()
    assert list(await account.remote(folder)) == [1]
    assert await db.read(lambda rx: rx.scalar(CONTENTS)) == 0


async def test_a_known_source_whose_content_was_collected_is_asked_for(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(1, box, text="once")], Cursor(uidnext=2))
    await account.write(lambda tx: messages.expunge(tx, account.inbox.id, box, [1], only_deleted=False, now=NOW))
    # Expunged and not collected yet: nothing holds it, so it counts as gone.
    window_ = [arrival(2, box), arrival(3, box, text="once", content=False)]
    with pytest.raises(ContentNeeded) as needed:
        await account.bring(folder, window_, Cursor(uidnext=4))
    assert needed.value.uids == (3,)
    assert (await account.get(folder.id)).uidnext == 2
    assert await account.mail() == {}
    await db.write(lambda tx: cleanup.forget_expunged(tx, NOW, 100))
    await db.write(lambda tx: cleanup.collect_contents(tx, NOW, 100))
    assert await db.read(lambda rx: rx.all(SOURCES)) == []
    await account.bring(folder, [arrival(2, box), arrival(3, box, text="once")], Cursor(uidnext=4))
    assert len(await account.mail()) == 2


async def test_a_message_that_decides_about_a_submission_shares_its_octets_only(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box, drafts = await account.box("INBOX"), await account.box("Drafts")
    await account.bring(folder, [arrival(1, box, text="same")])
    content = (await db.read(lambda rx: messages.fetch_rows(rx, box, [1], Columns.CONTENT_ID)))[0][1]

    def unit(tx: Tx) -> None:
        messages.append(
            tx, drafts, account.inbox.id, content, internal_date=NOW, now=NOW, email_id=holds.draft_id()
        )
        messages.expunge(tx, account.inbox.id, box, [1], only_deleted=False, now=NOW)

    await account.write(unit)
    made = await account.bring(folder, [arrival(2, box, text="same", content=False)])
    assert made.email_ids[0] not in (await account.email_ids("Drafts")).values()
    assert await db.read(lambda rx: rx.scalar(CONTENTS)) == 1


async def test_a_full_inbox_refuses_the_whole_window(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.write(lambda tx: quota.set_limits(tx, account.inbox.id, Limits(messages=2)))
    with pytest.raises(OverQuota):
        await account.bring(folder, [arrival(uid, box) for uid in (1, 2, 3)], Cursor(uidnext=4))
    assert (await account.mail(), await account.remote(folder)) == ({}, {})
    assert (await account.get(folder.id)).uidnext == 1
    made = await account.bring(folder, [arrival(1, box), arrival(2, box)], Cursor(uidnext=3))
    assert made.nearly_full
    assert (await account.get(folder.id)).uidnext == 3


async def test_keywords_beyond_the_limit_are_left_out_and_said(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    names = tuple(f"k{number:02}" for number in range(60))
    made = await account.bring(folder, [arrival(1, box, flags=(0, names)), arrival(2, box, flags=(0, ("K00", "new")))])
    assert made.keywords_dropped == {"k58", "k59", "new"}
    assert await account.mail() == {1: (0, names[:58]), 2: (0, ("k00",))}
    known = await account.remote(folder)
    assert (known[1].flags, known[2].flags) == ((0, names[:58]), (0, ("K00",)))


async def test_a_uid_that_is_listed_twice_is_one_message(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    made = await account.bring(folder, [arrival(1, box, text="first"), arrival(1, box, text="second")])
    assert len(made.places) == 1
    assert (await account.remote(folder))[1].source_key == "sha256:first"


async def test_what_vanished_and_is_listed_again_is_there_again(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(1, box)])
    await account.twice(
        lambda tx: vanished(tx, account.claim, folder.id, VALIDITY, [1], "keep", upto=0, now=NOW)
    )
    assert (await account.remote(folder))[1].gone is Gone.VANISHED
    assert (await account.get(folder.id)).live == 0
    made = await account.bring(folder, [arrival(1, box)])
    assert (made.known, made.places) == ((1,), ())
    assert (await account.remote(folder))[1].gone is None
    assert (len(await account.mail()), (await account.get(folder.id)).live) == (1, 1)


async def test_staged_octets_of_what_is_known_are_collected(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    ids = IdBlocks(db)
    piece = b"x" * CHUNK

    async def big() -> Arrival:
        number = await ids.take()
        await db.write(lambda tx: stage_chunks(tx, number, 0, [piece], now=NOW))  # type: ignore[arg-type]
        made = staged(b"Subject: big\r\n\r\n" + piece)
        made = replace(made, content_id=number, body_id=number, tail=(), tail_index=1)  # type: ignore[arg-type]
        return Arrival(1, (0, ()), NOW, made, [Target(box)], source_key="sha256:big")

    await account.bring(folder, [await big()])
    await account.bring(folder, [await big()])  # as after a crash whose commit had been made
    assert len(await account.mail()) == 1
    while await db.write(lambda tx: cleanup.drop_staged(tx, NOW, 100)):
        pass
    assert await db.read(lambda rx: rx.scalar(Stmt("SELECT count(*) FROM content_chunk"))) == 1


async def test_what_was_sent_from_here_is_in_sent_once(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder("Sent", local="Sent")
    sent, box = await account.box("Sent"), await account.box("INBOX")

    def file(tx: Tx) -> list[str]:
        ids = []
        for text, auto in (("own", True), ("client", False), ("other", False)):
            made = body(text)
            content.complete(tx, made, NOW)
            ids.append(messages.append(
                tx, sent, account.inbox.id, made, internal_date=NOW, now=NOW, auto_sent=auto, flags=SEEN
            ).email_id)  # fmt: skip
        return ids

    ids = await account.write(file)
    filed = [arrival(uid, sent, text=text) for uid, text in ((5, "own"), (6, "client"), (7, "fresh"), (8, "own"))]
    made = await account.bring(folder, [*filed, arrival(9, box, text="other")])
    assert [(place.uid, place.local_uid, place.email_id) for place in made.adopted] == [(5, 1, ids[0]), (6, 2, ids[1])]
    assert [place.uid for place in made.places] == [7, 8, 9]
    known = await account.remote(folder)
    assert (known[5].flags, (await account.get(folder.id)).live) == ((0, ()), 5)
    again = await account.bring(folder, filed)
    assert again.known == (5, 6, 7, 8)
    assert sorted((await account.email_ids("Sent")).values()) == sorted(
        [*ids, *[place.email_id for place in made.places if place.mailbox_id == sent]]
    )


async def test_what_no_database_holds_is_no_key_and_no_label(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    for uid, key in ((1, "oid:\x00"), (2, "oid:\udcff"), (3, "k" * 501)):
        each = arrival(uid, text="same", key=key, labels=("a\x00", "\udcff"))
        each = replace(each, targets=[Target(box, "a\x00\udcff")])
        await account.bring(folder, [each])
        with pytest.raises(ContentNeeded):
            await account.bring(folder, [replace(each, uid=20), replace(each, uid=uid + 10, content=None)])
    known = await account.remote(folder)
    assert [row.source_key for row in known.values()] == [None] * 3
    assert known[1].labels == ("a\x00", "\udcff")
    assert [place.label for place in (await account.stands(folder, [1]))[1]] == ["a\ufffd\ufffd"]
    assert await db.read(lambda rx: rx.all(SOURCES)) == []


async def test_what_cannot_be_is_refused(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.write(lambda tx: mailboxes.create(tx, account.inbox.id, "Work", now=NOW))
    work = await account.box("Work")
    await account.write(lambda tx: mailboxes.delete(tx, account.inbox.id, "Work", now=NOW))
    with pytest.raises(MailboxGone):
        await account.bring(folder, [arrival(1, box), arrival(2, work)])
    with pytest.raises(InvalidRequest):
        await account.bring(folder, [arrival(uid, box) for uid in range(1, WINDOW + 2)])

    def other(tx: Tx, folder_id: int, validity: int) -> None:
        window.import_window(tx, account.claim, FolderId(folder_id), validity, [arrival(1, box)], now=NOW)

    with pytest.raises(Changed):
        await account.write(lambda tx: other(tx, folder.id, VALIDITY + 1))
    with pytest.raises(NotFound):
        await account.write(lambda tx: other(tx, folder.id + 1000, VALIDITY))
    assert await account.mail() == {}
    assert body("x").content_id  # nothing of the refused ones was kept
    assert await db.read(lambda rx: rx.scalar(CONTENTS)) == 0
