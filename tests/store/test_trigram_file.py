"""The file of the trigram index, whatever happens to it: damage, loss, a full disk, a store that was put back."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.app.doctor import Level, check_trigrams
from gateway.config import Config, Search, Secret, Store
from gateway.ingest.writer import Ingest
from gateway.maintain.backup import backup
from gateway.maintain.restore import restore
from gateway.maintain.trigrams import NAME, TrigramBuilder, TrigramSettings
from gateway.mime import fold
from gateway.model.errors import Unavailable
from gateway.store import driver, inboxes, trigram_file, trigrams
from gateway.store.db import open_database
from gateway.store.statements import Stmt
from gateway.store.trigrams import Index, IndexDamaged

from .helpers import NOW, mailbox_id, make_inbox
from .trigram_place import BRISK, Place, always_asked, place, running, until

__all__ = ["always_asked", "place"]

_DRAW = Stmt("UPDATE sequence SET next = next + 20000 WHERE name = 'content' RETURNING next")
_REBUILT = Stmt(
    postgresql="DO $$ BEGIN CREATE TABLE anew (LIKE message INCLUDING ALL); ALTER TABLE message RENAME TO gone;"
    " ALTER TABLE anew RENAME TO message; END $$"
)


@pytest.mark.parametrize("damage", ["octets", "cut", "another file", "no tables", "another store", "another format"])
async def test_a_file_that_is_not_ours_is_made_anew(place: Place, damage: str) -> None:
    uids = await place.bring("one needle", "two")
    await place.caught_up()
    await place.builder.close()
    trigrams.close_reader()
    size = place.path.stat().st_size
    if damage == "octets":
        place.path.write_bytes(b"\xff" * size)
    elif damage == "cut":
        place.path.write_bytes(place.path.read_bytes()[:5000])
    elif damage == "another file":
        place.path.write_text("notes of somebody\n" * 100)
    else:
        connection = driver.load().connect(place.path)
        statements = {
            "no tables": "DROP TABLE mark",
            "another store": "UPDATE fact SET value = 'x' WHERE key = 'store'",
            "another format": "UPDATE fact SET value = '0' WHERE key = 'format'",
        }
        connection.execute(statements[damage])
        connection.commit()
        connection.close()
    assert await place.builder.catch_up() == 2
    assert await place.look_at("needle", uids) == uids[:1]


async def test_a_missing_file_is_made_anew_and_a_good_one_is_kept(place: Place) -> None:
    uids = await place.bring("one needle", "two")
    await place.caught_up()
    await place.builder.close()
    assert await place.builder.catch_up() == 0
    await place.builder.close()
    assert trigram_file.remove(place.path)
    assert not trigram_file.remove(place.path)
    assert await place.builder.catch_up() == 2
    assert await place.look_at("needle", uids) == uids[:1]
    assert place.path.stat().st_mode & 0o777 == 0o600


async def test_a_file_that_is_newer_than_its_store_is_made_anew(place: Place) -> None:
    """A store that was put back gives its ids again, for other contents."""
    uids = await place.bring("one needle", "two")
    await place.caught_up()
    await place.builder.close()
    last = await place.content_of(uids[-1])
    store = await place.db.write(lambda tx: trigrams.store_token(tx, "x"))
    kept = trigram_file.TrigramFile(place.path, store, last_id=last + 1)
    assert not kept.fresh
    kept.close()
    fresh = trigram_file.TrigramFile(place.path, store, last_id=last)
    assert fresh.fresh
    fresh.close()


def spoil(path: Path) -> None:
    """All pages but the first ones, whose tables a reader knows already."""
    with path.open("r+b") as file:
        file.seek(0, 2)
        size = file.tell()
        for at in range(4096, size, 4096):
            file.seek(at)
            file.write(b"\xff" * min(4096, size - at))


async def test_damage_is_noticed_by_a_search_which_is_right_all_the_same(place: Place) -> None:
    uids = await place.bring(*["one needle", "two"] * 20)
    await place.caught_up()
    index = place.builder.index
    assert index is not None
    connection = driver.load().connect(place.path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    spoil(place.path)

    def fresh_look() -> None:
        with pytest.raises(IndexDamaged):
            asyncio.run_coroutine_threadsafe(place.search("needle", uids, index=index), loop).result(30)

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(fresh_look)
    assert trigram_file.check_file(place.path) is not None
    place.builder.damaged(index)
    assert place.builder.index is None
    assert await place.search("needle", uids, index=None) == uids[::2]
    async with running(place.builder):
        await until(place, "needle", uids, uids[::2])
        assert place.builder.index != index
        assert trigram_file.check_file(place.path) is None


async def test_a_search_with_an_older_index_goes_without(place: Place) -> None:
    uids = await place.bring("one needle", "two")
    await place.caught_up()
    index = place.builder.index
    assert index is not None
    other = Index(index.path, "of before")
    assert await place.db.read(lambda rx: list(trigrams.to_look_at(rx, other, place.box, uids, fold("needle")))) == uids
    nowhere = Index(index.path.with_name("nowhere.db"), index.token)
    assert await place.db.read(lambda rx: list(trigrams.to_look_at(rx, nowhere, place.box, uids, fold("red")))) == uids


async def test_a_disk_without_room_keeps_it_small_and_the_store_whole(place: Place) -> None:
    uids = await place.bring("one needle", "two")
    await place.texts()
    place.builder = TrigramBuilder(place.db, place.path, TrigramSettings(reserve=1 << 62))
    assert await place.builder.catch_up() == 0
    assert await place.look_at("needle", uids) == uids
    await place.builder.close()
    place.builder = TrigramBuilder(place.db, place.path, BRISK)
    assert await place.builder.catch_up() == 2


async def test_a_full_disk_ends_a_piece_and_nothing_else(place: Place) -> None:
    """SQLite's own limit of pages says what a full disk says."""
    uids = await place.bring(*[f"{number} needle {number * 7919:x}" for number in range(40)])
    await place.caught_up()
    late = await place.bring(*[random.Random(number).randbytes(2000).hex() for number in range(30)])
    await place.texts()
    file = place.builder._file
    assert file is not None
    pages = file._connection.execute("PRAGMA page_count").fetchone()[0]
    file._connection.execute(f"PRAGMA max_page_count={pages + 1}").fetchall()
    with pytest.raises(Unavailable):
        await place.builder.catch_up()
    found = await place.look_at("needle", [*uids, *late])
    assert found[:40] == uids
    assert found[-1] == late[-1]  # what there was no room for is looked at
    uids += await place.bring("one more needle")
    assert await place.search("needle", uids, index=place.builder.index) == uids
    file._connection.execute("PRAGMA max_page_count=1000000").fetchall()
    await place.caught_up()
    assert await place.look_at("needle", sorted([*uids, *late])) == uids


