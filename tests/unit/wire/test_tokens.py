"""Tokens, in commands and in responses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.model.sequence import STAR
from gateway.wire.tokens import MAX_RANGES, Atom, Cursor, Malformed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'""', b""),
        (b'"a b"', b"a b"),
        (b'"a\\"b\\\\c"', b'a"b\\c'),
        (b'"(){%*]"', b"(){%*]"),
        (b'"\xc3\xa4"', b"\xc3\xa4"),
        (b"abc]", b"abc]"),
        (b"a+b@c.d", b"a+b@c.d"),
        (b"NIL", b"NIL"),
    ],
)
def test_astrings(text: bytes, value: bytes):
    cursor = Cursor(text)
    assert cursor.astring() == value
    assert cursor.at_end


@pytest.mark.parametrize("text", [b"", b" a", b'"a', b'"a\\"', b'"a\\b"', b'"a\x00"', b"(", b"{3}\n", b"%", b"\\a"])
def test_what_is_no_astring(text: bytes):
    with pytest.raises(Malformed):
        Cursor(text).astring()


def test_literals_are_used_in_order_and_keep_any_octets_but_nul():
    cursor = Cursor(b"{2}\n {3+}\n ~{1}\n", (b"\r\n", b"\xff(\x01", b"\x00"))
    assert cursor.astring() == b"\r\n"
    cursor.space()
    assert cursor.string() == b"\xff(\x01"
    cursor.space()
    assert cursor.literal(binary=True) == b"\x00"
    with pytest.raises(Malformed):
        Cursor(b"{1}\n", (b"\x00",)).astring()
    with pytest.raises(Malformed, match="literal8"):
        Cursor(b"~{1}\n", (b"a",)).astring()


def test_numbers():
    assert Cursor(b"4294967295").number() == 4294967295
    assert Cursor(b"007").nz_number() == 7
    for text in (b"4294967296", b"9" * 5000, b"-1", b"x", b""):
        with pytest.raises(Malformed):
            Cursor(text).number()
    with pytest.raises(Malformed):
        Cursor(b"0").nz_number()


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (b"1", ((1, 1),)),
        (b"*", ((STAR, STAR),)),
        (b"2,4:7,9,12:*", ((2, 2), (4, 7), (9, 9), (12, STAR))),
        (b"*:4,5:7", ((STAR, 4), (5, 7))),
        (b"1:4294967295", ((1, 4294967295),)),
    ],
)
def test_sequence_sets(text: bytes, pairs: tuple):
    cursor = Cursor(text)
    assert cursor.sequence_set().pairs == pairs
    assert cursor.at_end


def whole(cursor: Cursor, read: Callable[[Cursor], object]) -> None:
    read(cursor)
    cursor.end()


@pytest.mark.parametrize(
    "text", [b"", b"0", b"1,", b"1:", b"1::2", b"1:2:3", b"a", b"4294967296", b"1,,2", b"-1", b"**"]
)
def test_what_is_no_sequence_set(text: bytes):
    with pytest.raises(Malformed):
        whole(Cursor(text), Cursor.sequence_set)


def test_a_hostile_sequence_set_is_one_pair_an_item():
    found = Cursor(b",".join([b"1:4294967295"] * 5000)).sequence_set()
    assert len(found.pairs) == 5000


def test_the_ranges_of_a_command_are_counted_over_all_its_sets():
    half = b",".join([b"1"] * (MAX_RANGES // 2))
    cursor = Cursor(half + b" " + half + b" 7")
    for _ in range(2):
        assert len(cursor.sequence_set().pairs) == MAX_RANGES // 2
        cursor.space()
    with pytest.raises(Malformed, match="20000 ranges"):
        cursor.sequence_set()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"INBOX", "INBOX"),
        (b"&AOQ-/x", "ä/x"),
        (b'"R&-D"', "R&D"),
        (b'"\xc3\xa4"', "ä"),
        (b"\xc3\xa4", "ä"),
        (b'"\xc3\xa4&AOQ-"', "ä&AOQ-"),
    ],
)
def test_mailbox_names(text: bytes, name: str):
    assert Cursor(text).mailbox() == name


def test_mailbox_names_after_enable_utf8():
    assert Cursor(b'"\xc3\xa4&AOQ-"', utf8=True).mailbox() == "ä&AOQ-"


@pytest.mark.parametrize("text", [b"R&D", b'"&AOQ"', b"\xff", b'"\xed\xa0\x80"', b"&AAA-"])
def test_undecodable_names(text: bytes):
    with pytest.raises(Malformed):
        Cursor(text).mailbox()


def test_errors_say_where_and_never_what():
    with pytest.raises(Malformed) as caught:
        Cursor(b'LOGIN "se\x01\x00cret"', at=6).astring("a password")
    assert str(caught.value) == "Expected a password at octet 7"


# Responses.


def test_a_fetch_response_as_values():
    text = (
        b'(FLAGS (\\Seen $Has]Bracket \\*) BODY[HEADER.FIELDS ("To" X)]<0> {4}\n RFC822.SIZE 44827 '
        b'ENVELOPE ("a\\"" nil ((NIL NIL "m" "h")("x" NIL NIL NIL))) BODY[] ~{1}\n)'
    )
    cursor = Cursor(text, (b"T: x", b"\x00"))
    assert cursor.value() == (
        b"FLAGS", (b"\\Seen", b"$Has]Bracket", b"\\*"),
        b'BODY[HEADER.FIELDS ("To" X)]<0>', b"T: x",
        b"RFC822.SIZE", b"44827",
        b"ENVELOPE", (b'a"', None, ((None, None, b"m", b"h"), (b"x", None, None, None))),
        b"BODY[]", b"\x00",
    )  # fmt: skip
    assert cursor.at_end


def test_atoms_are_told_from_strings():
    assert isinstance(Cursor(b"a").value(), Atom)
    assert not isinstance(Cursor(b'"a"').value(), Atom)
    assert Cursor(b'"NIL"').value() == b"NIL"
    assert Cursor(b"NIL").value() is None
    assert Cursor(b"()").value() == ()


def test_nesting_is_limited_and_costs_no_stack():
    assert Cursor(b"(" * 50 + b")" * 50).value() is not None
    with pytest.raises(Malformed, match="50"):
        Cursor(b"(" * 51 + b")" * 51).value()
    assert Cursor(b"(" * 5000 + b")" * 5000).value(depth=5000) is not None


@pytest.mark.parametrize("text", [b"", b"(", b"(a", b")", b'("a', b"a[b", b"{3}\n"])
def test_broken_values(text: bytes):
    with pytest.raises(Malformed):
        whole(Cursor(text), Cursor.value)
