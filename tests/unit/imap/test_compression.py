"""Deflate in both directions: what is packed is unpacked in pieces, however it comes, and never more than that."""

from __future__ import annotations

import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imap.compression import PIECE, BadStream, Deflater, Inflater


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
