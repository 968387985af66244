"""mbox files: what divides messages, what is quoted, what is the mailbox's and not the message's."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.maintain.mbox import MboxReader, MboxWriter, Quoting, from_line_date, is_from_line


def _read(octets: bytes, quoting: Quoting = Quoting.RD) -> list[tuple[bytes, int | None, int, tuple[str, ...]]]:
    reader = MboxReader(io.BytesIO(octets), quoting)
    found = []
    while (entry := reader.next()) is not None:
        pieces = []
        while piece := reader.read():
            pieces.append(piece)
        found.append((b"".join(pieces), entry.date, entry.flags, entry.keywords))
    return found


@pytest.mark.parametrize(
    ("line", "date"),
    [
        (b"From a@b.c Tue Nov 14 10:00:00 2023\n", 1_699_956_000),
        (b"From a@b.c Tue Nov 14 10:00 2023\r\n", 1_699_956_000),
        (b"From - Tue Nov 14 10:00:00 2023", 1_699_956_000),
        (b"From 1234@xxx Tue Nov 14 10:00:00 +0200 2023", 1_699_948_800),
        (b"From a b Tue Nov  4 10:00:00 2023 -0130", 1_699_097_400),
        (b"From a Tue Nov 14 10:00:00 EST 2023", 1_699_956_000),
        (b"From \n", None),
        (b"From - \n", None),
        (b"From x Tue Foo 14 10:00:00 2023", None),
        (b"From x Tue Feb 31 10:00:00 2023", None),
        (b"From x Tue Feb 11 25:00:00 2023", None),
    ],
)
def test_a_line_that_divides(line: bytes, date: int | None) -> None:
    assert is_from_line(line)
    assert from_line_date(line) == date


@pytest.mark.parametrize(
    "line", [b"From here on\n", b"from a Tue Nov 14 10:00:00 2023", b">From - ", b"Fromage", b"From Tue 14", b""]
)
def test_a_line_that_does_not(line: bytes) -> None:
    assert not is_from_line(line)


FROM = b"From a@b.c Tue Nov 14 10:00:00 2023\n"


@pytest.mark.parametrize(
    ("octets", "messages"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"Subject: no mbox\n\nbody\n", []),
        (FROM, [b""]),
        (FROM + b"\n", [b"\r\n"]),
        (FROM + b"a: b\n\n" + FROM + b"c: d\n\n", [b"a: b\r\n\r\n", b"c: d\r\n\r\n"]),
        (FROM + b"a: b\n\nx\n\n" + FROM + b"c: d\n\ny", [b"a: b\r\n\r\nx\r\n", b"c: d\r\n\r\ny"]),
        (FROM + b"a: b\n\nx\n" + FROM + b"y\n", [b"a: b\r\n\r\nx\r\n" + FROM[:-1] + b"\r\ny\r\n"]),
        (FROM + b"a: b\n\n\n\nx\n\n\n", [b"a: b\r\n\r\n\r\n\r\nx\r\n\r\n"]),
        (FROM + b"a: b\r\n\r\nx\r\n", [b"a: b\r\n\r\nx\r\n"]),
        (b"\n" + FROM + b"a: b\n", [b"a: b\r\n"]),
    ],
)
def test_where_messages_begin_and_end(octets: bytes, messages: list[bytes]) -> None:
    assert [message[0] for message in _read(octets)] == messages


@pytest.mark.parametrize(
    ("quoting", "body"),
    [
        (Quoting.RD, b"From a\r\n>From b\r\nFrom\r\n"),
        (Quoting.O, b"From a\r\n>>From b\r\nFrom\r\n"),
        (Quoting.NONE, b">From a\r\n>>From b\r\nFrom\r\n"),
    ],
)
def test_quoting_is_undone_as_chosen(quoting: Quoting, body: bytes) -> None:
    [(octets, *_)] = _read(FROM + b"a: b\n\n>From a\n>>From b\nFrom\n", quoting)
    assert octets == b"a: b\r\n\r\n" + body


def test_the_mailboxs_notes_leave_the_message() -> None:
    octets = (
        b"A: 1\nstatus: RO\nX-Status: AFDT\nX-Keywords: one two\n three one\nX-IMAPbase: 1 2\nX-UID: 9\nB: 2\n x\n\n"
        b"Status: R\n"
    )
    assert _read(FROM + octets) == [
        (b"A: 1\r\nB: 2\r\n x\r\n\r\nStatus: R\r\n", 1_699_956_000, 31, ("one", "two", "three"))
    ]


def test_a_header_without_an_end_keeps_its_tail() -> None:
    header = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 1000) for number in range(400))
    [(octets, *_)] = _read(FROM + b"Status: R\n" + header)
    assert octets == header


def _write(octets: bytes, flags: int, keywords: tuple[str, ...], sizes: list[int]) -> bytes:
    writer = MboxWriter(sender=b"", date=1_699_956_000, flags=flags, keywords=keywords)
    at = octets.find(b"\r\n\r\n") + 4
    out, rest = [writer.header(octets[:at])], octets[at:]
    for size in sizes:
        out.append(writer.feed(rest[:size]))
        rest = rest[size:]
    return b"".join([*out, writer.feed(rest), writer.finish()])


_LINES = st.lists(
    st.sampled_from(
        [b"", b"From ", b">From x", b">>From - ", b"From a Tue Nov 14 10:00:00 2023", b"text", b"\rx", b"y" * 70_000]
    ),
    max_size=8,
)


@given(st.lists(_LINES, min_size=1, max_size=4), st.lists(st.integers(0, 90_000), max_size=6), st.integers(0, 31))
def test_any_body_survives_an_mbox_in_any_pieces(bodies: list[list[bytes]], sizes: list[int], flags: int) -> None:
    messages = [b"Subject: x\r\n\r\n" + b"".join(line + b"\r\n" for line in lines) for lines in bodies]
    file = b"".join(_write(octets, flags, ("$Work",), sizes) for octets in messages)
    assert [row[0] for row in _read(file)] == messages
    assert {row[2:] for row in _read(file)} == {(flags, ("$Work",))}


@given(st.binary(max_size=400))
def test_any_octets_are_read_without_an_error(octets: bytes) -> None:
    _read(FROM + octets)
    _read(octets)
