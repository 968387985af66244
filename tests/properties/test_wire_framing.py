"""Framing: the pieces in which octets come make no difference, and no octets make it fail."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.commands import Command
from gateway.wire.events import (
    BEFORE_LOGIN,
    Event,
    Fatal,
    Frame,
    Limits,
    LiteralData,
    LiteralStart,
    NeedContinuation,
    Rejected,
    after_login,
)
from gateway.wire.framing import Reader
from gateway.wire.parser import BadCommand, parse
from tests.support.soak import examples

TINY = replace(after_login(20), line=30, long_line=45, literal=12, command=60, literals=3, drain=70)
STRANGER = replace(BEFORE_LOGIN, line=20, long_line=40, literal=8, command=50, literals=3, drain=30, session=150)

SNIPPETS = st.sampled_from(
    [
        b"a ", b"b1 ", b"\r\n", b"\n", b"\r", b" ", b"NOOP\r\n", b"IDLE\r\n", b"DONE\r\n", b"LOGIN ", b"APPEND x ",
        b"APPEND ", b"ID ", b"AUTHENTICATE ", b"{3}\r\n", b"{3+}\r\n", b"~{3+}\r\n", b"~{3}\r\n", b"{0}\r\n",
        b"{0+}\r\n", b"{12+}\r\n", b"{13}\r\n", b"{13+}\r\n", b"{20+}\r\n", b"{25+}\r\n", b"{41+}\r\n",
        b"{99999999999999999999+}\r\n",
        b"{00000003+}\r\n", b"{" + b"0" * 70 + b"3+}\r\n", b"abc", b"x" * 17, b"y" * 31, b"(", b")", b'"', b"{", b"+}",
        b"}", b"\x00", b"\xff", b"*",
    ]
)  # fmt: skip
INPUT = st.lists(SNIPPETS | st.binary(max_size=6), max_size=40).map(b"".join)


def run(pieces: list[bytes], limits: Limits, refusals: list[bool]) -> list[Event]:
    """What a session sees that refuses the n-th event that can be refused as `refusals` says."""
    reader = Reader(limits)
    seen: list[Event] = []
    decisions = iter(refusals)
    for piece in pieces:
        reader.feed(piece)
        for event in reader:
            if isinstance(event, LiteralData) and seen and isinstance(seen[-1], LiteralData):
                seen[-1] = LiteralData(seen[-1].data + event.data)
            else:
                seen.append(event)
            if isinstance(event, NeedContinuation | LiteralStart) and next(decisions, False):
                reader.refuse()
            if isinstance(event, Frame) and event.text.upper().endswith(b" IDLE"):
                reader.expect_line()
    return seen


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


@settings(max_examples=examples(100))
@given(INPUT, st.lists(st.integers(0, 2000), max_size=12), st.lists(st.booleans(), max_size=6), st.booleans())
def test_pieces_make_no_difference(data: bytes, places: list[int], refusals: list[bool], stranger: bool):
    limits = STRANGER if stranger else TINY
    whole = run([data], limits, refusals)
    assert run(cut(data, places), limits, refusals) == whole
    assert run([data[at : at + 1] for at in range(len(data))], limits, refusals) == whole


@settings(max_examples=examples(100))
@given(INPUT, st.lists(st.booleans(), max_size=6))
def test_what_is_kept_is_within_the_limits(data: bytes, refusals: list[bool]):
    for event in run([data], TINY, refusals):
        if isinstance(event, Frame):
            assert len(event.literals) <= TINY.literals
            assert all(len(literal) <= TINY.literal for literal in event.literals)
            assert sum(map(len, event.literals)) <= TINY.command
    assert all(not isinstance(event, Fatal) for event in run([data], TINY, refusals)[:-1])


def outcome(frame: Frame, utf8: bool) -> Command | BadCommand:
    try:
        return parse(frame, utf8=utf8)
    except BadCommand as error:
        return error


@settings(max_examples=examples(100))
@given(INPUT, st.booleans())
def test_every_frame_is_a_command_or_a_bad_one(data: bytes, utf8: bool):
    for event in run([data], TINY, []):
        frame = event.frame if isinstance(event, LiteralStart) else event
        if isinstance(frame, Frame):
            found = outcome(frame, utf8)
            assert found.tag == frame.tag
            assert not isinstance(found, BadCommand) or found.text.isprintable()


@settings(max_examples=examples(100))
@given(st.binary(max_size=12), st.binary(max_size=12), st.booleans())
def test_literal_octets_are_never_commands(first: bytes, second: bytes, refused: bool):
    size = 13 if refused else len(first)
    first = first.ljust(13, b"\n") if refused else first
    data = b"a X {%d+}\r\n%s {%d+}\r\n%s\r\nend NOOP\r\n" % (size, first, len(second), second)
    found = run([data], TINY, [])
    assert found[-1] == Frame(b"end NOOP")
    assert len(found) == 2
    if refused:
        assert isinstance(found[0], Rejected)
    else:
        assert isinstance(found[0], Frame)
        assert found[0].literals == (first, second)
