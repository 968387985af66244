"""Cutting a server's octets into responses: pieces make no difference, limits hold, literals are never responses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.endpoint import ImapLimits
from gateway.upstream.receiving import (
    MAX_LITERALS,
    PART,
    WHOLE,
    BodyData,
    BodyEnd,
    BodyStart,
    Event,
    ResponseReader,
    Unreadable,
)
from gateway.wire.events import Frame
from tests.support.calls import calls

SMALL = replace(ImapLimits(), line=200, literal=60, message=100, greeting=150)


def read(
    pieces: list[bytes], limits: ImapLimits = SMALL, *, stream: bool = True, greeted: bool = True
) -> list[Event | str]:
    """The events, bodies' pieces put together; an error as its text, at the end."""
    reader = ResponseReader(limits)
    reader.stream = WHOLE if stream else None
    if greeted:
        reader.total = None
    found: list[Event | str] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (event := reader.next()) is not None:
                if isinstance(event, BodyData) and found and isinstance(found[-1], BodyData):
                    found[-1] = BodyData(found[-1].octets + event.octets)
                else:
                    found.append(event)
    except Unreadable as error:
        found.append(str(error))
    return found


def test_lines_and_literals() -> None:
    octets = (
        b"* OK hello {3}\r\n* LIST () \"/\" {3}\r\na b\r\n* 1 FETCH (BODY[HEADER] {4}\r\nx\r\n) X ~{0}\r\n)\r\n"
        b"A1 OK {12}\r\n+ {1}\r\n* X\n"
    )  # fmt: skip
    assert read([octets], stream=False) == [
        Frame(b"* OK hello {3}"),
        Frame(b'* LIST () "/" {3}\n', (b"a b",)),
        Frame(b"* 1 FETCH (BODY[HEADER] {4}\n X ~{0}\n)", (b"x\r\n)", b"")),
        Frame(b"A1 OK {12}"),
        Frame(b"+ {1}"),
        Frame(b"* X"),
    ]


def test_an_announcement_stands_at_the_end_of_a_line_only() -> None:
    assert read([b'* 1 FETCH (X "{3}" Y {3} )\r\n']) == [Frame(b'* 1 FETCH (X "{3}" Y {3} )')]


def test_a_body_is_given_out_and_never_collected() -> None:
    octets = b"* 7 FETCH (UID 9 BODY[] {9}\r\n* BYE no\n FLAGS ({1}\r\nx))\r\n"
    assert read([octets]) == [
        BodyStart(Frame(b"* 7 FETCH (UID 9 BODY[] {9}\n"), 9, False),
        BodyData(b"* BYE no\n"),
        BodyEnd(),
        Frame(b"* 7 FETCH (UID 9 BODY[] {9}\n FLAGS ({1}\n))", (b"", b"x")),
    ]


@pytest.mark.parametrize("item", [b"BODY[]", b"body[]", b"BODY[]<0>", b"RFC822", b"(BODY[]"])
def test_what_is_a_body(item: bytes) -> None:
    assert isinstance(read([b"* 1 FETCH (UID 1 " + item + b" {1}\r\n"])[0], BodyStart)


@pytest.mark.parametrize(
    "line", [b"* 1 FETCH (BODY[HEADER] ", b"* 1 FETCH (BODY[HEADER.FIELDS (X)] ", b"* LIST (BODY[] ", b"* X BODY[] ",
             b"* 1 FETCH (RFC822.HEADER ", b"A1 FETCH (BODY[] ", b"* 1 FETCH (XBODY[] "],
)  # fmt: skip
def test_what_is_none(line: bytes) -> None:
    assert isinstance(read([line + b"{1}\r\nx)\r\n"])[0], Frame)


def test_before_login_nothing_is_streamed() -> None:
    assert read([b"* 1 FETCH (BODY[] {1}\r\nx)\r\n"], greeted=False) == [Frame(b"* 1 FETCH (BODY[] {1}\n)", (b"x",))]


