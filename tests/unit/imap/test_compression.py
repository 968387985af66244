"""Deflate in both directions: what is packed is unpacked in pieces, however it comes, and never more than that."""

from __future__ import annotations

import asyncio
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imap.channel import READ_AHEAD, TURN, Channel
from gateway.imap.compression import PIECE, BadStream, Deflater, Inflater
from gateway.wire.events import AppendEnd, Event, Fatal, Frame, LiteralStart, after_login
from tests.transcripts.harness import until
from tests.unit.imap.test_channel import FakePeer, Serve, channel_with


def unpacked(inflater: Inflater) -> bytes:
    found = bytearray()
    while (piece := inflater.unpack()) is not None:
        assert len(piece) <= PIECE
        found += piece
    return bytes(found)


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(0, 3000), max_size=10), st.booleans())
def test_what_is_packed_is_unpacked(answers: list[bytes], cuts: list[int], whole: bool) -> None:
    deflater, inflater = Deflater(), Inflater()
    packed = b"".join(map(deflater.pack, answers))
    found = b""
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    for start, stop in pairwise(edges):
        inflater.feed(packed[start:stop])
        found += b"" if whole else unpacked(inflater)
    assert found + unpacked(inflater) == b"".join(answers)
    assert inflater.waiting == 0


def test_each_answer_can_be_read_at_once() -> None:
    deflater, client = Deflater(), zlib.decompressobj(-15)
    for answer in (b"* OK\r\n", b"a OK\r\n" * 1000, b""):
        assert client.decompress(deflater.pack(answer)) == answer
    assert client.decompress(deflater.finish(b"b OK\r\n") + b"* plain") == b"b OK\r\n"
    assert client.eof
    assert client.unused_data == b"* plain"


