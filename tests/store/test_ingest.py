"""ContentWriter on a real store: any chunking gives the same content, nothing is left behind."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from gateway.ingest import Ingest
from gateway.ingest.writer import STAGE_OCTETS, UNDER_WAY, VARIANTS
from gateway.mime import PARSER_VERSION, decode_parts, find_section
from gateway.model.errors import InvalidRequest, TooBig, Unavailable
from gateway.store import content, messages
from gateway.store.content import CHUNK, StagedContent
from gateway.store.db import Database, Tx
from gateway.store.messages import Columns
from gateway.store.statements import Stmt

from .helpers import NOW, mailbox_id, make_inbox

HEADER = (
    b"From: Anna <anna@example.test>\r\nTo: bert@example.test\r\nBcc: carl@example.test\r\n"
    b"Message-ID: <one@example.test>\r\nIn-Reply-To: <zero@example.test>\r\nSubject: Gr=?utf-8?q?=C3=BC?=n\r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b1\r\n\r\n"
)
STAGED = Stmt("SELECT count(*) FROM staging")
CHUNKS = Stmt("SELECT count(*) FROM content_chunk")


def message(size: int) -> bytes:
    lines = b"".join(b"%08d line of an attachment\r\n" % number for number in range(size // 32))
    return HEADER + b"--b1\r\n\r\ntext\r\n--b1\r\nContent-Type: text/csv\r\n\r\n" + lines + b"\r\n--b1--\r\n"


def ingest_of(db: Database) -> Ingest:
    return Ingest(db, now=lambda: float(NOW))


async def take(ingest: Ingest, octets: bytes, piece: int) -> StagedContent:
    writer = ingest.writer(max_size=len(octets))
    for start in range(0, len(octets), piece):
        await writer.write(octets[start : start + piece])
    assert writer.size == len(octets)
    return await writer.finish()


async def attach(db: Database, *staged: StagedContent) -> list[int]:
    inbox = await make_inbox(db)
    mailbox = await mailbox_id(db, inbox.id)

    def unit(tx: Tx) -> list[int]:
        for each in staged:
            content.complete(tx, each, NOW)
        return [messages.append(tx, mailbox, inbox.id, each, internal_date=NOW, now=NOW).uid for each in staged]

    await db.write(unit, inboxes=(inbox.id,), octets=staged[0].size)
    rows = await db.read(lambda rx: messages.fetch_rows(rx, mailbox, list(range(1, 99)), Columns.ENVELOPE))
    assert len(rows) == len(staged)
    return [row[0] for row in rows]


async def octets_of(db: Database, staged: StagedContent) -> bytes:
    header = await db.read(lambda rx: content.read_header(rx, staged.content_id))
    return header + await db.read(lambda rx: content.read_body(rx, staged.content_id, 0, 1 << 40))


@pytest.mark.parametrize("size", [0, 3_000, STAGE_OCTETS - len(HEADER), STAGE_OCTETS + 1, 3 * STAGE_OCTETS + 5 * 32])
async def test_any_chunking_gives_the_same_content(db: Database, runner: asyncio.Runner, size: int) -> None:
    octets = message(size)
    ingest = ingest_of(db)
    made = [await take(ingest, octets, piece) for piece in (len(octets), 65_536, 7_919)]
    await attach(db, *made)
    for staged in made:
        assert await octets_of(db, staged) == octets
        assert staged.size == len(octets)
        assert staged.meta == made[0].meta
        assert staged.sha256 == hashlib.sha256(octets[len(HEADER) :] + HEADER).digest()
        assert sum(map(len, staged.tail)) < STAGE_OCTETS
    assert await db.read(lambda rx: rx.scalar(STAGED)) == 0
    row = await db.read(lambda rx: content.content_row(rx, made[0].content_id))
    assert (row.message_id, row.in_reply_to) == (b"one@example.test", (b"zero@example.test",))
    assert (row.sent_date, row.has_nul, row.parser_version) == (1_700_000_000, False, PARSER_VERSION)
    part = find_section(decode_parts(row.parts), (2,))
    assert part is not None
    body = await db.read(lambda rx: content.read_body(rx, made[0].content_id, part.header_end, part.body_end))
    assert body == octets.split(b"text/csv\r\n\r\n")[1].removesuffix(b"\r\n--b1--\r\n")


async def test_chunks_reach_the_store_while_the_message_is_arriving(db: Database, runner: asyncio.Runner) -> None:
    ingest = ingest_of(db)
    writer = ingest.writer(max_size=10_000_000)
    octets = message(STAGE_OCTETS * (UNDER_WAY + 3))
    for start in range(0, len(octets), 50_000):
        await writer.write(octets[start : start + 50_000])
    unit = STAGE_OCTETS // CHUNK
    whole = (len(octets) - len(HEADER)) // STAGE_OCTETS * unit
    assert whole - UNDER_WAY * unit <= await db.read(lambda rx: rx.scalar(CHUNKS)) <= whole > UNDER_WAY * unit
    await writer.finish()
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == whole
    assert await db.read(lambda rx: rx.scalar(Stmt("SELECT count(*) FROM content_meta"))) == 0
    await writer.abort()
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == 0
    assert await db.read(lambda rx: rx.scalar(STAGED)) == 0


async def test_a_unit_that_fails_is_told_by_what_comes_next(
    db: Database, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise Unavailable("disk full")

    octets = message(STAGE_OCTETS * (UNDER_WAY + 4))
    for finish in (False, True):
        writer = ingest_of(db).writer(max_size=10_000_000)
        await writer.write(octets[: STAGE_OCTETS + 1_000])  # an id is drawn and one unit is on its way
        with monkeypatch.context() as patch:
            patch.setattr(db, "write", full)
            await writer.write(octets[STAGE_OCTETS + 1_000 : 2 * STAGE_OCTETS + 2_000])
            rest = octets[2 * STAGE_OCTETS + 2_000 :]
            with pytest.raises(Unavailable):
                await (writer.finish() if finish else writer.write(rest))
        await writer.abort()
        assert await db.read(lambda rx: rx.scalar(CHUNKS)) == 0


async def test_abort_while_a_unit_is_under_way(db: Database, runner: asyncio.Runner) -> None:
    writer = ingest_of(db).writer(max_size=10_000_000)
    await writer.write(message(STAGE_OCTETS * 2))
    await writer.abort()
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == 0
    assert await db.read(lambda rx: rx.scalar(STAGED)) == 0


async def test_too_big_is_said_at_once_and_leaves_nothing(db: Database, runner: asyncio.Runner) -> None:
    writer = ingest_of(db).writer(max_size=STAGE_OCTETS * 2)
    chunk = b"x" * (STAGE_OCTETS * 2 // 5)
    for _ in range(5):
        await writer.write(chunk)
    with pytest.raises(TooBig):
        await writer.write(chunk)
    assert writer.size == 6 * len(chunk)
    await writer.abort()
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == 0


async def test_exactly_the_limit_is_taken(db: Database, runner: asyncio.Runner) -> None:
    octets = message(3_000)
    await attach(db, await take(ingest_of(db), octets, 100))


@pytest.mark.parametrize(
    "octets", [b"", b"\r\n", b"\r\nbody", b"no blank line\r\n", b"a: b\n\nbare\nlf\0nul", b"\0" * 70_000]
)
async def test_odd_messages_keep_every_octet(db: Database, runner: asyncio.Runner, octets: bytes) -> None:
    ingest = ingest_of(db)
    made = [await take(ingest, octets, piece) for piece in (1 if len(octets) < 100 else 1_000, 70_001)]
    await attach(db, *made)
    assert [await octets_of(db, staged) for staged in made] == [octets, octets]
    assert made[0].meta == made[1].meta
    assert made[0].meta.has_nul == (b"\0" in octets)


@pytest.mark.parametrize("size", [3_000, STAGE_OCTETS * 2])
async def test_variants_share_one_body(db: Database, runner: asyncio.Runner, size: int) -> None:
    octets = message(size)
    ingest = ingest_of(db)
    writer = ingest.writer(max_size=10_000_000)
    await writer.write(octets)
    staged = await writer.finish()
    public = HEADER.replace(b"Bcc: carl@example.test\r\n", b"")
    variant = writer.variant(staged, public)
    local = writer.variant(staged, b"Return-Path: <>\r\n" + public)
    await attach(db, staged, variant, local)
    body = octets[len(HEADER) :]
    assert await octets_of(db, staged) == octets
    assert await octets_of(db, variant) == public + body
    assert await octets_of(db, local) == b"Return-Path: <>\r\n" + public + body
    assert await db.read(lambda rx: rx.scalar(CHUNKS)) == -(-len(body) // CHUNK)
    assert b"carl" in staged.meta.envelope
    assert b"carl" not in variant.meta.envelope
    assert variant.meta.bodystructure == staged.meta.bodystructure
    assert len({staged.content_id, variant.content_id, local.content_id}) == 3
    for _ in range(VARIANTS - 2):
        writer.variant(staged, public)
    with pytest.raises(InvalidRequest):
        writer.variant(staged, public)


async def test_many_writers_at_once_never_mix(db: Database, runner: asyncio.Runner) -> None:
    ingest = ingest_of(db)
    wholes = [HEADER + bytes([65 + number]) * (CHUNK * number + 17) for number in range(8)]
    made = await asyncio.gather(*(take(ingest, octets, 40_000) for octets in wholes))
    await attach(db, *made)
    assert [await octets_of(db, staged) for staged in made] == wholes
