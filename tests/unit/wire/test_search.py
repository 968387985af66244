"""SEARCH criteria."""

from __future__ import annotations

import pytest

from gateway.model.flags import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from gateway.model.sequence import STAR, SequenceSet
from gateway.wire import commands as c
from gateway.wire import search as s
from gateway.wire.events import Frame
from gateway.wire.parser import BadCharset, BadCommand, parse


def key(text: bytes, *literals: bytes) -> s.SearchKey:
    return parse(Frame(b"a SEARCH " + text, literals)).key


def flag(bit: int, present: bool = True) -> s.SystemFlag:
    return s.SystemFlag(bit, present)


def test_the_rfcs_example():
    assert key(b'FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"') == s.And(
        (
            flag(FLAGGED),
            s.Date(s.DateField.INTERNAL, s.DateOp.SINCE, 8797),
            s.Not(s.Header("FROM", "Smith")),
        )
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"ALL", s.All()),
        (b"answered", flag(ANSWERED)),
        (b"UNANSWERED", flag(ANSWERED, False)),
        (b"DELETED", flag(DELETED)),
        (b"UNDELETED", flag(DELETED, False)),
        (b"DRAFT", flag(DRAFT)),
        (b"UNDRAFT", flag(DRAFT, False)),
        (b"UNFLAGGED", flag(FLAGGED, False)),
        (b"UNSEEN", flag(SEEN, False)),
        (b"RECENT", s.Recent(True)),
        (b"OLD", s.Recent(False)),
        (b"NEW", s.And((s.Recent(True), flag(SEEN, False)))),
        (b"KEYWORD $Work", s.Keyword("$Work", True)),
        (b"UNKEYWORD $Work", s.Keyword("$Work", False)),
        (b"2,4:*", s.Numbers(SequenceSet(((2, 2), (4, STAR))), False)),
        (b"* ", None),
        (b"*", s.Numbers(SequenceSet(((STAR, STAR),)), False)),
        (b"UID 1:4294967295", s.Numbers(SequenceSet(((1, 4294967295),)), True)),
        (b"BCC x", s.Header("BCC", "x")),
        (b"CC x", s.Header("CC", "x")),
        (b"TO x", s.Header("TO", "x")),
        (b'SUBJECT "a b"', s.Header("SUBJECT", "a b")),
        (b'HEADER message-id ""', s.Header("MESSAGE-ID", "")),
        (b"BODY x", s.Body("x")),
        (b"TEXT NIL", s.Text("NIL")),
        (b"LARGER 4294967295", s.Size(True, 4294967295)),
        (b"$", s.Saved()),
        (b"UID $", s.Saved()),
        (b"MODSEQ 620162338", s.ModSeq(620162338)),
        (b"YOUNGER 259200", s.Within(True, 259200)),
        (b"OLDER 1", s.Within(False, 1)),
        (b"SAVEDON 1-Jan-1970", s.Date(s.DateField.SAVED, s.DateOp.ON, 0)),
        (b"SAVEDATESUPPORTED", s.All()),
        (b"EMAILID M6d99ac3275bb4e", s.ObjectId(False, "M6d99ac3275bb4e")),
        (b"THREADID T64b478a75b7ea9", s.ObjectId(True, "T64b478a75b7ea9")),
        (b"FUZZY SUBJECT x", s.Fuzzy(s.Header("SUBJECT", "x"))),
        (b"FILTER on-the-road", s.Filter("on-the-road")),
        (b"SMALLER 0", s.Size(False, 0)),
        (b'BEFORE "2-Jan-1970"', s.Date(s.DateField.INTERNAL, s.DateOp.BEFORE, 1)),
        (b"ON 2-Jan-1970", s.Date(s.DateField.INTERNAL, s.DateOp.ON, 1)),
        (b"SENTBEFORE 2-Jan-1970", s.Date(s.DateField.SENT, s.DateOp.BEFORE, 1)),
        (b"SENTON 31-Dec-1969", s.Date(s.DateField.SENT, s.DateOp.ON, -1)),
        (b"SENTSINCE 2-Jan-1970", s.Date(s.DateField.SENT, s.DateOp.SINCE, 1)),
        (b"(SEEN)", flag(SEEN)),
        (b"((SEEN) (DRAFT ALL))", s.And((flag(SEEN), flag(DRAFT), s.All()))),
        (b"NOT NOT SEEN", s.Not(s.Not(flag(SEEN)))),
        (b"NOT (SEEN DRAFT) ALL", s.And((s.Not(s.And((flag(SEEN), flag(DRAFT)))), s.All()))),
        (b"OR SEEN DRAFT", s.Or((flag(SEEN), flag(DRAFT)))),
        (b"OR (1 2) NOT OR 3 4 ALL", None),
    ],
)
def test_keys(text: bytes, found: s.SearchKey | None):
    if found is not None:
        assert key(text) == found
    elif text.endswith(b" "):
        with pytest.raises(BadCommand):
            key(text)
    else:
        one, two, three, four = (s.Numbers(SequenceSet(((n, n),)), False) for n in (1, 2, 3, 4))
        assert key(text) == s.And((s.Or((s.And((one, two)), s.Not(s.Or((three, four))))), s.All()))