@pytest.mark.parametrize("section", [b"BODY[1.2]", b"BINARY[1]", b"BODY[]", b"BODY[TEXT]", b"BODY[2.MIME]<0>"])
def test_parts_stream_too(section: bytes) -> None:
    reader = ResponseReader(SMALL)
    reader.total, reader.stream = None, PART
    reader.feed(b"* 1 FETCH (%b ~{3}\r\nabc)\r\n" % section)
    assert isinstance(reader.next(), BodyStart)


def test_a_body_over_the_limit_is_marked_and_drained() -> None:
    octets = b"* 1 FETCH (BODY[] {101}\r\n" + b"x" * 101 + b")\r\n* 2 EXISTS\r\n"
    start, _, _, row, after = read([octets])
    assert isinstance(start, BodyStart)
    assert start.too_big
    assert row == Frame(b"* 1 FETCH (BODY[] {101}\n)", (b"",))
    assert after == Frame(b"* 2 EXISTS")


@pytest.mark.parametrize(
    "octets",
    [
        b"x" * 201,
        b"x" * 201 + b"\r\n",
        b"* LIST {1}\r\n" * 20,
        b"* LIST () {61}\r\n",
        b"* LIST ({40}\r\n" + b"x" * 40 + b" {30}\r\n",
        b"* 1 FETCH (BODY[] {1601}\r\n",
        b"* 1 FETCH (BODY[] {99999999999999999999999}\r\n",
        b"* X {99999999999999999999999}\r\n",
    ],
)
def test_limits_end_it_before_octets_are_kept(octets: bytes) -> None:
    assert isinstance(read([octets])[-1], str)
    assert isinstance(read([octets[:1], *(bytes([octet]) for octet in octets[1:])])[-1], str)


def test_so_many_literals() -> None:
    octets = b"* LIST (" + b"{0}\r\n " * (MAX_LITERALS + 1)
    found = read([octets], ImapLimits())
    assert found == ["A response has too many literals"]


def test_before_login_all_octets_count() -> None:
    assert isinstance(read([b"* OK\r\n" * 20], greeted=False)[-1], Frame)
    assert read([b"* OK\r\n" * 40], greeted=False)[-1] == "The server says more than it may"
    assert isinstance(read([b"x" * 151], greeted=False)[-1], str)
    assert isinstance(read([(b"* X {60}\r\n" + b"x" * 60 + b"\r\n") * 3], greeted=False)[-1], str)


LINES = st.sampled_from(
    [b"* 1 FETCH (UID 5 BODY[] ", b"* LIST () NIL ", b"* OK ", b"A1 OK", b"+ ", b'"a{3}"', b" FLAGS (x) ", b"(", b")"]
)
ENDS = st.sampled_from(
    [b"\r\n", b"\n", b"{0}\r\n", b"{3}\r\nabc", b"~{5}\r\n* OK\n", b"{7+}\r\n\r\n\r\n{9}", b"{150}\r\n", b"{2}"]
)
OCTETS = st.lists(st.tuples(LINES, ENDS).map(b"".join) | st.binary(max_size=6), max_size=12).map(b"".join)


@given(OCTETS, st.lists(st.integers(0, 200)), st.booleans())
def test_pieces_make_no_difference(octets: bytes, cuts: list[int], stream: bool) -> None:
    whole = read([octets], stream=stream)
    places = sorted({0, len(octets), *(cut for cut in cuts if cut < len(octets))})
    assert read([octets[start:stop] for start, stop in pairwise(places)], stream=stream) == whole
    assert read([bytes([octet]) for octet in octets], stream=stream) == whole


@pytest.mark.parametrize(
    "unit", [b"(", b"{1}\r\nx", b"* OK\r\n", b" ", b"\n", b'"', b"BODY[", b"* 1 FETCH (BODY[] {0}\r\n)\r\n"]
)
def test_steps_go_with_the_octets(unit: bytes) -> None:
    def work(octets: bytes) -> None:
        read([octets[at : at + 13] for at in range(0, len(octets), 13)], ImapLimits())

    small, large = (unit * (size // len(unit)) for size in (2_000, 4_000))
    assert calls(lambda: work(large)) <= 2.2 * calls(lambda: work(small)) + 200
