"""Lines and pieces of messages from any chunking of the input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smtp.intake import MAX_DISCARD, EndlessLine, Intake, LineTooLong

LIMIT, AUTH = 20, 40


def lines_of(octets: bytes, cuts: list[int]) -> list[bytes | None]:
    """All lines, None for one that is too long, from `octets` fed in pieces that end at `cuts`."""
    intake = Intake()
    found: list[bytes | None] = []
    ends = sorted({min(cut, len(octets)) for cut in cuts} | {len(octets)})
    start = 0
    for end in ends:
        intake.feed(octets[start:end])
        start = end
        while True:
            try:
                line = intake.line(LIMIT, AUTH)
            except LineTooLong:
                found.append(None)
                continue
            if line is None:
                break
            found.append(line)
    return found


words = st.sampled_from([b"a", b"AUTH ", b"auth x", b"\r\n", b"\n", b"\r", b"x" * 19, b"y" * 41])


@given(st.lists(words).map(b"".join), st.lists(st.integers(0, 300)))
def test_chunking_is_invisible(octets: bytes, cuts: list[int]) -> None:
    expected: list[bytes | None] = []
    *whole, rest = octets.split(b"\n")
    for text in [*(each + b"\n" for each in whole), rest]:
        limit = AUTH if text[:5].upper() == b"AUTH " else LIMIT
        if len(text) > limit:
            expected.append(None)
        elif text.endswith(b"\n"):
            expected.append(text)
    assert lines_of(octets, cuts) == expected


def test_an_overlong_line_is_told_at_its_limit_and_not_kept() -> None:
    intake = Intake()
    intake.feed(b"x" * LIMIT)
    assert intake.line(LIMIT) is None
    intake.feed(b"x")
    with pytest.raises(LineTooLong):
        intake.line(LIMIT)
    for _ in range(100):
        intake.feed(b"x" * 1000)
        assert len(intake) == 0
        assert intake.line(LIMIT) is None
    intake.feed(b"x\nNOOP\n")
    assert intake.line(LIMIT) == b"NOOP\n"
    assert intake.line_octets == LIMIT + 1 + 100_000 + 2 + 5


def test_a_line_without_end() -> None:
    intake = Intake()
    intake.feed(b"x" * (LIMIT + 1))
    with pytest.raises(LineTooLong):
        intake.line(LIMIT)
    intake.feed(b"x" * MAX_DISCARD)
    with pytest.raises(EndlessLine):
        intake.line(LIMIT)


def test_a_message_between_commands() -> None:
    intake = Intake()
    intake.feed(b"DATA\nfrom")
    assert intake.line(LIMIT) == b"DATA\n"
    for piece in (b" a", b"", b"\n.\n", b"NO", b"OP\nQU"):
        intake.feed(piece, whole=True)
    assert [intake.piece() for _ in range(4)] == [b"from", b" a", b"", b"\n.\n"]
    assert len(intake) == 7
    intake.unread(b"RSET\n")
    assert intake.line(LIMIT) == b"RSET\n"
    intake.feed(b"IT\n")
    assert [intake.line(LIMIT) for _ in range(3)] == [b"NOOP\n", b"QUIT\n", None]


def test_clear_forgets_everything() -> None:
    intake = Intake()
    intake.feed(b"NOOP\n")
    intake.feed(b"more", whole=True)
    intake.clear()
    assert (len(intake), intake.piece(), intake.has_line) == (0, b"", False)
