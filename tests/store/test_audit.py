"""The record of who did what: rows, and that one is there exactly when its change is."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from gateway.access.audit import MOST_WAITING, OK, AuditLog, Record, failed, named, recorded, write_down
from gateway.auth.keys import generate
from gateway.model.errors import NotFound, Unavailable
from gateway.store import audit, pods
from gateway.store.audit import Filter, NewEntry
from gateway.store.db import Database, Tx

ENTRY = NewEntry(100, "uid 0", "control", "pod.add", "name=x", OK)


async def rows(db: Database, wanted: Filter = Filter()) -> list[tuple[str, str, str]]:  # noqa: B008 - frozen
    return [(entry.who, entry.what, entry.outcome) for entry in await db.read(lambda rx: audit.latest(rx, wanted, 100))]


async def test_rows_are_found_by_who_how_and_what(db: Database) -> None:
    other = NewEntry(200, "key laptop", "http", "DELETE /api/v1/keys/{key}", "key=abc", "404", "192.0.2.1", 7, 1)
    await db.write(lambda tx: audit.insert(tx, (ENTRY, other)))
    assert len(await rows(db)) == 2
    for wanted in (Filter(who="key laptop"), Filter(via="http"), Filter(what=other.what), Filter(failed=True)):
        assert await rows(db, wanted) == [("key laptop", other.what, "404")]
    assert await rows(db, Filter(who="nobody")) == []
    last = await db.read(audit.last)
    assert await db.read(lambda rx: audit.after(rx, Filter(), last, 10)) == []
    (newest,) = await db.read(lambda rx: audit.after(rx, Filter(), last - 1, 10))
    assert (newest.source, newest.key, newest.target) == ("192.0.2.1", None, "key=abc")


async def test_what_no_database_holds_is_replaced_and_long_texts_are_cut(db: Database) -> None:
    await db.write(lambda tx: audit.insert(tx, (NewEntry(1, "a\0b", "http", "POST \ud800", "x" * 10_000, OK),)))
    (entry,) = await db.read(lambda rx: audit.latest(rx, Filter(), 10))
    assert (entry.who, entry.what, len(entry.target)) == ("a\ufffdb", "POST \ufffd", audit.MOST_TEXT)


async def test_what_is_old_is_forgotten_in_pieces(db: Database) -> None:
    entries = [NewEntry(at, "uid 0", "control", f"{at}", "", OK) for at in range(5)]
    await db.write(lambda tx: audit.insert(tx, entries))
    assert [await db.write(lambda tx: audit.prune(tx, 3, 3)) for _ in range(3)] == [3, 1, 0]
    assert [what for _, what, _ in await rows(db)] == ["4"]


async def test_a_change_takes_its_record_along(db: Database) -> None:
    record = Record(lambda: ENTRY)
    through = recorded(db, record)
    await through.write(lambda tx: pods.create_pod(tx, "x"))
    await through.write(lambda tx: pods.create_pod(tx, "y"))
    assert record.written
    assert await rows(db) == [("uid 0", "pod.add", OK)]
    assert len(await through.read(pods.pods)) == 2


async def test_a_change_that_fails_leaves_none(db: Database) -> None:
    record = Record(lambda: ENTRY)

    def unit(tx: Tx) -> None:
        pods.create_pod(tx, "x")
        raise NotFound("no")

    with pytest.raises(NotFound):
        await recorded(db, record).write(unit)
    assert not record.written
    assert await rows(db) == []
    await write_down(db, failed(ENTRY, "NotFound"))
    assert await rows(db) == [("uid 0", "pod.add", "NotFound")]


async def test_a_part_of_a_change_is_none(db: Database) -> None:
    record = Record(lambda: ENTRY)
    await recorded(db, record).write(lambda tx: None, staged=True)
    assert not record.written


async def test_notes_are_written_soon_and_those_left_at_the_end(db: Database) -> None:
    log = AuditLog(db)
    task = asyncio.create_task(log.run())
    log.note(ENTRY)
    for _ in range(10_000):
        if await rows(db):
            break
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    log.note(ENTRY)
    await log.flush()
    assert len(await rows(db)) == 2


async def test_a_store_that_is_away_loses_none_but_those_too_many(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(db)

    async def away(unit: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(db, "write", away)
        for _ in range(MOST_WAITING + 10):
            log.note(ENTRY)
        await log.flush()
        await write_down(db, ENTRY)
    await log.flush()
    assert await db.read(audit.last) == MOST_WAITING


def test_a_target_never_has_a_whole_key() -> None:
    key = generate()
    text = named([("key_id", f" {key.text}"), ("many", [key.text, "x"]), ("pod", 1)])
    assert text == f"key_id={key.key_id} many={key.key_id},x pod=1"
