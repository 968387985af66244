"""Contents: pieces of any size read back as they were, nothing half there, nothing collected too early."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import BodyId, ContentId
from gateway.store import cleanup, content, messages
from gateway.store.content import CHUNK, ContentMeta, IdBlocks, StagedContent
from gateway.store.db import Database, Tx
from gateway.store.statements import Stmt

from .helpers import NOW, mailbox_id, make_inbox, put, staged

HEADER = b"Subject: x\r\nBcc: c@example.test\r\n\r\n"
CHUNKS = Stmt("SELECT count(*) FROM content_chunk")
CONTENTS = Stmt("SELECT count(*) FROM content_meta")


def body_of(size: int) -> bytes:
    return bytes(number * 7 % 251 for number in range(min(size, 4096))) * (size // 4096 + 1)


def collect(tx: Tx) -> int:
    """What the janitor does an hour later, in one unit; how many contents it looked at."""
    cleanup.forget_expunged(tx, NOW, 100)
    looked = cleanup.collect_contents(tx, NOW, 100)
    while cleanup.drop_staged(tx, 0, 100):
        pass
    return looked


async def attach(db: Database, made: StagedContent) -> None:
    inbox = await make_inbox(db)
    mailbox = await mailbox_id(db, inbox.id)

    def unit(tx: Tx) -> None:
        content.complete(tx, made, NOW)
        content.complete(tx, made, NOW)  # done again in the same unit: nothing changes
        messages.append(tx, mailbox, inbox.id, made, internal_date=NOW, now=NOW)

    await db.write(unit, octets=made.size)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 77])
async def test_octets_come_back_in_any_window(db: Database, runner: asyncio.Runner, size: int) -> None:
    body = body_of(size)[:size]
    made = staged(HEADER + body)
    await attach(db, made)
    windows = [(0, size), (0, 1 << 40), (1, size), (CHUNK - 3, CHUNK + 3), (size // 2, size // 2), (size, size + 5)]
    windows += [(CHUNK, 2 * CHUNK), (2 * CHUNK + 1, 2 * CHUNK + 2), (size - 1, size)]
    for start, stop in windows:
        start = max(start, 0)
        found = await db.read(lambda rx, a=start, b=stop: content.read_body(rx, made.content_id, a, b))
        assert found == body[start:stop]
    assert await db.read(lambda rx: content.read_header(rx, made.content_id)) == HEADER


async def test_a_row_tells_what_was_parsed(db: Database, runner: asyncio.Runner) -> None:
    meta = ContentMeta(b"e", b"b", b"s", b"\0p\xff", b"m@x", (b"r@x",), (b"a@x", b"b@x"), -86400, True, 3)
    digest = hashlib.sha256(b"body" + HEADER).digest()
    made = StagedContent(ContentId(5), BodyId(5), HEADER, len(HEADER) + 4, digest, (b"body",), 0, meta)
    await attach(db, made)
    row = await db.read(lambda rx: content.content_row(rx, ContentId(5)))
    assert (row.content_id, row.body_id, row.size, row.header_size, row.body_size) == (5, 5, made.size, len(HEADER), 4)
    assert (row.parts, row.body, row.message_id, row.in_reply_to) == (b"\0p\xff", b"b", b"m@x", (b"r@x",))
    assert (row.references, row.sent_date, row.has_nul, row.parser_version) == ((b"a@x", b"b@x"), -86400, True, 3)
    assert row.sha256 == made.sha256


async def test_a_staged_body_is_no_content_until_it_is_complete(db: Database, runner: asyncio.Runner) -> None:
    body = body_of(3 * CHUNK)[: 3 * CHUNK]
    pieces = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]
    whole = staged(HEADER + body)
    made = StagedContent(whole.content_id, whole.body_id, HEADER, whole.size, whole.sha256, (pieces[2],), 2, whole.meta)
    await db.write(lambda tx: content.stage_chunks(tx, made.body_id, 0, pieces[:1], now=NOW))
    await db.write(lambda tx: content.stage_chunks(tx, made.body_id, 1, pieces[1:2], now=NOW))
    for read in (content.read_header, content.content_row, lambda rx, cid: content.read_body(rx, cid, 0, 9)):
        with pytest.raises(NotFound):
            await db.read(lambda rx, read=read: read(rx, made.content_id))
    assert not await db.read(lambda rx: content.exists(rx, made.content_id))

    def failing(tx: Tx) -> None:
        content.complete(tx, made, NOW)
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        await db.write(failing)
    assert not await db.read(lambda rx: content.exists(rx, made.content_id))
    await attach(db, made)
    assert await db.read(lambda rx: content.read_body(rx, made.content_id, 0, 1 << 40)) == body
    assert await db.read(lambda rx: rx.scalar(Stmt("SELECT count(*) FROM staging"))) == 0


async def test_given_up_and_orphaned_bodies_are_removed(db: Database, runner: asyncio.Runner) -> None:
    def stage(tx: Tx) -> None:
        for body in (1, 2, 3):
            content.stage_chunks(tx, BodyId(body), 0, [b"x" * CHUNK, b"y" * CHUNK], now=NOW + body)

    await db.write(stage)
    await db.write(lambda tx: content.discard(tx, BodyId(1), 2))
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == 4
    assert await db.write(lambda tx: cleanup.drop_staged(tx, NOW + 1, 10)) == 0
    assert await db.write(lambda tx: cleanup.drop_staged(tx, NOW + 2, 10)) == 3  # two pieces and their entry
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == 2
    steps = [await db.write(lambda tx: cleanup.drop_staged(tx, NOW + 9, 1)) for _ in range(4)]
    assert steps == [2, 2, 1, 0]  # a piece at a time, and then the entry alone
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == 0


async def test_expunged_octets_stay_for_the_grace_period(db: Database, runner: asyncio.Runner) -> None:
    inbox = await make_inbox(db)
    source, target = await mailbox_id(db, inbox.id), await mailbox_id(db, inbox.id, "Trash")
    uids = await db.write(lambda tx: [put(tx, inbox.id, source).uid for _ in range(3)])
    await db.write(lambda tx: messages.copy(tx, inbox.id, source, uids[:1], target, now=NOW))
    await db.write(lambda tx: messages.expunge(tx, inbox.id, source, uids, only_deleted=False, now=NOW))
    assert await db.write(lambda tx: cleanup.forget_expunged(tx, NOW - 1, 10)) == 0
    assert await db.write(lambda tx: cleanup.collect_contents(tx, NOW, 10)) == 0
    assert await db.read(lambda rx: rx.scalar(CONTENTS)) == 3
    assert await db.write(lambda tx: cleanup.forget_expunged(tx, NOW, 2)) == 2
    assert await db.write(lambda tx: cleanup.forget_expunged(tx, NOW, 2)) == 1
    assert await db.write(collect) == 3
    assert await db.read(lambda rx: rx.scalar(CONTENTS)) == 1  # the copy still refers to it
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == 1
    assert await db.write(lambda tx: cleanup.forget_expunged(tx, NOW, 2)) == 0
    assert await db.write(collect) == 0


async def test_variants_share_a_body_until_the_last_is_gone(db: Database, runner: asyncio.Runner) -> None:
    inbox = await make_inbox(db)
    mailbox = await mailbox_id(db, inbox.id)
    whole = staged(HEADER + b"body")
    public = b"Subject: x\r\n\r\n"
    digest = hashlib.sha256(b"body" + public).digest()
    variant = StagedContent(
        ContentId(whole.content_id + 10**9), whole.body_id, public, len(public) + 4, digest, whole.tail, 0, whole.meta
    )

    def unit(tx: Tx) -> list[int]:
        uids = []
        for made in (whole, variant):
            content.complete(tx, made, NOW)
            uids.append(messages.append(tx, mailbox, inbox.id, made, internal_date=NOW, now=NOW).uid)
        return uids

    uids = await db.write(unit)
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == 1
    for uid, chunks_left in zip(uids, (1, 0), strict=True):
        await db.write(lambda tx, u=uid: messages.expunge(tx, inbox.id, mailbox, [u], only_deleted=False, now=NOW))
        await db.write(collect)
        assert await db.read(lambda rx: rx.scalar(CHUNKS)) == chunks_left
        if chunks_left:
            assert await db.read(lambda rx: content.read_body(rx, variant.content_id, 0, 99)) == b"body"


async def test_a_released_content_goes_only_when_nothing_refers_to_it(db: Database, runner: asyncio.Runner) -> None:
    inbox = await make_inbox(db)
    mailbox = await mailbox_id(db, inbox.id)
    kept, alone = staged(HEADER + b"kept"), staged(HEADER + b"alone")

    def unit(tx: Tx) -> None:
        for made in (kept, alone):
            content.complete(tx, made, NOW)
            content.release(tx, made.content_id, NOW)
            content.release(tx, made.content_id, NOW)
        messages.append(tx, mailbox, inbox.id, kept.content_id, internal_date=NOW, now=NOW)

    await db.write(unit)
    assert await db.write(collect) == 2
    assert await db.read(lambda rx: content.exists(rx, kept.content_id))
    assert not await db.read(lambda rx: content.exists(rx, alone.content_id))


async def test_ids_are_never_given_twice(db: Database, runner: asyncio.Runner) -> None:
    first, second = IdBlocks(db), IdBlocks(db)
    counts = [1, 8, 8, 1000, 4000, 1, 8] * 4
    starts = await asyncio.gather(*((first, second)[n % 2].take(count) for n, count in enumerate(counts)))
    taken = [number for start, count in zip(starts, counts, strict=True) for number in range(start, start + count)]
    assert len(taken) == len(set(taken))
    assert min(taken) >= 1
