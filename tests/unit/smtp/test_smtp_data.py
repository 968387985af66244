"""The DATA decoder: any chunking gives the same message, and nothing but CRLF.CRLF ends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smtp.data import DataDecoder

MAX = 10_000
LINES = st.lists(st.sampled_from([b"", b".", b"..", b"a", b".a", b"a.", b"\xff" * 5, b". .", b"a b"]), max_size=12)


def decode(wire: bytes, cuts: list[int]) -> tuple[bytes, DataDecoder]:
    decoder = DataDecoder(MAX)
    out = b""
    at = 0
    for cut in [*cuts, len(wire)]:
        if decoder.finished:
            break
        out += decoder.feed(wire[at : at + cut])
        at += cut
    if not decoder.finished and at < len(wire):
        out += decoder.feed(wire[at:])
        at = len(wire)
    decoder.rest += wire[at:] if decoder.finished else b""
    return out, decoder


@given(LINES, st.lists(st.integers(1, 7), max_size=40), st.binary(max_size=20))
def test_any_chunking_of_any_message(lines: list[bytes], cuts: list[int], rest: bytes) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    wire = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"
    out, decoder = decode(wire + rest, cuts)
    assert decoder.finished
    assert out == message
    assert decoder.size == len(message)
    assert decoder.rest == rest
    assert not decoder.violated


@given(st.binary(max_size=200), st.lists(st.integers(1, 5), max_size=60))
def test_chunking_is_invisible_for_anything(wire: bytes, cuts: list[int]) -> None:
    whole, one = decode(wire, [])
    pieces, many = decode(wire, cuts)
    assert (one.finished, one.rest if one.finished else b"") == (many.finished, many.rest if many.finished else b"")
    if one.finished:
        assert one.violated == many.violated
        assert one.size == many.size
        if not one.violated:
            assert whole == pieces


@pytest.mark.parametrize(
    "evil",
    [
        b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\r\n.\r\r\n", b"\r\n.\r\r\n", b"\r\n\0.\r\n", b"\0", b"a\rb",
        b"a\nb",
    ],
)  # fmt: skip
def test_nothing_else_ends_a_message(evil: bytes) -> None:
    for cut in range(1, len(evil) + 4):
        _, decoder = decode(b"x\r\n" + evil + b"MAIL FROM:<a@b>", [cut] * 50)
        assert not decoder.finished
        _, decoder = decode(b"x\r\n" + evil + b"\r\nQUIT\r\n.\r\nNOOP\r\n", [cut] * 50)
        assert decoder.finished
        assert decoder.violated
        assert decoder.rest == b"NOOP\r\n"


def test_too_big_keeps_nothing_more() -> None:
    decoder = DataDecoder(10)
    assert decoder.feed(b"0123456789") == b"0123456789"
    assert decoder.feed(b"01") == b""
    assert decoder.too_big
    decoder.feed(b"\r\n.\r\n")
    assert decoder.finished
    exact = DataDecoder(12)
    exact.feed(b"0123456789\r\n.\r\n")
    assert exact.finished
    assert not exact.too_big, "the limit itself is allowed"
