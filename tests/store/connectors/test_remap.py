"""A new UIDVALIDITY: messages are found again under new UIDs, also when that is cut off in the middle."""

from __future__ import annotations

import pytest

from gateway.store.connectors import folders, places, poison, remap
from gateway.store.connectors.remap import Pair
from gateway.store.connectors.rows import Changed, Gone, RemoteFolder
from gateway.store.connectors.upstream import vanished
from gateway.store.connectors.window import Cursor
from gateway.store.db import Database
from tests.store.helpers import NOW

from .kit import VALIDITY, Account, arrival, make_account

NEW = 99


async def begin(account: Account, folder: RemoteFolder, validity: int = NEW) -> int:
    count: int = await account.write(
        lambda tx: remap.begin(tx, account.claim, folder.id, uidvalidity=validity, uidnext=50, modseq=3, now=NOW)
    )
    return count


async def rekey(account: Account, folder: RemoteFolder, *pairs: Pair, validity: int = NEW) -> int:
    count: int = await account.write(
        lambda tx: remap.rekey(tx, account.claim, folder.id, validity, pairs, now=NOW)
    )
    return count


async def finish(account: Account, folder: RemoteFolder) -> int:
    count: int = await account.write(lambda tx: remap.finish(tx, account.claim, folder.id, now=NOW))
    return count


async def filled(db: Database) -> tuple[Account, RemoteFolder]:
    account = await make_account(db)
    folder = await account.folder(uidnext=1)
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(uid, box) for uid in (3, 5, 8)], Cursor(uidnext=9))
    return account, folder


async def test_found_again_lost_from_sight_and_new(db: Database) -> None:
    account, folder = await filled(db)
    box = await account.box("INBOX")
    before = await account.email_ids()
    await account.write(
        lambda tx: poison.note(tx, account.claim, folder.id, VALIDITY, 4, "NIL", next_try=0, now=NOW)
    )
    assert await begin(account, folder) == 1
    assert await begin(account, folder) == 1  # it goes on
    after = await account.get(folder.id)
    assert (after.uidvalidity, after.uidnext, after.backfill_low, after.live, after.phase) == (NEW, 50, 50, 0, "remap")
    assert await db.read(lambda rx: poison.page(rx, folder.id, VALIDITY)) == []
    old = await db.read(lambda rx: remap.unmatched(rx, folder.id, NEW))
    assert [(validity, row.uid, row.size is not None) for validity, row in old] == [
        (VALIDITY, 3, True), (VALIDITY, 5, True), (VALIDITY, 8, True),
    ]  # fmt: skip
    assert len({row.id_hash for _, row in old}) == 3
    rest = await db.read(lambda rx: remap.unmatched(rx, folder.id, NEW, (VALIDITY, 3), 1))
    assert [row.uid for _, row in rest] == [5]
    assert await rekey(account, folder, Pair(VALIDITY, 3, 1)) == 1
    # Cut off here; somebody begins anew and finds the first one done.
    assert await rekey(account, folder, Pair(VALIDITY, 3, 1), Pair(VALIDITY, 8, 2), Pair(VALIDITY, 77, 9)) == 1
    with pytest.raises(Changed):
        await rekey(account, folder, Pair(VALIDITY, 5, 5), validity=NEW + 1)
    assert await finish(account, folder) == 1
    assert await finish(account, folder) == 0
    after = await account.get(folder.id)
    assert (after.phase, after.live) == ("forward", 2)
    assert [each.gone for each in (await account.remote(folder, VALIDITY)).values()] == [Gone.UNKNOWN]
    assert await db.read(lambda rx: remap.unmatched(rx, folder.id, NEW)) == []
    # The pull knows what was found again, and takes in the rest.
    current = await account.get(folder.id)
    made = await account.bring(current, [arrival(uid, box, text=text) for uid, text in (
        (1, "message-3"), (2, "message-8"), (3, "fresh"),
    )])  # fmt: skip
    assert (made.known, [place.uid for place in made.places]) == ((1, 2), [3])
    assert {uid: email for uid, email in (await account.email_ids()).items() if uid < 4} == before
    stands = await account.stands(current, [1, 2])
    assert [stands[uid][0].local_uid for uid in (1, 2)] == [1, 3]


async def test_a_second_reset_in_the_middle_of_the_first(db: Database) -> None:
    account, folder = await filled(db)
    assert await begin(account, folder) == 1
    await rekey(account, folder, Pair(VALIDITY, 3, 30))
    assert await begin(account, folder, 100) == 2
    assert (await account.get(folder.id)).live == 0
    old = await db.read(lambda rx: remap.unmatched(rx, folder.id, 100))
    assert [(validity, row.uid) for validity, row in old] == [(VALIDITY, 5), (VALIDITY, 8), (NEW, 30)]
    assert await rekey(account, folder, Pair(NEW, 30, 1), Pair(VALIDITY, 5, 2), validity=100) == 2
    assert await finish(account, folder) == 1
    assert (await account.get(folder.id)).live == 2
    await account.write(lambda tx: folders.update(tx, account.claim, folder.id, {"resets": 0}, now=NOW))
    assert (await account.get(folder.id)).resets == 0


async def test_a_uid_that_is_known_by_now_is_left_out(db: Database) -> None:
    account, folder = await filled(db)
    box = await account.box("INBOX")
    await begin(account, folder)
    await account.bring(await account.get(folder.id), [arrival(7, box, text="other")])
    assert await rekey(account, folder, Pair(VALIDITY, 3, 7), Pair(VALIDITY, 5, 8), Pair(VALIDITY, 8, 8)) == 1
    assert sorted(await account.remote(folder, NEW)) == [7, 8]
    assert sorted(await account.remote(folder, VALIDITY)) == [3, 8]
    assert len(await account.mail()) == 4


async def test_what_had_vanished_is_there_again_when_it_is_found(db: Database) -> None:
    account, folder = await filled(db)
    await account.write(
        lambda tx: vanished(tx, account.claim, folder.id, VALIDITY, [3], "keep", upto=0, now=NOW)
    )
    await begin(account, folder)
    await rekey(account, folder, Pair(VALIDITY, 3, 1))
    known = await account.remote(folder, NEW)
    assert known[1].gone is None
    assert (await account.get(folder.id)).live == 1
    assert await db.read(lambda rx: places.message_page(rx, folder.id, NEW, after=1)) == []
