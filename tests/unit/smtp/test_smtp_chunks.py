"""BDAT without sockets: its grammar, and a message in chunks held against the same message in one piece."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.errors import TooBig
from gateway.smtp.chunks import ChunkChecker, Chunks, parse_bdat
from gateway.smtp.data import DataDecoder
from gateway.smtp.intake import Intake
from gateway.submit.envelope import Accepted

SPECIAL = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b"\0", b".", b"a", b"\r\n.\r\n", b"\r\n\r\n", b"\xff", b"BDAT 3 LAST\r\n"])
).map(b"".join)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (b"0", (0, False)), (b"0 LAST", (0, True)), (b"17 last", (17, True)),
        (b"99999999999999999999", (10**20 - 1, False)), (b"100000000000000000000", None),
        (b"", None), (b"LAST", None), (b"-1", None), (b"+1", None), (b"1.5", None), (b"0x10", None),
        (b"1 LAST x", None), (b"1 FIRST", None), (b"1LAST", None), (b"\xd9\xa1", None), (b"1\r2", None), (b"1\n", None),
    ],
)  # fmt: skip
def test_grammar(argument: bytes, expected: tuple[int, bool] | None) -> None:
    assert parse_bdat(argument) == expected


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    """`octets` in pieces, some of them empty."""
    ends = sorted(place % (len(octets) + 1) for place in places)
    return [octets[start:end] for start, end in zip([0, *ends], [*ends, len(octets)], strict=True)]


def checked(pieces: list[bytes], *, binary: bool) -> bool:
    checker = ChunkChecker(binary=binary)
    for piece in pieces:
        checker.feed(piece)
    checker.finish()
    assert checker.size == sum(map(len, pieces))
    return checker.violated


@given(SPECIAL | st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_cuts_change_nothing(octets: bytes, places: list[int], binary: bool) -> None:
    assert checked(cut(octets, places), binary=binary) == checked([octets], binary=binary)


@given(SPECIAL)
def test_text_is_what_lines_say(octets: bytes) -> None:
    bare = re.search(rb"(?<!\r)\n|\r(?!\n)|\0", octets) is not None
    assert checked([octets], binary=False) is bare


@given(SPECIAL)
def test_binary_is_free_behind_the_header_only(octets: bytes) -> None:
    end = (b"\r\n" + octets).find(b"\r\n\r\n")
    header = octets if end < 0 else octets[: end + 2]
    assert checked([octets], binary=True) is (re.search(rb"(?<!\r)\n|\r(?!\n)|\0", header) is not None)


@given(SPECIAL)
def test_data_and_bdat_agree(octets: bytes) -> None:
    """What DATA refuses, BDAT refuses, and what it takes is the same message."""
    message = b"A: b\r\n\r\n" + octets + b"\r\n"
    decoder = DataDecoder(10_000)
    taken = decoder.feed(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    assert decoder.finished
    assert decoder.violated is checked([message], binary=False)
    assert decoder.violated or taken == message


class Kept:
    """An acceptance that remembers."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.octets = bytearray()
        self.writes = 0
        self.fails_at = fails_at

    async def write(self, chunk: bytes) -> None:
        self.writes += 1
        if self.fails_at is not None and len(self.octets) + len(chunk) > self.fails_at:
            raise TooBig("too big")
        self.octets += chunk

    async def finish(self) -> Accepted:
        raise AssertionError("the session's business")

    def abort(self) -> None:
        raise AssertionError("the session's business")


def written(pieces: list[bytes], kept: Kept) -> Chunks:
    async def main() -> Chunks:
        chunks = Chunks(kept, binary=False)
        for piece in pieces:
            await chunks.write(piece)
        await chunks.end()
        return chunks

    return asyncio.run(main())


@given(st.lists(st.integers(0, 40_000), max_size=8))
def test_pieces_arrive_whole_and_small_ones_together(places: list[int]) -> None:
    octets = b"0123456789abcde\r\n" * 2_000
    kept = Kept()
    chunks = written(cut(octets, places), kept)
    assert bytes(kept.octets) == octets
    assert chunks.failed is None
    assert kept.writes <= len(octets) / 16_384 + 2


def test_octets_one_by_one_are_few_writes() -> None:
    kept = Kept()
    written([b"x"] * 50_000, kept)
    assert (len(kept.octets), kept.writes) == (50_000, 4)


def test_what_failed_or_is_violated_takes_nothing_more() -> None:
    kept = Kept(fails_at=20_000)
    chunks = written([b"x" * 17_000] * 4, kept)
    assert isinstance(chunks.failed, TooBig)
    assert (len(kept.octets), kept.writes) == (17_000, 2)
    kept = Kept()
    chunks = written([b"x" * 17_000, b"a\nb", b"x" * 17_000], kept)
    assert chunks.checker.violated
    assert len(kept.octets) == 17_000
    assert written([b"x" * 17_000 + b"\r"], Kept()).checker.violated, "a CR at the end is a bare one"


@given(st.binary(max_size=80), st.lists(st.integers(0, 100), max_size=4), st.lists(st.integers(1, 9), max_size=30))
def test_intake_hands_out_what_is_asked_for(octets: bytes, places: list[int], sizes: list[int]) -> None:
    intake = Intake()
    pieces = cut(octets, places)
    for number, piece in enumerate(pieces):
        intake.feed(piece, whole=number > 0)
    taken = bytearray()
    for size in sizes:
        piece = intake.piece(size)
        assert len(piece) <= size
        taken += piece
        assert len(intake) == len(octets) - len(taken)
    intake.unread(b"")
    while piece := intake.piece():
        taken += piece
    assert bytes(taken) == octets
