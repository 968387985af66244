"""The trigram index: it never hides a message that holds a needle, and follows the mail of all inboxes."""

from __future__ import annotations

import asyncio

import pytest

from gateway.mime import fold
from gateway.model.ids import MailboxId
from gateway.store import cleanup, content, driver, expunge, inboxes, mailboxes, messages, pods, trigrams
from gateway.store.db import Tx
from gateway.store.trigrams import BLOCK

from .helpers import NOW, mailbox_id, make_inbox
from .trigram_place import Place, always_asked, place, running, until

__all__ = ["always_asked", "place"]


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


async def test_it_follows_the_mail_while_it_runs(place: Place) -> None:
    async with running(place.builder):
        uids = await place.bring("one needle", "two")
        await place.texts()
        await until(place, "needle", uids, uids[:1])
        uids += await place.bring("three needles", "four")
        await place.texts()
        await until(place, "needle", uids, [uids[0], uids[2]])
    assert place.builder.index is None


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
