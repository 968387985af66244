"""The trigram index: it never hides a message that holds a needle, whatever happened to its file, and keeps up."""

from __future__ import annotations

import asyncio
import random
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.app.doctor import Level, check_trigrams
from gateway.config import Config, Search, Secret, Store
from gateway.imap.search_keys import Criteria
from gateway.imap.search_page import search_page
from gateway.ingest.writer import Ingest
from gateway.maintain.backup import backup
from gateway.maintain.restore import restore
from gateway.maintain.texts import TextBuilder
from gateway.maintain.trigrams import NAME, TrigramBuilder, TrigramSettings
from gateway.mime import fold
from gateway.model.errors import Unavailable
from gateway.model.ids import ContentId, InboxId, MailboxId
from gateway.store import cleanup, content, driver, expunge, inboxes, mailboxes, messages, pods, trigram_file, trigrams
from gateway.store.content import StagedContent
from gateway.store.db import Database, Tx, open_database
from gateway.store.statements import Stmt
from gateway.store.trigrams import BLOCK, Index, IndexDamaged
from gateway.wire import search as keys

from .helpers import NOW, mailbox_id, make_inbox

BRISK = TrigramSettings(contents=3, interval=0.01, reserve=0)
_DRAW = Stmt("UPDATE sequence SET next = next + 20000 WHERE name = 'content' RETURNING next")
_REBUILT = Stmt(
    postgresql="DO $$ BEGIN CREATE TABLE anew (LIKE message INCLUDING ALL); ALTER TABLE message RENAME TO gone;"
    " ALTER TABLE anew RENAME TO message; END $$"
)
_CONTENT = Stmt("SELECT uid, content_id FROM message WHERE mailbox_id = :mailbox ORDER BY uid")


class Place:
    """An inbox, mail for it, and the builders of texts and of the index."""

    def __init__(self, db: Database, path: Path, inbox: InboxId, box: MailboxId) -> None:
        self.db, self.path, self.inbox, self.box = db, path, inbox, box
        self.ingest = Ingest(db, now=lambda: NOW)
        self.builder = TrigramBuilder(db, path, BRISK)

    async def stage(self, text: str) -> StagedContent:
        writer = self.ingest.writer(max_size=1 << 26)
        await writer.write(f"Subject: mail\r\n\r\n{text}\r\n".encode())
        return await writer.finish()

    async def bring(self, *texts: str) -> list[int]:
        """A message each; their UIDs."""
        found = []
        for text in texts:
            staged = await self.stage(text)

            def unit(tx: Tx, staged: StagedContent = staged) -> int:
                content.complete(tx, staged, NOW)
                return messages.append(tx, self.box, self.inbox, staged, internal_date=NOW, now=NOW).uid

            found.append(await self.db.write(unit, octets=staged.size))
        return found

    async def texts(self) -> int:
        return await TextBuilder(self.db, lambda: NOW, owner="here").catch_up()

    async def caught_up(self) -> int:
        """All texts made and indexed; how many were indexed."""
        await self.texts()
        return await self.builder.catch_up()

    async def look_at(self, needle: str, uids: Sequence[int]) -> list[int]:
        """Which of `uids` are left for a look at their texts."""
        index = self.builder.index
        assert index is not None

        found = await self.db.read(lambda rx: trigrams.to_look_at(rx, index, self.box, uids, fold(needle)))
        return list(found)

    async def search(self, needle: str, uids: Sequence[int], *, index: Index | None) -> list[int]:
        criteria = Criteria(keys.Text(needle), len(uids), uids[-1], {}, now=NOW)
        job = partial(
            search_page, mailbox_id=self.box, criteria=criteria, uids=array("I", uids), marks=None, index=index
        )
        found, consumed = await self.db.read(job)
        assert consumed == len(uids)
        return list(found)

    async def content_of(self, uid: int) -> ContentId:
        rows = await self.db.read(lambda rx: rx.all(_CONTENT, mailbox=self.box))
        return ContentId(dict(rows)[uid])


