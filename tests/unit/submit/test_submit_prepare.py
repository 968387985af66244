"""Header changes of a submission: only what must change changes, octet for octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.submit import prepare
from gateway.submit.errors import BadMessage
from gateway.submit.prepare import Trace

TRACE = Trace("mail.example.org", "ESMTPSA", "T1", 1_800_000_000)
RECEIVED = (
    b"Received: by mail.example.org with ESMTPSA id T1;\r\n\tFri, 15 Jan 2027 08:00:00 +0000\r\n"
)


def ready(header: bytes) -> tuple[bytes, bytes]:
    """(what Sent keeps, what others get)"""
    facts = prepare.examine(header)
    kept = prepare.complete(header, facts, TRACE, "new@example.org")
    return kept, prepare.without_private(kept, facts)


def test_all_missing() -> None:
    kept, public = ready(b"From: a@b\r\nsubject:  odd \t\r\n folded\r\n\r\n")
    assert kept == public == (
        RECEIVED + b"From: a@b\r\nsubject:  odd \t\r\n folded\r\n"
        b"Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID: <new@example.org>\r\n\r\n"
    )


def test_nothing_missing() -> None:
    header = b"dAtE: x\r\nMESSAGE-ID:\r\n <1@x>\r\nFrom: a@b\r\n\r\n"
    assert ready(header) == (RECEIVED + header, RECEIVED + header)


def test_header_without_a_blank_line() -> None:
    kept, _ = ready(b"From: a@b\r\nDate: x\r\n")
    assert kept == RECEIVED + b"From: a@b\r\nDate: x\r\nMessage-ID: <new@example.org>\r\n"


@pytest.mark.parametrize(
    "blind",
    [b"Bcc: x@y\r\n", b"bcc : x@y,\r\n\tz@y\r\n", b"BCC:\r\n", b"Resent-Bcc: x@y\r\n", b"Return-Path: <x@y>\r\n"],
)
def test_private_fields_are_cut_whole(blind: bytes) -> None:
    header = b"Date: x\r\nMessage-ID: <1@x>\r\n" + blind + b"From: a@b\r\nX-Bcc: stays\r\n" + blind + b"To: c@d\r\n\r\n"
    kept, public = ready(header)
    assert kept == RECEIVED + header
    assert public == RECEIVED + header.replace(blind, b"")


def test_return_path() -> None:
    assert prepare.with_return_path(b"A: b\r\n\r\n", "zoë@x") == "Return-Path: <zoë@x>\r\nA: b\r\n\r\n".encode()
    assert prepare.with_return_path(b"", "") == b"Return-Path: <>\r\n"


@pytest.mark.parametrize("value", ["a\r\nBcc: x", "a\nb", "a\rb", "a\0b"])
def test_nothing_breaks_out_of_a_field(value: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        prepare.field("X", value)


@pytest.mark.parametrize(
    ("header", "authors"),
    [
        (b"From: Ann <ann@x>\r\n", ("ann@x",)),
        (b"From: ann@x, Bob <bob@x>\r\nSender: sec@x\r\nResent-From: r@x\r\n", ("ann@x", "bob@x", "sec@x", "r@x")),
        (b"From: team: ann@x, bob@x;\r\n", ("ann@x", "bob@x")),
        ("From: zoë@bücher.example\r\n".encode(), ("zoë@bücher.example",)),
        (b"From: =?utf-8?q?ann=40x?= <ann@x>\r\nSender: ann@x\r\n", ("ann@x",)),
        (b'From: "evil@y" <ann@x>\r\n', ("ann@x",)),
    ],
)
def test_authors(header: bytes, authors: tuple[str, ...]) -> None:
    assert prepare.examine(header).authors == authors


@pytest.mark.parametrize(
    "header",
    [
        b"", b"\r\n", b"To: a@b\r\n", b"From: a@b\r\nFROM: c@d\r\n", b"From:\r\n", b"From: ann\r\n", b"From: @x\r\n",
        b"From: \xff@x\r\n", b"From: undisclosed:;\r\n", b"From: a@b\r\nSender: nobody\r\n", b"X-From: a@b\r\n",
    ],
)  # fmt: skip
def test_bad_authors(header: bytes) -> None:
    with pytest.raises(BadMessage):
        prepare.examine(header)


@given(st.binary(max_size=60), st.integers(1, 5))
def test_header_end_does_not_depend_on_chunks(rest: bytes, step: int) -> None:
    octets = b"From: a@b\r\nX: y\r\n\r\n" + rest
    seen = bytearray()
    for start in range(0, len(octets), step):
        before = len(seen)
        seen += octets[start : start + step]
        end = prepare.header_end(seen, before)
        if end is not None:
            assert end == 19
            return
    assert not rest


def test_a_message_is_from_so_many_at_most() -> None:
    """Each is looked up, and all that is needed for thousands is one inbox: its address with details."""

    def header(count: int) -> bytes:
        names = [b"a+%d@b" % number for number in range(count)]
        return b"From: " + b",\r\n ".join(names[:-1]) + b"\r\nResent-From: " + names[-1] + b"\r\n\r\n"

    assert len(prepare.examine(header(prepare.MAX_AUTHORS)).authors) == prepare.MAX_AUTHORS
    with pytest.raises(BadMessage):
        prepare.examine(header(prepare.MAX_AUTHORS + 1))
    again = b"From: " + b", ".join([b"a@b"] * 200) + b"\r\n\r\n"
    assert prepare.examine(again).authors == ("a@b",)


def test_who_decides_sees_who_gets_it() -> None:
    header = b"From: a@b\r\nTo: Boss <boss@x>,\r\n Second <s@X>\r\nBcc: nobody@x,\r\n z@x\r\nCc: c@x\r\n\r\n"
    assert prepare.naming(header, ["boss@X", "s@x", "c@x"]) is header, "all of them stand there"
    plain = b"From: a@b\r\nTo: Boss <boss@x>,\r\n Second <s@X>\r\nCc: c@x\r\n"
    assert prepare.naming(header, ["boss@x", "eve@y", "z@x"]) == plain + b"Bcc: eve@y,\r\n z@x\r\n\r\n"
    twice = b"To: boss@x\r\nTo: eve@y\r\n"  # a program shows one of them
    assert prepare.naming(twice, ["boss@x", "eve@y"]) == twice + b"Bcc: eve@y\r\n\r\n"
    tricks = b'To: "eve@y" <boss@x>, (eve@y) Boss <boss@x>\r\n\r\n'
    assert prepare.naming(tricks, ["eve@y"]) == tricks[:-2] + b"Bcc: eve@y\r\n\r\n"
