from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.frames import CHUNK_LIMIT, LINE_LIMIT, Frame, Link
from gateway.model.errors import InvalidRequest


class Sink:
    """The writing half of a stream, kept in memory."""

    def __init__(self) -> None:
        self.octets = b""

    def write(self, data: bytes) -> None:
        self.octets += data

    async def drain(self) -> None:
        return None


def written(frames: list[Frame]) -> bytes:
    async def work() -> bytes:
        sink: Any = Sink()
        link = Link(asyncio.StreamReader(), sink)
        for frame in frames:
            await link.send(frame)
        return bytes(sink.octets)

    return asyncio.run(work())


def read(octets: bytes, pieces: int = 1) -> list[Frame]:
    async def work() -> list[Frame]:
        reader = asyncio.StreamReader(limit=LINE_LIMIT)
        link = Link(reader, Sink())  # type: ignore[arg-type]
        size = max(len(octets) // pieces, 1)
        for at in range(0, len(octets), size):
            reader.feed_data(octets[at : at + size])
        reader.feed_eof()
        found: list[Frame] = []
        while (frame := await link.receive()) is not None:
            found.append(frame)
        return found

    return asyncio.run(work())


names = st.text(max_size=8).filter(lambda key: key != "octets")
objects = st.dictionaries(names, st.integers() | st.text() | st.none())


@given(st.lists(objects | st.binary(max_size=300), max_size=8), st.integers(1, 20))
def test_frames_come_out_as_they_went_in_however_they_are_cut(frames: list[Frame], pieces: int) -> None:
    assert read(written(frames), pieces) == frames


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"nonsense\n", "no JSON"),
        (b"[1]\n", "JSON object"),
        (b'{"octets":-1}\n', "octets must be"),
        (b'{"octets":true}\n', "octets must be"),
        (b'{"octets":%d}\n' % (CHUNK_LIMIT + 1), "octets must be"),
        (b'{"octets":5}\nabc', "ended inside octets"),
        (b'{"op":"x"', "ended inside a line"),
        (b'{"op":"' + b"x" * (LINE_LIMIT + 10) + b'"}\n', "A line may have"),
    ],
)
def test_what_is_no_frame_is_refused_with_its_reason(octets: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        read(octets)


def test_a_frame_that_the_other_side_would_refuse_is_not_sent() -> None:
    with pytest.raises(InvalidRequest, match="octets at most"):
        written([b"x" * (CHUNK_LIMIT + 1)])