@pytest.fixture(autouse=True)
def always_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index is asked about any number of messages."""
    monkeypatch.setattr(trigrams, "LEAST", 1)
    monkeypatch.setattr(trigrams, "LEAST_PAGE", 1)


@pytest.fixture
def place(db: Database, runner: asyncio.Runner, tmp_path: Path) -> Iterator[Place]:
    async def made() -> Place:
        inbox = await make_inbox(db)
        return Place(db, tmp_path / NAME, inbox.id, await mailbox_id(db, inbox.id))

    one = runner.run(made())
    try:
        yield one
    finally:
        runner.run(one.builder.close())


async def test_only_what_may_hold_the_needle_is_looked_at(place: Place) -> None:
    uids = await place.bring("a red house", "a green house", "red and green")
    assert await place.caught_up() == 3
    assert await place.look_at("hous", uids) == uids[:2]
    assert await place.look_at("GREEN", uids) == uids[1:]
    assert await place.look_at("violet", uids) == []
    assert await place.look_at("mail", uids) == uids  # the header's fields are in it
    assert await place.search("n house", uids, index=place.builder.index) == [uids[1]]


async def test_short_needles_and_other_scripts(place: Place) -> None:
    uids = await place.bring("Grüße aus Köln", "日本語の文章です", "plain")
    await place.caught_up()
    for needle in ("", "p", "pl", "日本"):
        assert await place.look_at(needle, uids) == uids
    assert await place.look_at("GRÜSSE", uids) == []
    assert await place.look_at("grüße", uids) == uids[:1]
    assert await place.look_at("本語の", uids) == uids[1:2]
    assert await place.look_at('a"b', uids) == []
    assert await place.look_at("' OR 1", uids) == []


async def test_characters_that_fts5_would_stop_at(place: Place) -> None:
    uids = await place.bring("before\0behind it", "other")
    await place.caught_up()
    assert await place.look_at("behind", uids) == uids[:1]
    assert await place.look_at("e\0b", uids) == uids[:1]


def test_a_needle_of_any_length_asks_for_a_few_trigrams() -> None:
    expression = trigrams.match(fold("abcdefghijklmnopqrstuvwxyz" * 100))
    assert expression is not None
    assert expression.count(" AND ") == trigrams.MOST_TRIGRAMS - 1


async def test_a_mailbox_that_is_a_small_part_of_its_block_is_looked_through(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = await place.bring("one", "two")
    await place.caught_up()
    monkeypatch.setattr(trigrams, "LEAST", 3)
    assert await place.look_at("two", uids) == uids


async def test_what_is_not_indexed_yet_is_looked_at(place: Place) -> None:
    first = await place.bring("needle", "hay")
    await place.caught_up()
    late = await place.bring("needle too", "more hay")
    assert await place.look_at("needle", [*first, *late]) == [first[0], *late]
    assert await place.search("needle", [*first, *late], index=place.builder.index) == [first[0], late[0]]
    assert await place.texts() == 2
    assert await place.look_at("needle", [*first, *late]) == [first[0], *late]
    assert await place.builder.catch_up() == 2
    assert await place.look_at("needle", [*first, *late]) == [first[0], late[0]]
    assert await place.builder.catch_up() == 0


async def test_large_texts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "lorem ipsum " * 10_000
    uids = await place.bring(f"{long}needle", long, "short")
    monkeypatch.setattr("gateway.maintain.trigrams.TEXT_MOST", 150_000)
    assert await place.caught_up() == 3
    assert await place.look_at("needle", uids) == uids[:1]
    too_long = await place.bring(long + long)
    assert await place.caught_up() == 0
    assert await place.look_at("needle", [*uids, *too_long]) == [uids[0], *too_long]


async def test_what_is_deleted_leaves_the_index(place: Place) -> None:
    uids = await place.bring("one needle", "two needles")
    await place.caught_up()
    gone = await place.content_of(uids[0])

    def unit(tx: Tx) -> None:
        expunge.expunge(tx, place.inbox, place.box, uids[:1], only_deleted=False, now=NOW)
        cleanup.forget_expunged(tx, NOW, 100)
        cleanup.collect_contents(tx, NOW, 100)

    await place.db.write(unit)
    assert await place.look_at("needle", uids) == uids[1:]  # a stale row names no message
    place.builder._swept_at = float("-inf")
    await place.builder.catch_up()
    connection = driver.load().connect(place.path)
    try:
        marks = dict(connection.execute("SELECT block, bits FROM mark"))
    finally:
        connection.close()
    assert not marks[gone // BLOCK][gone % BLOCK >> 3] >> (gone & 7) & 1
    assert sum(int.from_bytes(bits, "little").bit_count() for bits in marks.values()) == 1


async def test_a_content_in_many_inboxes_is_there_once(place: Place) -> None:
    staged = await place.stage("shared needle")
    boxes = [(place.inbox, place.box)]
    for number in range(5):
        inbox = await make_inbox(place.db, f"other{number}@example.test")
        boxes.append((inbox.id, await mailbox_id(place.db, inbox.id)))

    def unit(tx: Tx) -> list[int]:
        content.complete(tx, staged, NOW)
        return [messages.append(tx, box, inbox, staged, internal_date=NOW, now=NOW).uid for inbox, box in boxes]

    uids = await place.db.write(unit)
    assert await place.caught_up() == 1
    for (_, box), uid in zip(boxes, uids, strict=True):
        place.box = box
        assert await place.look_at("needle", [uid]) == [uid]
        assert await place.look_at("nothing", [uid]) == []


@asynccontextmanager
async def running(builder: TrigramBuilder) -> AsyncIterator[None]:
    task = asyncio.create_task(builder.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(place: Place, needle: str, uids: Sequence[int], right: Sequence[int]) -> None:
    async with asyncio.timeout(30):
        while place.builder.index is None or await place.look_at(needle, uids) != list(right):
            await place.texts()


async def test_it_follows_the_mail_while_it_runs(place: Place) -> None:
    async with running(place.builder):
        uids = await place.bring("one needle", "two")
        await place.texts()
        await until(place, "needle", uids, uids[:1])
        uids += await place.bring("three needles", "four")
        await place.texts()
        await until(place, "needle", uids, [uids[0], uids[2]])
    assert place.builder.index is None


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


async def test_a_thousand_inboxes_in_one_index(place: Place) -> None:
    """Each asks for its own mail only, and for all of it."""
    shared = await place.stage("for everybody: needle")
    owns = [await place.stage(f"only number{number:04d} has this") for number in range(1000)]

    def unit(tx: Tx) -> list[tuple[MailboxId, list[int]]]:
        pod = pods.create_pod(tx, "many", now=NOW)
        pods.create_domain(tx, pod.id, "many.test", now=NOW)
        content.complete(tx, shared, NOW)
        made = []
        for number, own in enumerate(owns):
            inbox = inboxes.create_inbox(tx, pod.id, f"number{number}@many.test", now=NOW).id
            box = mailboxes.by_name(tx, inbox, "INBOX")
            assert box is not None
            content.complete(tx, own, NOW)
            both = [messages.append(tx, box.id, inbox, each, internal_date=NOW, now=NOW).uid for each in (own, shared)]
            made.append((box.id, both))
        return made

    boxes = await place.db.write(unit)
    assert await place.caught_up() == 1001
    for number, (box, uids) in enumerate(boxes[::97]):
        place.box = box
        assert await place.look_at(f"number{number * 97:04d}", uids) == uids[:1]
        assert await place.look_at(f"number{number * 97 + 1:04d}", uids) == []
        assert await place.look_at("everybody", uids) == uids[1:]


async def test_every_reader_reads_by_itself(place: Place) -> None:
    uids = await place.bring("one needle", "two")
    await place.caught_up()
    assert await asyncio.gather(*[place.look_at("needle", uids) for _ in range(20)]) == [uids[:1]] * 20


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
