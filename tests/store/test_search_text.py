"""Text for SEARCH: made for everything that is due, once, in pieces; gone with its content; large texts in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config

from gateway.ingest.search_text import folded_fields
from gateway.ingest.writer import Ingest
from gateway.maintain.backup import backup
from gateway.maintain.janitor import Janitor
from gateway.maintain.restore import restore
from gateway.maintain.settings import DAY, JanitorSettings
from gateway.maintain.texts import TextBuilder, TextSettings, make
from gateway.mime import encode_parts, fold, parse
from gateway.model.errors import TookTooLong, Unavailable
from gateway.model.ids import ContentId, InboxId, MailboxId
from gateway.model.ports import NULL_METRICS
from gateway.store import content, messages, search_text, trigrams
from gateway.store.db import Database, Tx, open_database
from gateway.store.migrate import SCRIPTS, migrate
from gateway.store.search_text import INLINE, SEPARATOR
from gateway.store.statements import Stmt
from gateway.store.upgrade import make_engine
from gateway.store.urls import parse_url

from .helpers import NOW, assert_consistent, mailbox_id, make_inbox

Older = Callable[..., AbstractAsyncContextManager[Database]]
REPORT = (
    b"Subject: report\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nwords\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n--b--\r\n"
)
BRISK = TextSettings(contents=3, octets=1 << 20, quiet=0, longest_wait=0, interval=0.01)
_FIELDS = Stmt("SELECT f.id, t.size, f.octets FROM content_fields f JOIN content_text t ON t.id = f.id ORDER BY f.id")
_TEXTS = Stmt("SELECT id, body_id, octets FROM content_text ORDER BY id")
_CHUNKS = Stmt("SELECT count(*) FROM content_chunk")
_STAGED = Stmt("SELECT count(*) FROM staging")
_FORGET = Stmt("DELETE FROM text_due")
_DUE = Stmt("SELECT id FROM text_due ORDER BY id")
_OLD = (
    "INSERT INTO message (mailbox_id, uid, inbox_id, content_id, modseq, internal_date, save_date, flags, size,"
    " email_id, thread_id) VALUES (1, 1, 1, 7, 2, 0, 0, 0, 1, 'M', 'T'), (1, 2, 1, 9, 2, 0, 0, 0, 1, 'M', 'T'),"
    " (2, 1, 1, 7, 2, 0, 0, 0, 1, 'M', 'T')"
)


@dataclass
class Place:
    """An inbox, and a way to bring mail there."""

    db: Database
    inbox: InboxId
    box: MailboxId
    contents: list[ContentId] = field(default_factory=list)

    async def bring(self, octets: bytes) -> int:
        writer = Ingest(self.db, now=lambda: NOW).writer(max_size=1 << 26)
        await writer.write(octets)
        staged = await writer.finish()
        self.contents.append(staged.content_id)

        def unit(tx: Tx) -> int:
            content.complete(tx, staged, NOW)
            return messages.append(tx, self.box, self.inbox, staged, internal_date=NOW, now=NOW).uid

        return await self.db.write(unit, octets=staged.size)

    def builder(self) -> TextBuilder:
        return TextBuilder(self.db, lambda: NOW, BRISK, owner="here")

    async def due(self) -> int:
        return await self.db.read(search_text.count_due)


@pytest.fixture
def place(db: Database, runner: asyncio.Runner) -> Place:
    async def made() -> Place:
        inbox = await make_inbox(db)
        return Place(db, inbox.id, await mailbox_id(db, inbox.id))

    return runner.run(made())


def mail(words: str, subject: str = "x") -> bytes:
    return f"Subject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{words}\r\n".encode()


async def test_a_message_is_due_until_its_text_is_made(place: Place, runner: asyncio.Runner) -> None:
    await place.bring(mail("Grüße", "=?utf-8?q?Gr=C3=BC=C3=9Fe?="))
    assert await place.due() == 1
    assert await place.builder().catch_up() == 1
    assert await place.due() == 0
    octets = fold("Grüße\r\n")
    fields = SEPARATOR + fold("Subject: Grüße") + SEPARATOR
    fields += fold("Content-Type: text/plain; charset=utf-8") + SEPARATOR
    assert await place.db.read(lambda rx: rx.all(_FIELDS)) == [(place.contents[0], len(octets), fields)]
    assert await place.db.read(lambda rx: rx.all(_TEXTS)) == [(place.contents[0], None, octets)]
    assert await place.builder().catch_up() == 0


async def test_what_is_copied_or_noted_again_is_made_once(place: Place, runner: asyncio.Runner) -> None:
    uid = await place.bring(mail("once"))
    await place.builder().catch_up()
    other = await mailbox_id(place.db, place.inbox, "Trash")
    await place.db.write(lambda tx: messages.copy(tx, place.inbox, place.box, [uid], other, now=NOW))
    assert await place.due() == 0
    first = place.contents[0]
    await place.db.write(lambda tx: messages.append(tx, other, place.inbox, first, internal_date=NOW, now=NOW))
    assert await place.due() == 1
    before = await place.db.read(lambda rx: rx.all(_FIELDS))
    assert await place.builder().catch_up() == 0
    assert await place.due() == 0
    assert await place.db.read(lambda rx: rx.all(_FIELDS)) == before


async def test_everything_is_caught_up_with_in_pieces(place: Place, runner: asyncio.Runner) -> None:
    for number in range(10):
        await place.bring(mail(f"number {number}"))
    await place.bring(b"Subject: no text\r\nContent-Type: image/png\r\n\r\nxx")
    await place.bring(b"")
    made = await place.db.offload(make, 0, 3, 1 << 20, [])
    assert [each.content_id for each in made.texts] == place.contents[:3]
    assert made.last == place.contents[2]
    cut = await place.db.offload(make, 0, 9, 60, [])
    assert 1 <= len(cut.texts) < 3, "so many octets are enough"
    skipping = await place.db.offload(make, 0, 3, 1 << 20, place.contents[1:2])
    assert [each.content_id for each in skipping.texts] == [place.contents[0], place.contents[2]]
    assert await place.builder().catch_up() == 12
    sizes = [row[1] for row in await place.db.read(lambda rx: rx.all(_FIELDS))]
    assert sizes == [10] * 10 + [0, 0]
    assert len(await place.db.read(lambda rx: rx.all(_TEXTS))) == 12


async def test_a_large_text_lies_in_pieces_that_go_with_it(place: Place, runner: asyncio.Runner) -> None:
    words = "abcdefg " * (INLINE // 8 + 20_000) + "the end"
    uid = await place.bring(mail(words))
    before = await place.db.read(lambda rx: rx.scalar(_CHUNKS))
    assert await place.builder().catch_up() == 1
    assert await place.db.read(lambda rx: rx.scalar(_CHUNKS)) == 2 * before
    assert await place.db.read(lambda rx: rx.scalar(_STAGED)) == 0
    [each] = place.contents

    async def holds(needle: str) -> bool:
        return await place.db.read(lambda rx: search_text.in_large_text(rx, each, fold(needle)))

    assert [await holds(needle) for needle in ("the end", "g ABC", words, "aa", words + "s", "")] == [
        True, True, True, False, False, True,
    ]  # fmt: skip
    await place.db.write(
        lambda tx: messages.expunge(tx, place.inbox, place.box, [uid], only_deleted=False, now=NOW)
    )
    done = await Janitor(place.db, JanitorSettings(pause_seconds=0), lambda: NOW + DAY).run_once()
    assert done["bodies"] >= 2 * before
    assert await place.db.read(lambda rx: (rx.all(_FIELDS), rx.all(_TEXTS), rx.scalar(_CHUNKS))) == ([], [], 0)


@pytest.mark.parametrize("offset", [-1, 0, 1])
async def test_a_needle_over_any_edge_of_pieces_is_found(
    place: Place, runner: asyncio.Runner, offset: int
) -> None:
    edge = search_text.SCAN_PIECES * content.CHUNK
    words = "." * (edge - 5 + offset) + "needle in hay" + "." * edge
    await place.bring(mail(words))
    await place.builder().catch_up()
    [each] = place.contents
    for needle, found in (("needle in hay", True), (".needle in hay.", True), ("needles", False), ("n" * 9, False)):
        octets = fold(needle)
        assert await place.db.read(lambda rx, o=octets: search_text.in_large_text(rx, each, o)) is found


async def test_a_process_that_ends_at_any_step_leaves_nothing_wrong(
    place: Place, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write in turn is the last one that this process does; the check of the fixture sees every state between."""
    await place.bring(mail("small"))
    await place.bring(mail("x" * (2 * INLINE)))
    await place.bring(mail("last"))
    write = place.db.write
    for allowed in range(20):
        left = allowed

        async def failing(*args: object, **kwargs: object) -> object:
            nonlocal left
            if left == 0:
                raise Unavailable("The process ends here")
            left -= 1
            return await write(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(place.db, "write", failing)
        try:
            await place.builder().catch_up()
            break
        except Unavailable:
            monkeypatch.setattr(place.db, "write", write)
            await assert_consistent(place.db)
    assert allowed > 2
    monkeypatch.setattr(place.db, "write", write)
    assert await place.due() == 0
    assert [row[1] for row in await place.db.read(lambda rx: rx.all(_FIELDS))] == [7, 2 * INLINE + 2, 6]
    await Janitor(place.db, JanitorSettings(pause_seconds=0), lambda: NOW + 3 * DAY).run_once()
    assert await place.db.read(lambda rx: rx.scalar(_STAGED)) == 0, "what was staged in vain is collected"


async def test_a_content_that_is_collected_meanwhile_gets_no_text(place: Place, runner: asyncio.Runner) -> None:
    for words in ("small", "x" * (INLINE + 1)):
        uid = await place.bring(mail(words))
        made = await place.db.offload(make, 0, 9, 1 << 20, [])
        await place.db.write(
            lambda tx, u=uid: messages.expunge(tx, place.inbox, place.box, [u], only_deleted=False, now=NOW)
        )
        await Janitor(place.db, JanitorSettings(pause_seconds=0), lambda: NOW + DAY).run_once()
        assert await place.due() == 0
        await place.builder()._store(made)
        assert await place.db.read(lambda rx: (rx.all(_FIELDS), rx.all(_TEXTS))) == ([], [])


async def test_a_defect_of_one_content_leaves_the_others_their_text(
    place: Place, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("a", "b", "c", "d"):
        await place.bring(mail(word, subject=word))

    def broken(header: bytes) -> bytes:
        if b"Subject: b" in header:
            raise ZeroDivisionError
        return folded_fields(header)

    monkeypatch.setattr("gateway.maintain.texts.folded_fields", broken)
    builder = place.builder()
    assert await builder.catch_up() == 3
    assert await builder.catch_up() == 0
    assert await place.due() == 1
    monkeypatch.undo()
    assert await place.builder().catch_up() == 1


async def test_one_that_takes_too_long_leaves_the_others_their_text(
    place: Place, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("a", "b", "c", "d", "e", "f", "g"):
        await place.bring(mail(word))
    endless, offload = place.contents[1], place.db.offload_bulk

    async def limited(job: Any, after: int, most: int, octets: int, skip: list[ContentId]) -> Any:
        ids = [each for each, _ in await place.db.read(lambda rx: search_text.due(rx, after, most))]
        if endless in ids and endless not in skip:
            raise TookTooLong("Its process was ended")
        return await offload(job, after, most, octets, skip)

    monkeypatch.setattr(place.db, "offload_bulk", limited)
    builder = place.builder()
    assert await builder.catch_up() == 6
    assert await builder.catch_up() == 0
    assert await place.db.read(lambda rx: rx.all(_DUE)) == [(endless,)]
    monkeypatch.undo()
    assert await place.builder().catch_up() == 1


async def test_it_works_whenever_mail_comes(place: Place, runner: asyncio.Runner) -> None:
    class Waiting(type(NULL_METRICS)):  # type: ignore[misc]
        def __init__(self) -> None:
            self.made = asyncio.Semaphore(0)
            self.waiting: list[float] = []

        def count(self, name: str, value: float = 1, **labels: str) -> None:
            for _ in range(int(value)):
                self.made.release()

        def gauge(self, name: str, value: float, **labels: str) -> None:
            self.waiting.append(value)

    metrics = Waiting()
    builder = TextBuilder(place.db, lambda: NOW, TextSettings(quiet=0.001, interval=60), metrics=metrics)
    await place.bring(mail("before it began"))
    task = asyncio.ensure_future(builder.run())
    try:
        async with asyncio.timeout(30):
            for number in range(3):
                await metrics.made.acquire()
                await place.bring(mail(f"number {number}"))
            await metrics.made.acquire()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await place.due() == 0
    assert set(metrics.waiting) <= {0, 1}


async def test_of_several_nodes_one_makes_the_texts(place: Place, runner: asyncio.Runner) -> None:
    async def lead(owner: str, seconds: int) -> bool:
        return await place.db.write(lambda tx: search_text.lead(tx, owner, seconds))

    if place.db.dialect == "sqlite":
        assert await lead("a", 60)
        assert await lead("b", 60), "one server holds the store, and no other can ask"
        return
    assert [await lead("a", 60), await lead("b", 60), await lead("a", -10), await lead("b", 60)] == [
        True, False, True, True,
    ]  # fmt: skip
    await place.bring(mail("x"))
    assert await place.builder().catch_up() == 0, "another leads"
    assert await place.due() == 1
    await lead("b", -10)
    assert await place.builder().catch_up() == 1


async def test_a_repair_notes_what_is_missing(place: Place, runner: asyncio.Runner) -> None:
    await place.bring(mail("a"))
    await place.builder().catch_up()
    await place.bring(mail("b"))
    await place.db.write(lambda tx: tx.run(_FORGET))
    assert await place.db.write(search_text.note_missing) == 1
    assert await place.builder().catch_up() == 1


@pytest.fixture(params=["sqlite", "postgresql"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Older]:
    """A database of before, made by `older(revision, *statements)`, which is opened by today's program then."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    cluster = None
    if request.param == "postgresql":
        cluster = request.getfixturevalue("cluster")
        cluster.execute("CREATE DATABASE older_texts")
        url = cluster.url("older_texts")

    @asynccontextmanager
    async def opened(revision: str, *statements: str) -> AsyncIterator[Database]:
        engine = make_engine(parse_url(url))
        with engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(SCRIPTS))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()
        await migrate(url)
        db = open_database(url)
        await db.start()
        try:
            yield db
        finally:
            await db.close()

    yield opened
    if cluster is not None:
        cluster.execute("DROP DATABASE older_texts WITH (FORCE)")


async def test_contents_of_an_older_database_are_due(older: Older, runner: asyncio.Runner) -> None:
    async with older("0004", _OLD) as db:
        assert await db.read(lambda rx: rx.all(_DUE)) == [(7,), (9,)]


async def test_texts_that_lacked_reports_are_made_anew(older: Older, runner: asyncio.Runner) -> None:
    report = encode_parts(parse(REPORT).root).decode("ascii")
    plain = encode_parts(parse(mail("x")).root).decode("ascii")
    rows = [
        "INSERT INTO content_meta (id, body_id, size, header_size, sha256, has_nul, parser_version, parts, body,"
        f" created_at) VALUES ({content_id}, {content_id}, 1, 1, 'x', 0, 1, '{parts}', 'x', 0)"
        for content_id, parts in ((7, report), (8, report), (9, plain))
    ]
    texts = [
        f"INSERT INTO content_text (id, size, body_id, octets) VALUES ({content_id}, 1, {body_id}, {octets})"
        for content_id, body_id, octets in ((7, "70", "NULL"), (8, "NULL", "'x'"), (9, "NULL", "'x'"))
    ]
    fields = "INSERT INTO content_fields (id, octets) VALUES (7, 'x'), (8, 'x'), (9, 'x')"
    token = "INSERT INTO meta (key, value) VALUES ('trigrams', 'old')"
    async with older("0012", _OLD, *rows, *texts, fields, token, "DELETE FROM text_due") as db:
        assert await db.read(lambda rx: rx.all(_DUE)) == [(7,)], "no message has 8"
        assert [row[0] for row in await db.read(lambda rx: rx.all(_TEXTS))] == [9]
        assert await db.read(lambda rx: rx.scalar(_STAGED)) == 1, "the large text, for the janitor"
        assert await db.write(lambda tx: trigrams.store_token(tx, "new")) != "old"


async def test_reports_are_searched(place: Place, runner: asyncio.Runner) -> None:
    await place.bring(REPORT)
    await place.builder().catch_up()
    ((_, _, octets),) = await place.db.read(lambda rx: rx.all(_TEXTS))
    assert fold("Status: 5.1.1") in octets


def test_a_restored_backup_is_searched_by_what_was_stored(sqlite_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        copy = f"sqlite:///{tmp_path}/new/gateway.db"
        (tmp_path / "new").mkdir()
        db = open_database(sqlite_url)
        await db.start()
        try:
            inbox = await make_inbox(db)
            place = Place(db, inbox.id, await mailbox_id(db, inbox.id))
            await place.bring(mail("words " * 20_000))
            await place.bring(mail("small"))
            await place.builder().catch_up()
            await place.bring(mail("late"))
            before = [await db.read(lambda rx, s=each: rx.all(s)) for each in (_FIELDS, _TEXTS, _DUE)]
            await backup(sqlite_url, tmp_path / "copy", now=NOW)
        finally:
            await db.close()
        await restore(tmp_path / "copy", copy, now=NOW)
        again = open_database(copy)
        await again.start()
        try:
            assert [await again.read(lambda rx, s=each: rx.all(s)) for each in (_FIELDS, _TEXTS, _DUE)] == before
            assert await again.read(lambda rx: search_text.in_large_text(rx, place.contents[0], fold("words")))
            await assert_consistent(again)
        finally:
            await again.close()

    asyncio.run(work())