def test_a_bomb_is_unpacked_piece_by_piece() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(bytes(50_000_000)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    assert len(packed) < 60_000
    inflater = Inflater()
    inflater.feed(packed)
    pieces = size = 0
    while (piece := inflater.unpack()) is not None:
        assert len(piece) <= PIECE
        assert inflater.waiting <= len(packed)
        pieces += 1
        size += len(piece)
    assert size == 50_000_000
    assert pieces < 3 * size / PIECE


@given(st.binary(max_size=40), st.integers(0, 60), st.booleans(), st.sampled_from([5, PIECE, PIECE + 7, 3 * PIECE]))
def test_what_follows_the_last_flush_is_not_touched(plain: bytes, cut: int, ends: bool, size: int) -> None:
    client = zlib.compressobj(6, zlib.DEFLATED, -15)
    last = b"x" * size + b"a UNAUTHENTICATE\r\n"
    packed = client.compress(last) + client.flush(zlib.Z_FINISH if ends else zlib.Z_SYNC_FLUSH)
    sent = packed + plain
    cut = max(0, len(packed) - cut)
    inflater, found = Inflater(), b""
    for part in (sent[:cut], sent[cut:]):
        inflater.feed(part)
        while (len(found) < len(last) or not inflater.settled) and (piece := inflater.unpack()) is not None:
            found += piece
    assert found == last
    assert inflater.settled
    assert inflater.rest() == plain


@pytest.mark.parametrize("data", [b"\xff\xff", b"a NOOP\r\n" * 3])
def test_what_is_not_deflate(data: bytes) -> None:
    inflater = Inflater()
    inflater.feed(data)
    with pytest.raises(BadStream):
        unpacked(inflater)


def test_nothing_comes_behind_the_end() -> None:
    inflater = Inflater()
    inflater.feed(Deflater().finish(b"a NOOP\r\n"))
    assert unpacked(inflater) == b"a NOOP\r\n"
    inflater.feed(b"x")
    with pytest.raises(BadStream):
        inflater.unpack()


# In the channel.


def compressed(serve: Serve, append: int = 10) -> tuple[Channel, FakePeer, Any]:
    channel, peer = channel_with(serve, after_login(append))
    channel.compress()
    return channel, peer, zlib.compressobj(9, zlib.DEFLATED, -15)


def packed(client: Any, data: bytes) -> bytes:
    octets: bytes = client.compress(data) + client.flush(zlib.Z_SYNC_FLUSH)
    return octets


def test_a_bomb_of_commands_shares_the_loop_and_holds_one_piece() -> None:
    async def run() -> None:
        most = served = turns_of_others = 0

        async def serve(channel: Channel, event: Event) -> None:
            nonlocal most, served
            served += 1
            most = max(most, channel.reader.buffered)
            assert isinstance(event, Frame)

        channel, _peer, client = compressed(serve)
        commands = 40_000
        bomb = packed(client, b"a NOOP and more\r\n" * commands)
        assert len(bomb) < 5000
        channel.data_received(bomb)
        while served < commands:
            await asyncio.sleep(0)
            turns_of_others += 1
        assert served >= commands
        assert most <= 2 * PIECE
        assert turns_of_others >= commands // TURN

    asyncio.run(run())


def test_a_literal_without_end_shares_the_loop_and_is_drained() -> None:
    async def run() -> None:
        answered: list[str] = []

        async def serve(channel: Channel, event: Event) -> None:
            if isinstance(event, LiteralStart):
                while not isinstance(event, AppendEnd):
                    event = await channel.next_event()
                    assert channel.reader.buffered <= 2 * PIECE
            answered.append(type(event).__name__)

        size = 20_000_000
        channel, _peer, client = compressed(serve, size)
        channel.data_received(packed(client, b"a APPEND x {%d+}\r\n" % size + bytes(size) + b"\r\nb NOOP\r\n"))
        turns_of_others = 0
        while len(answered) < 2:
            await asyncio.sleep(0)
            turns_of_others += 1
        assert answered == ["AppendEnd", "Frame"]
        assert turns_of_others > size // PIECE

    asyncio.run(run())


def test_reading_pauses_for_octets_that_wait_packed() -> None:
    async def run() -> None:
        gate = asyncio.Event()

        async def serve(channel: Channel, event: Event) -> None:
            if isinstance(event, Frame) and event.text == b"a wait":
                await gate.wait()

        channel, peer, client = compressed(serve)
        channel.data_received(packed(client, b"a wait\r\n"))
        noise = b"".join(b"%x NOOP %x\r\n" % (n, n * n * 7919) for n in range(20_000))
        data = packed(client, noise)
        assert len(data) > READ_AHEAD
        channel.data_received(data)
        assert peer.log == ["pause_reading"]
        gate.set()
        await until(lambda: "resume_reading" in peer.log)
        assert channel.at_rest

    asyncio.run(run())


def test_what_is_broken_ends_the_connection_once() -> None:
    async def run() -> None:
        seen: list[Event] = []

        async def serve(channel: Channel, event: Event) -> None:
            seen.append(event)
            channel.end(b"* BYE\r\n")

        channel, peer, client = compressed(serve)
        channel.data_received(packed(client, b"a NO") + b"\xff\xff\xff")
        assert [type(event) for event in seen] == [Fatal]
        assert peer.log[-1] == "close"
        channel.data_received(b"more")
        assert len(seen) == 1

    asyncio.run(run())


@pytest.mark.parametrize("cut", [0, 1, 3, 6])
def test_the_end_of_compression_waits_for_the_last_octets_of_the_flush(cut: int) -> None:
    async def run() -> None:
        seen: list[bytes] = []

        async def serve(channel: Channel, event: Event) -> None:
            assert isinstance(event, Frame)
            seen.append(event.text)
            if event.text == b"a END":
                channel.send(b"a OK\r\n")
                channel.expand()
            else:
                channel.send(b"b OK\r\n")

        channel, peer, client = compressed(serve)
        data = packed(client, b"a END\r\n")
        channel.data_received(data[: len(data) - cut])
        channel.data_received(data[len(data) - cut :] + b"b PLAIN\r\n")
        assert seen == [b"a END", b"b PLAIN"]
        stream = zlib.decompressobj(-15)
        assert stream.decompress(b"".join(peer.log)) == b"a OK\r\n"
        assert stream.eof
        assert stream.unused_data == b"b OK\r\n"

    asyncio.run(run())


def test_commands_behind_the_end_of_compression_are_not_unpacked() -> None:
    async def run() -> None:
        async def serve(channel: Channel, event: Event) -> None:
            channel.expand()

        channel, peer, client = compressed(serve)
        data = client.compress(b"a END\r\n") + client.flush(zlib.Z_SYNC_FLUSH)
        channel.data_received(data[:-1])
        channel.data_received(data[-1:])
        assert not channel.ended
        half = compressed(serve)
        octets = half[2].compress(b"a END\r\n") + half[2].flush(zlib.Z_PARTIAL_FLUSH) + packed(half[2], b"b MORE\r\n")
        half[0].data_received(octets[:-9])
        half[0].data_received(octets[-9:])
        assert half[0].ended
        assert peer.log.count("close") == 0

    asyncio.run(run())
