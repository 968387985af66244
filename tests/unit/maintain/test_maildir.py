"""Names of Maildir files and folders, and line ends."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.maintain import maildir
from gateway.maintain.octets import ToCrlf, ToLf
from gateway.model.flags import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN


def test_info_becomes_flags_and_keywords() -> None:
    words = {"a": "$Work", "b": "$Forwarded"}
    assert maildir.parse_info("1.x:2,", words) == (0, ())
    assert maildir.parse_info("1.x", words) == (0, ())
    assert maildir.parse_info("1.x:1,S", words) == (0, ())
    assert maildir.parse_info("1.x:2,DFRSTZ", words) == (DRAFT | FLAGGED | ANSWERED | SEEN | DELETED, ())
    assert maildir.parse_info("1.x:2,PSabz,a=1", words) == (SEEN, ("$Forwarded", "$Work"))


@given(st.integers(0, 31), st.lists(st.sampled_from(["$Forwarded", *(f"k{n}" for n in range(30))]), unique=True))
def test_flags_and_keywords_survive_a_file_name(flags: int, keywords: list[str]) -> None:
    table: dict[str, str] = {}
    letters, lost = maildir.letters_of(keywords, table)
    name = maildir.file_name(date=1, uidvalidity=2, uid=3, size=4, flags=flags, letters=letters)
    info = name.rpartition(":2,")[2]
    assert info == "".join(sorted(info))
    back = maildir.parse_info(name, {letter: word for word, letter in table.items()})
    assert back[0] == flags
    assert set(back[1]) <= set(keywords)
    assert len(back[1]) == len(keywords) - lost


def test_the_local_form_becomes_crlf_and_the_wire_form_stays() -> None:
    assert ToCrlf().feed(b"a\nb\r\nc\n\rd") == b"a\r\nb\r\nc\r\n\rd"
    assert ToCrlf().feed(b"a\r\nb\nc\n") == b"a\r\nb\nc\n"


@given(st.lists(st.sampled_from([b"\n", b"\r", b"x", b"\r\n", b""]), max_size=30), st.data())
def test_pieces_make_no_difference(parts: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=6)))
    pieces = [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    to_crlf, to_lf = ToCrlf(), ToLf()
    assert b"".join(map(to_crlf.feed, pieces)) == ToCrlf().feed(octets)
    assert b"".join(map(to_lf.feed, pieces)) + to_lf.finish() == octets.replace(b"\r\n", b"\n")
    first = re.search(rb"\r?\n", octets)
    if first is not None and first[0] == b"\n":
        assert b"\n" not in ToCrlf().feed(octets).replace(b"\r\n", b"")