def test_or_chains_are_flat_however_they_nest():
    leaves = tuple(s.Header("FROM", str(n)) for n in range(200))
    words = [b"FROM %d" % n for n in range(200)]
    right = b" ".join(b"OR " + word for word in words[:-1]) + b" " + words[-1]
    left = b"OR " * 199 + b" ".join(words)
    assert key(right) == key(left) == s.Or(leaves)


def test_charsets():
    assert parse(Frame(b"a SEARCH CHARSET us-ascii ALL")).charset == "US-ASCII"
    assert key(b"CHARSET UTF-8 TEXT {2}\n", "ä".encode()) == s.Text("ä")
    assert key(b'TEXT "\xc3\xa4"') == s.Text("ä")  # unannounced UTF-8
    for text in (b'CHARSET US-ASCII TEXT "\xc3\xa4"', b'CHARSET UTF-8 TEXT "\xc3"', b'TEXT "\xff"'):
        with pytest.raises(BadCommand) as caught:
            key(text)
        assert not isinstance(caught.value, BadCharset)
    assert key(b"CHARSET KOI8-R TEXT {1}\n", "ж".encode("koi8-r")) == s.Text("ж")
    assert key(b"CHARSET Shift_JIS TEXT {4}\n", "日本".encode("shift_jis")) == s.Text("日本")
    with pytest.raises(BadCharset):
        key(b"CHARSET X-UNKNOWN TEXT x")


def test_return_options():
    found = parse(Frame(b"a UID SEARCH RETURN (min COUNT) CHARSET UTF-8 1:5"))
    options = frozenset({s.Option.MIN, s.Option.COUNT})
    assert (found.uid, found.charset, found.returns) == (True, "UTF-8", s.Returns(options))
    assert parse(Frame(b"a SEARCH RETURN () ALL")).returns == s.Returns(frozenset({s.Option.ALL}))
    assert parse(Frame(b"a SEARCH ALL")).returns is None


@pytest.mark.parametrize(
    ("text", "first", "last", "from_end"),
    [(b"1:500", 1, 500, False), (b"500:400", 400, 500, False), (b"-1:-100", 1, 100, True), (b"-9:-3", 3, 9, True)],
)
def test_partial(text: bytes, first: int, last: int, from_end: bool):
    found = parse(Frame(b"a SEARCH RETURN (PARTIAL %b) ALL" % text)).returns
    assert found == s.Returns(frozenset(), s.Partial(first, last, from_end, text))


@pytest.mark.parametrize(
    "options",
    [b"FOO", b"PARTIAL", b"PARTIAL 1", b"PARTIAL 1:*", b"PARTIAL 0:5", b"PARTIAL -1:5", b"PARTIAL 1:99999999999",
     b"ALL PARTIAL 1:2", b"PARTIAL 1:2 PARTIAL 1:2", b"RELEVANCY"],
)  # fmt: skip
def test_return_options_that_are_refused(options: bytes):
    with pytest.raises(BadCommand):
        key(b"RETURN (%b) ALL" % options)


