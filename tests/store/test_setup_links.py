"""Links that set a device up: once, and not for long."""

from __future__ import annotations

import asyncio

from gateway.model.ids import InboxId, KeyId
from gateway.store import setup_links
from gateway.store.db import Database
from gateway.store.setup_links import SetupLink

LINK = SetupLink(InboxId(1), KeyId(2), True, "phone")


async def test_a_link_is_taken_once_also_by_two_at_a_time(db: Database) -> None:
    await db.write(lambda tx: setup_links.put(tx, "token", LINK, now=0, expires_at=10))
    assert await db.read(lambda rx: setup_links.find(rx, "token", 9)) == LINK
    taken = await asyncio.gather(*(db.write(lambda tx: setup_links.take(tx, "token", 9)) for _ in range(8)))
    assert [found for found in taken if found is not None] == [LINK]
    assert await db.read(lambda rx: setup_links.find(rx, "token", 9)) is None


async def test_a_link_ends_and_goes_with_the_next_one(db: Database) -> None:
    await db.write(lambda tx: setup_links.put(tx, "old", LINK, now=0, expires_at=10))
    assert await db.read(lambda rx: setup_links.find(rx, "old", 10)) is None
    assert await db.write(lambda tx: setup_links.take(tx, "old", 10)) is None
    await db.write(lambda tx: setup_links.put(tx, "new", LINK, now=10, expires_at=20))
    assert await db.read(lambda rx: setup_links.find(rx, "old", 9)) is None  # not only over: gone


async def test_what_is_no_token_is_no_link(db: Database) -> None:
    for token in ("", "\0", "\ud800", "x" * 10_000):
        assert await db.read(lambda rx, token=token: setup_links.find(rx, token, 0)) is None  # type: ignore[misc]
