"""Binary parts become base64 wherever their octets lie by then, and messages of one APPEND need not wait in memory."""

from __future__ import annotations

import asyncio
import base64
import random

import pytest

from gateway.ingest import Ingest
from gateway.ingest.binary import without_binary
from gateway.ingest.writer import STAGE_OCTETS, ContentWriter
from gateway.mime import decode_parts, find_section, parse
from gateway.store import content
from gateway.store.content import CHUNK, StagedContent
from gateway.store.db import Database

from .helpers import NOW
from .test_ingest import CHUNKS, STAGED, attach, ingest_of, take


async def octets_of(db: Database, staged: StagedContent) -> bytes:
    return staged.header + await db.read(
        lambda rx: content.read_staged(rx, staged, 0, staged.size - len(staged.header))
    )


def multipart(octets: bytes) -> bytes:
    return (
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\nhead\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nplain text\r\n"
        b"--b\r\ncontent-transfer-encoding :  binary\r\nContent-Type: image/png\r\n\r\n" + octets + b"\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Transfer-Encoding: binary\r\n\r\nx\0y\r\n"
        b"--b--\r\ntail\r\n"
    )


@pytest.mark.parametrize("size", [0, 1, 57, 5000, CHUNK, STAGE_OCTETS + 7, 3 * STAGE_OCTETS])
def test_binary_parts_become_base64(db: Database, runner: asyncio.Runner, size: int) -> None:
    octets = random.Random(size).randbytes(size).replace(b"\n--", b"\n..")
    message = multipart(octets)
    writers: list[ContentWriter] = []

    async def run() -> None:
        ingest = ingest_of(db)
        staged = await take(ingest, message, 10_000)
        assert await octets_of(db, staged) == message

        def fresh() -> ContentWriter:
            writers.append(ingest.writer(max_size=10_000_000))
            return writers[-1]

        made = await without_binary(db, staged, fresh)
        assert made is not None
        got = await octets_of(db, made)
        root = decode_parts(made.meta.parts)
        body = got[len(made.header) :]
        assert b"binary" not in made.meta.parts + made.meta.bodystructure
        image, inner = find_section(root, (2,)), find_section(root, (3, 1))
        assert image is not None
        assert inner is not None
        assert base64.b64decode(body[image.header_end : image.body_end]) == octets
        assert base64.b64decode(body[inner.header_end : inner.body_end]) == b"x\0y"
        assert all(len(line) <= 77 for line in body[image.header_end : image.body_end].split(b"\n"))
        before, after = parse(message).root, parse(got).root
        assert [part.type for part in before.children] == [part.type for part in after.children]
        assert body.startswith(b"head\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain text\r\n--b\r\n")
        assert body.endswith(b"\r\n--b--\r\ntail\r\n")
        await attach(db, made)

    runner.run(run())


def test_what_is_not_binary_is_left_alone(db: Database, runner: asyncio.Runner) -> None:
    async def run() -> None:
        ingest = ingest_of(db)
        staged = await take(ingest, b"Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nbinary \0\r\n", 9)
        assert await without_binary(db, staged, lambda: pytest.fail("written again")) is None

    runner.run(run())


def test_a_message_that_is_not_kept_in_memory(db: Database, runner: asyncio.Runner) -> None:
    async def run() -> None:
        made = []
        for size in (0, 1, CHUNK, CHUNK + 1, STAGE_OCTETS + 5):
            octets = b"Subject: x\r\n\r\n" + b"y" * size
            writer = Ingest(db, now=lambda: float(NOW)).writer(max_size=len(octets))
            await writer.write(octets)
            staged = await writer.finish(keep=False)
            assert staged.tail == ()
            assert await octets_of(db, staged) == octets
            made.append(staged)
        await attach(db, *made)
        assert await db.read(lambda rx: rx.scalar(STAGED)) == 0
        writer = Ingest(db, now=lambda: float(NOW)).writer(max_size=1000)
        await writer.write(b"Subject: x\r\n\r\ngiven up")
        before = await db.read(lambda rx: rx.scalar(CHUNKS))
        await writer.finish(keep=False)
        await writer.abort()
        assert await db.read(lambda rx: rx.scalar(STAGED)) == 0
        assert await db.read(lambda rx: rx.scalar(CHUNKS)) == before

    runner.run(run())