def test_sort():
    found = parse(Frame(b"a UID SORT RETURN (MIN) (SUBJECT REVERSE date) UTF-8 SEEN"))
    assert found == c.Sort(
        b"a", True, (s.SortKey(s.Criterion.SUBJECT), s.SortKey(s.Criterion.DATE, True)), "UTF-8", flag(SEEN),
        s.Returns(frozenset({s.Option.MIN})),
    )  # fmt: skip
    for text in (
        b"() UTF-8 ALL", b"(FOO) UTF-8 ALL", b"(REVERSE) UTF-8 ALL", b"(DATE) ALL", b"(DATE) UTF-8", b"DATE UTF-8 ALL",
        b"(" + b" ".join([b"DATE"] * 21) + b") UTF-8 ALL", b"(RELEVANCY) UTF-8 ALL",
    ):  # fmt: skip
        with pytest.raises(BadCommand):
            parse(Frame(b"a SORT " + text))
    with pytest.raises(BadCharset) as caught:
        parse(Frame(b"a SORT RETURN (SAVE) (DATE) X-NONE ALL"))
    assert caught.value.saves


def test_thread():
    found = parse(Frame(b"a THREAD references UTF-8 SEEN"))
    assert found == c.Thread(b"a", False, s.Algorithm.REFERENCES, "UTF-8", flag(SEEN))
    for text in (b"FOO UTF-8 ALL", b"REFS ALL", b"REFS UTF-8"):
        with pytest.raises(BadCommand):
            parse(Frame(b"a THREAD " + text))


def test_keys_of_extensions_nest_and_are_replaced():
    tree = key(b"OR FUZZY (SUBJECT x $) NOT UID $")
    saved = s.Numbers(SequenceSet(((1, 2),)), uid=True)
    assert s.uses(tree, s.Fuzzy)
    assert s.replaced(tree, lambda part: saved if isinstance(part, s.Saved) else part) == s.Or(
        (s.And((s.Header("SUBJECT", "x"), saved)), s.Not(saved))
    )


@pytest.mark.parametrize(
    "text",
    [b"", b"FOO", b"NOT", b"OR", b"OR SEEN", b"OR SEEN ", b"(", b"()", b"(SEEN", b"SEEN)", b"SEEN  DRAFT", b"FROM",
     b"HEADER x", b"KEYWORD \\Seen", b"KEYWORD", b"SINCE 30-Feb-2020", b"SINCE yesterday", b"LARGER -1", b"LARGER x",
     b"UID x", b"0", b"$,1", b"CHARSET", b"CHARSET UTF-8", b"MODSEQ x", b"OLDER 0", b"OLDER -1", b"EMAILID",
     b"EMAILID a.b", b"THREADID \"\"", b"FILTER a/b", b"FUZZY", b"SAVEDON x", b"(SEEN)DRAFT", b"SEEN(DRAFT)",
     b"HEADER \xff x", b"LARGER 9223372036854775808"],
)  # fmt: skip
def test_what_is_refused(text: bytes):
    with pytest.raises(BadCommand):
        key(text)


@pytest.mark.parametrize("opening", [b"(", b"NOT ", b"(NOT "])
def test_depth_is_limited(opening: bytes):
    closing = b")" if opening.startswith(b"(") else b""
    levels = 25 if opening == b"(NOT " else 50
    key(opening * levels + b"ALL" + closing * levels)
    with pytest.raises(BadCommand, match="deeper"):
        key(opening * (levels + 1) + b"ALL" + closing * (levels + 1))
    with pytest.raises(BadCommand, match="deeper"):
        key(opening * 10_000)


def test_the_number_of_keys_is_limited():
    assert len(key(b" ".join([b"SEEN"] * 1000)).keys) == 1000
    with pytest.raises(BadCommand, match="1000"):
        key(b" ".join([b"SEEN"] * 1001))
    with pytest.raises(BadCommand, match="1000"):
        key(b"OR " * 20_000)


def test_a_tree_can_be_walked():
    tree = key(b"OR (SEEN 1:3) NOT UID 5 ALL")
    kinds = sorted(type(found).__name__ for found in s.walk(tree))
    assert kinds == ["All", "And", "And", "Not", "Numbers", "Numbers", "Or", "SystemFlag"]
    assert s.uses_sequence_numbers(tree)
    assert not s.uses_sequence_numbers(key(b"NOT UID 5"))
