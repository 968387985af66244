"""Short notes on both databases: taken once, by anybody, for a while, and never too many."""

from __future__ import annotations

import asyncio

from gateway.store import short_notes
from gateway.store.db import Database

from .helpers import NOW


async def put(db: Database, name: bytes, value: str = "", expires: int = NOW + 300, now: int = NOW) -> None:
    await db.write(lambda tx: short_notes.put(tx, "asked", name, value, expires=expires, now=now, most=200))


async def taken(db: Database, name: bytes, now: int = NOW, kind: str = "asked") -> str | None:
    return await db.write(lambda tx: short_notes.take(tx, kind, name, now))


async def test_taken_once_and_by_its_kind(db: Database) -> None:
    await put(db, b"one", "first")
    await put(db, b"one", "second")
    assert await taken(db, b"one", kind="other") is None
    found = await asyncio.gather(*(taken(db, b"one") for _ in range(5)))
    assert sorted(found, key=str) == [None, None, None, None, "second"]


async def test_it_ends_by_its_time_and_by_the_next_that_is_kept(db: Database) -> None:
    await put(db, b"short", expires=NOW + 10)
    assert await taken(db, b"short", NOW + 10) is None
    await put(db, b"short", expires=NOW + 10)
    await put(db, b"later", expires=NOW + 90, now=NOW + 20)
    assert await db.read(lambda rx: short_notes.count(rx, "asked")) == 1
    assert await taken(db, b"later", NOW + 20) == ""


async def test_of_too_many_those_end_that_would_end_first(db: Database) -> None:
    for number in range(201):
        await put(db, b"%d" % number, expires=NOW + 1000 + number)
    assert await db.read(lambda rx: short_notes.count(rx, "asked")) == 101
    assert await taken(db, b"99") is None
    assert await taken(db, b"100") == ""
    assert await taken(db, b"200") == ""