async def opened(url: str, path: Path) -> Place:
    db = open_database(url)
    await db.start()
    inbox = await db.read(lambda rx: inboxes.inboxes(rx)[0])
    return Place(db, path, inbox.id, await mailbox_id(db, inbox.id))


def test_a_store_that_was_put_back_and_an_index_of_later(
    sqlite_url: str, tmp_path: Path, runner: asyncio.Runner
) -> None:
    """The backup has no index; ids given since it was made are given again, and the file that lies there knows them."""

    async def run() -> None:
        db = open_database(sqlite_url)
        await db.start()
        await make_inbox(db)
        await db.close()
        place = await opened(sqlite_url, tmp_path / NAME)
        uids = await place.bring("one needle")
        await place.caught_up()
        assert [file.name for file in (await backup(sqlite_url, tmp_path / "copy", now=NOW)).files] == ["gateway.db"]
        # More than a block of ids that the copy has drawn already: these are the ones that come again.
        await place.db.write(lambda tx: tx.scalar(_DRAW))
        place.ingest = Ingest(place.db, now=lambda: NOW)
        await place.bring("of hay alone", "of hay again")
        lost = await place.bring("the last hay")
        await place.caught_up()
        last = await place.content_of(lost[0])
        await place.builder.close()
        await place.db.close()
        for suffix in ("", "-wal", "-shm"):
            (tmp_path / f"gateway.db{suffix}").unlink(missing_ok=True)
        await restore(tmp_path / "copy", sqlite_url, now=NOW)

        place = await opened(sqlite_url, tmp_path / NAME)
        await place.builder.prepare()
        await place.db.write(lambda tx: tx.scalar(_DRAW))
        place.ingest = Ingest(place.db, now=lambda: NOW)
        uids += await place.bring(*["a needle again"] * 3)
        assert await place.content_of(uids[-1]) == last
        await place.builder._opened()
        assert await place.look_at("needle", uids) == uids
        assert await place.texts() == 3
        assert await place.builder.catch_up() == 4
        assert await place.look_at("needle", uids) == uids
        await place.builder.close()
        await place.db.close()

    runner.run(run())


async def test_a_store_is_known_by_its_token_and_a_database_by_what_a_restore_changes(place: Place) -> None:
    first = await place.db.write(lambda tx: trigrams.store_token(tx, "one"))
    assert await place.db.write(lambda tx: trigrams.store_token(tx, "two")) == first
    if place.db.dialect == "sqlite":
        assert first == "one"
        return
    token, system, timeline, table = first.split(" ")
    assert token == "one"
    assert int(system)
    assert int(timeline, 16) == 1
    await place.db.write(lambda tx: tx.run(_REBUILT))
    other = (await place.db.write(lambda tx: trigrams.store_token(tx, "two"))).split(" ")
    assert other[:3] == [token, system, timeline]
    assert other[3] != table


def test_doctor_tells_of_a_damaged_index(tmp_path: Path) -> None:
    config = Config(store=Store(data_dir=tmp_path), search=Search(trigram=True))
    assert list(check_trigrams(Config(store=Store(data_dir=tmp_path)))) == []
    assert [finding.level for finding in check_trigrams(config)] == [Level.OK]
    trigram_file.TrigramFile(tmp_path / NAME, "store", last_id=1).close()
    (sound,) = check_trigrams(config)
    assert (sound.level, "sound" in sound.text) == (Level.OK, True)
    (tmp_path / NAME).write_bytes(b"\xff" * 10_000)
    assert [finding.level for finding in check_trigrams(config)] == [Level.WARNING]
    same = Config(
        store=Store(data_dir=tmp_path, url=Secret(f"sqlite:///{tmp_path / NAME}")), search=Search(trigram=True)
    )
    assert [finding.level for finding in check_trigrams(same)] == [Level.PROBLEM]
