"""Requests known by their key, and drafts by their name, on both databases."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from gateway.model.ids import InboxId
from gateway.store import draft_names, idempotency
from gateway.store.db import Database
from gateway.store.draft_names import DraftName
from gateway.store.idempotency import LIFETIME_S, Done, DoneBefore

FIRST = Done(b"body", 201, b'{"id":1}')


async def test_a_key_is_taken_once_and_answers(db: Database) -> None:
    await db.write(lambda tx: idempotency.take(tx, b"k", FIRST, 1000))
    assert await db.read(lambda rx: idempotency.find(rx, b"k", 1001)) == FIRST
    assert await db.read(lambda rx: idempotency.find(rx, b"other", 1001)) is None
    with pytest.raises(DoneBefore):
        await db.write(lambda tx: idempotency.take(tx, b"k", Done(b"x", 200, b""), 1001))
    assert await db.read(lambda rx: idempotency.find(rx, b"k", 1001)) == FIRST


async def test_of_two_at_once_one_is_undone(db: Database) -> None:
    tries = [partial(idempotency.take, digest=b"k", done=Done(b"b", 200, b"%d" % n), now=5) for n in range(8)]
    asked = [db.write(each) for each in tries]
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in ended if each is not None] == [DoneBefore] * 7
    winner = ended.index(None)
    assert await db.read(lambda rx: idempotency.find(rx, b"k", 6)) == Done(b"b", 200, b"%d" % winner)


async def test_a_day_later_the_key_is_free(db: Database) -> None:
    await db.write(lambda tx: idempotency.take(tx, b"k", FIRST, 1000))
    later = 1000 + LIFETIME_S
    assert await db.read(lambda rx: idempotency.find(rx, b"k", later - 1)) == FIRST
    assert await db.read(lambda rx: idempotency.find(rx, b"k", later)) is None
    second = Done(b"other", 200, b"2")
    await db.write(lambda tx: idempotency.take(tx, b"k", second, later))
    assert await db.read(lambda rx: idempotency.find(rx, b"k", later)) == second
    assert await db.write(lambda tx: idempotency.purge(tx, later - 1, 10)) == 0
    assert await db.write(lambda tx: idempotency.purge(tx, later, 10)) == 1


async def test_a_draft_keeps_its_name(db: Database) -> None:
    inbox = InboxId(7)
    first = DraftName("M1", "M1", "mine", "M0", True, 5)
    await db.write(lambda tx: draft_names.keep(tx, inbox, first))
    await db.write(lambda tx: draft_names.keep(tx, inbox, DraftName("M1", "M2")))
    kept = DraftName("M1", "M2", "mine", "M0", True, 5)
    assert await db.read(lambda rx: draft_names.by_name(rx, inbox, "M1")) == kept
    assert await db.read(lambda rx: draft_names.by_client(rx, inbox, "mine")) == kept
    assert await db.read(lambda rx: draft_names.of_emails(rx, inbox, ["M2", "M9"])) == {"M2": kept}
    assert await db.read(lambda rx: draft_names.by_name(rx, inbox, "M2")) is None
    assert await db.read(lambda rx: draft_names.by_name(rx, inbox, "a\0b")) is None
    assert await db.read(lambda rx: draft_names.by_name(rx, InboxId(8), "M1")) is None
    gone = await db.read(lambda rx: draft_names.outlived(rx, 10))
    assert [name for _, name in gone] == ["M1"]  # there is no such message
    assert await db.write(lambda tx: draft_names.forget(tx, gone)) == 1
    assert await db.read(lambda rx: draft_names.by_name(rx, inbox, "M1")) is None
    await db.write(lambda tx: draft_names.keep(tx, inbox, first))
    await db.write(lambda tx: draft_names.remove(tx, inbox, "M1"))
    assert await db.read(lambda rx: draft_names.by_client(rx, inbox, "mine")) is None
