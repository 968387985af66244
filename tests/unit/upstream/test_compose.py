"""Commands as octets: no argument brings a line end of its own, literals wait where the server wants it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.errors import InvalidName
from gateway.model.sequence import normalise
from gateway.upstream import names
from gateway.upstream.compose import Literal, Upload, atom, compose, flag_list, sets, spaced, string
from gateway.upstream.errors import Refused
from gateway.upstream.wants import FetchWants, SearchWants
from gateway.wire import mutf7


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", b'""'), ("abc", b'"abc"'), ('a"b\\c', b'"a\\"b\\\\c"'), ("a b(){%*", b'"a b(){%*"'),
        ("ä", Literal(b"\xc3\xa4")), (b"\xe4", Literal(b"\xe4")), ("a\tb", Literal(b"a\tb")),
        ("x" * 1001, Literal(b"x" * 1001)), ("{3}", b'"{3}"'), ("{3+}", b'"{3+}"'),
    ],
)  # fmt: skip
def test_strings(text: str | bytes, part: object) -> None:
    assert string(text) == part


EVIL = ["a\r\nA2 DELETE INBOX", "a\n", "\r", "a\0b", b"\n", b"a\0"]


@pytest.mark.parametrize("text", EVIL)
def test_no_line_end_gets_through(text: str | bytes) -> None:
    for make in (string, atom):
        with pytest.raises(Refused):
            make(text)
    with pytest.raises(Refused):
        compose(b"A1", [b"X ", text if isinstance(text, bytes) else text.encode()], plus=True, minus=True)
    if isinstance(text, str):
        with pytest.raises(Refused):
            flag_list([text])
        with pytest.raises(InvalidName):
            names.encode(text)
        with pytest.raises(Refused):
            SearchWants(subject=text).render()
        with pytest.raises(Refused):
            SearchWants(header=((text, "x"),)).render()
        with pytest.raises(Refused):
            FetchWants(header=(text,)).render(lambda _: True)


@pytest.mark.parametrize("flag", ["", "a b", "(", "\\", '"', "ä", "a{3}", "\\*", "%"])
def test_no_flags(flag: str) -> None:
    with pytest.raises(Refused):
        flag_list([flag])


def test_flags() -> None:
    assert flag_list(["b]c", "\\Seen", "$x"]) == b"($x \\Seen b]c)"
    assert flag_list([]) == b"()"


def test_literals_wait_unless_the_server_needs_none() -> None:
    parts = spaced([b"LOGIN", Literal(b"a\xe4"), Literal(b"b" * 5000)])
    big = b"b" * 5000
    assert compose(b"A1", parts, plus=False, minus=False) == [b"A1 LOGIN {2}\r\n", b"a\xe4 {5000}\r\n", big + b"\r\n"]
    assert compose(b"A1", parts, plus=True, minus=False) == [b"A1 LOGIN {2+}\r\na\xe4 {5000+}\r\n" + big + b"\r\n"]
    assert compose(b"A1", parts, plus=False, minus=True) == [b"A1 LOGIN {2+}\r\na\xe4 {5000}\r\n", big + b"\r\n"]


def test_an_upload_ends_its_piece() -> None:
    parts = spaced([b"APPEND", b"x", Upload(3)])
    assert compose(b"A1", parts, plus=True, minus=False) == [b"A1 APPEND x {3+}\r\n", b"\r\n"]
    assert compose(b"A1", parts, plus=False, minus=False) == [b"A1 APPEND x {3}\r\n", b"\r\n"]
    parts = spaced([b"APPEND", b"x", Upload(5000)])
    assert compose(b"A1", parts, plus=True, minus=True) == [b"A1 APPEND x {5000}\r\n", b"\r\n"]


@given(st.lists(st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 1000)), max_size=300), st.integers(25, 200))
def test_sets_fit_into_lines_and_lose_nothing(pairs: list[tuple[int, int]], limit: int) -> None:
    uids = normalise((low, min(low + more, 2**32 - 1)) for low, more in pairs)
    pieces = list(sets(uids, limit))
    assert tuple(pair for piece, _ in pieces for pair in piece) == uids
    assert all(len(text) <= limit for _, text in pieces)
    assert all(text.count(b",") == len(piece) - 1 for piece, text in pieces)


@pytest.mark.parametrize(
    ("raw", "name"),
    [(b"INBOX", "INBOX"), (b"inbox", "inbox"), (b"&ZeVnLIqe-", "日本語"), (b"a&-b", "a&b"), (b"&", "&"),
     (b"&AOQ", "&AOQ"), (b"&AOQ-&AOQ-", "&AOQ-&AOQ-"), ("ä".encode(), "ä"), (b"\xe4", "ä"), (b"a\x00", "a\x00"),
     (b"", "")],
)  # fmt: skip
def test_names_are_decoded_whatever_they_are(raw: bytes, name: str) -> None:
    assert names.decode(raw) == name


@given(st.binary())
def test_any_name_can_be_shown(raw: bytes) -> None:
    assert isinstance(names.decode(raw), str)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\n"), min_size=1))
def test_names_come_back(name: str) -> None:
    assert names.decode(names.encode(name)) == name
    assert names.encode(name) == mutf7.encode(name)


@pytest.mark.parametrize("name", ["", "\ud800", "a\0"])
def test_no_names(name: str) -> None:
    with pytest.raises(InvalidName):
        names.encode(name)


def test_attributes_are_asked_for_where_they_are_known() -> None:
    wants = FetchWants(internal_date=True, size=True, modseq=True, ids=True, labels=True, header=("Message-ID", "From"))
    assert wants.render(lambda _: False) == [
        b"UID", b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"BODY.PEEK[HEADER.FIELDS (Message-ID From)]",
    ]  # fmt: skip
    assert wants.render({"CONDSTORE", "OBJECTID", "X-GM-EXT-1"}.__contains__)[4:8] == [
        b"MODSEQ", b"EMAILID THREADID", b"X-GM-MSGID X-GM-THRID", b"X-GM-LABELS",
    ]  # fmt: skip


def test_criteria() -> None:
    assert SearchWants().render() == ([b"ALL"], False)
    wants = SearchWants(
        uids=((1, 3), (7, 7)), since=0, before=365, seen=False, flagged=True, deleted=False, larger=5, smaller=9,
        sender="a", recipient="b", subject="ü", text="d", header=(("Message-ID", "<x@y>"),), gmail_label=b"\\Inbox",
        gmail_raw="in:all",
    )  # fmt: skip
    parts, utf8 = wants.render()
    assert utf8
    assert parts == [
        b"UID 1:3,7", b"SINCE 1-Jan-1970", b"BEFORE 1-Jan-1971", b"UNSEEN", b"FLAGGED", b"UNDELETED", b"LARGER 5",
        b"SMALLER 9", b"FROM", b'"a"', b"TO", b'"b"', b"SUBJECT", Literal("ü".encode()), b"TEXT", b'"d"', b"X-GM-RAW",
        b'"in:all"', b"HEADER Message-ID", b'"<x@y>"', b"X-GM-LABELS", b'"\\\\Inbox"',
    ]  # fmt: skip
