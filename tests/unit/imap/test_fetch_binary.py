"""BINARY of parts too large to be held: the same octets as those of a small part, whole and in windows (RFC 3516)."""

from __future__ import annotations

import base64
import quopri
import random
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.imap.settings import BODY_READ
from gateway.store import cleanup
from tests.transcripts.harness import NOW, Client, Harness
from tests.transcripts.play import play

Body = Callable[[Harness, Client], Awaitable[None]]
SIZE = 900_000
OCTETS = random.Random(1).randbytes(SIZE)
LETTERS = b"".join(b"%d: gr\xc3\xbcn = so, weit \r\n" % number for number in range(40_000))


def begin(directory: Path, message: bytes, body: Body) -> None:
    async def begun(harness: Harness) -> None:
        await harness.deliver(message)
        client = await harness.logged_in()
        await client.run(b"SELECT INBOX")
        await body(harness, client)

    play(directory, begun, max_message_size=20_000_000)


def part(encoding: bytes, octets: bytes) -> bytes:
    return (
        b"Content-Type: multipart/mixed; boundary=X\r\n\r\n--X\r\n\r\nshort\r\n--X\r\nContent-Transfer-Encoding: "
        + encoding + b"\r\n\r\n" + octets + b"\r\n--X--\r\n"
    )  # fmt: skip


async def fetched(client: Client, item: bytes) -> tuple[bytes, bytes]:
    """What stands before the octets of the only item, and these."""
    client.send(b"t FETCH 1 " + item + b"\r\n")
    line = await client.line()
    head, _, size = line[:-1].rpartition(b"{")
    octets = await client.octets(int(size))
    assert await client.line() == b")"
    assert (await client.line()).startswith(b"t OK")
    return head, octets


ENCODED = [
    (b"base64", base64.encodebytes(OCTETS).replace(b"\n", b"\r\n"), OCTETS),
    (b"base64", base64.b64encode(OCTETS), OCTETS),
    (b"quoted-printable", quopri.encodestring(LETTERS.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n"), LETTERS),
    (b"binary", b"\0" + LETTERS, b"\0" + LETTERS),
    (b"8bit", LETTERS, LETTERS),
]


@pytest.mark.parametrize(("encoding", "encoded", "octets"), ENCODED, ids=["base64", "one-line", "qp", "nul", "8bit"])
def test_large_parts(tmp_path: Path, encoding: bytes, encoded: bytes, octets: bytes) -> None:
    nul = b"~" if b"\0" in octets else b""

    async def body(harness: Harness, client: Client) -> None:
        head, got = await fetched(client, b"BINARY.PEEK[2]")
        assert head == b"* 1 FETCH (BINARY[2] " + nul
        assert got == octets
        assert (await client.run(b"FETCH 1 BINARY.SIZE[2]"))[0] == b"* 1 FETCH (BINARY.SIZE[2] %d)" % len(octets)
        for first, count in ((0, 10), (BODY_READ - 3, 9), (300_001, 200_000), (len(octets) - 5, 100), (1 << 40, 5)):
            window = octets[first : first + count]
            head, got = await fetched(client, b"BINARY.PEEK[2]<%d.%d>" % (first, count))
            assert got == window
            assert head == b"* 1 FETCH (BINARY[2]<%d> " % first + (b"~" if b"\0" in window else b"")
        _, whole = await fetched(client, b"BINARY.PEEK[]")
        assert whole == part(encoding, encoded)

    begin(tmp_path, part(encoding, encoded), body)


def test_a_large_part_is_never_held(tmp_path: Path) -> None:
    octets = base64.encodebytes(b"x" * 7_000_000)

    async def body(harness: Harness, client: Client) -> None:
        await client.run(b"FETCH 1 BINARY.SIZE[2]")
        tracemalloc.start()
        client.send(b"t FETCH 1 BINARY.PEEK[2]\r\n")
        assert b"{7000000}" in await client.line()
        left = 7_000_000
        while left:  # what the transport has is not counted
            count = min(left, 65_536)
            await client.octets(count)
            client.writes.clear()
            left -= count
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20 * BODY_READ
        await client.until(b"t")

    begin(tmp_path, part(b"base64", octets), body)


def test_octets_that_go_in_the_middle_end_the_connection(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        await harness.expunge([1])
        await client.session.require_selected().shared.settle()
        client.send(b"t FETCH 1 BINARY.PEEK[2]\r\n")
        await client.line()
        client.session.channel.pause()  # else all may have come before its octets go
        await harness.db.write(lambda tx: cleanup.forget_expunged(tx, NOW + 1, 100))
        await harness.db.write(lambda tx: cleanup.collect_contents(tx, NOW + 1, 100))
        client.session.writable()
        await client.wait_closed()
        assert client.aborted

    begin(tmp_path, part(b"base64", base64.encodebytes(OCTETS * 8)), body)
