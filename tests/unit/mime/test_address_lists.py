"""Address lists: RFC 5322's forms, and those that no RFC knows."""

from __future__ import annotations

import pytest

from gateway.mime import parse_addresses
from gateway.model.envelope import Address

END = Address(None, None, None, None)


def person(name: bytes | None, mailbox: bytes, host: bytes, route: bytes | None = None) -> Address:
    return Address(name, route, mailbox, host)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a@b.c", [person(None, b"a", b"b.c")]),
        (b"John Q. Public <JQB@bar.example>", [person(b"John Q. Public", b"JQB", b"bar.example")]),
        (b'"Joe Q. Public" <john.q.public@example.com>', [person(b"Joe Q. Public", b"john.q.public", b"example.com")]),
        (b'"Giant; \\"Big\\" Box" <s@example.net>', [person(b'Giant; "Big" Box', b"s", b"example.net")]),
        (
            b"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            [person(b"Mary Smith", b"mary", b"x.test"), person(None, b"jdoe", b"example.org"),
             person(b"Who?", b"one", b"y.test")],
        ),
        (
            b"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
            [Address(None, None, b"A Group", None), person(b"Ed Jones", b"c", b"a.test"),
             person(None, b"joe", b"where.test"), person(b"John", b"jdoe", b"one.test"), END],
        ),
        (b"Undisclosed recipients:;", [Address(None, None, b"Undisclosed recipients", None), END]),
        # RFC 5322 A.5: comments and blanks everywhere
        (
            b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            [person(b"Pete", b"pete", b"silly.test")],
        ),
        (
            b"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n joe@example.org,"
            b"\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
            [Address(None, None, b"A Group", None), person(b"Chris Jones", b"c", b"public.example"),
             person(None, b"joe", b"example.org"), person(b"John", b"jdoe", b"one.test"), END],
        ),
        # RFC 5322 A.6.1 and A.6.3: obsolete forms
        (
            b"Mary Smith <@node.test,@other.test:mary@example.net>, , jdoe@test  . example",
            [person(b"Mary Smith", b"mary", b"example.net", b"@node.test,@other.test"),
             person(None, b"jdoe", b"test.example")],
        ),
        (b"Joe Q. Public <john . public @ example . com>", [person(b"Joe Q. Public", b"john.public", b"example.com")]),
        (b"a@b (Name)", [person(b"Name", b"a", b"b")]),
        (b'"" <a@b>', [person(None, b"a", b"b")]),
        (b'"john doe"@x.test', [person(None, b"john doe", b"x.test")]),
        (b'"a\\"b"@x.test', [person(None, b'a"b', b"x.test")]),
        (b"x@[192.0.2.1]", [person(None, b"x", b"[192.0.2.1]")]),
        (b"=?utf-8?Q?J=C3=B6rg?= <j@x.test>", [person(b"=?utf-8?Q?J=C3=B6rg?=", b"j", b"x.test")]),
    ],
)  # fmt: skip
def test_forms_of_the_rfc(value: bytes, expected: list[Address]) -> None:
    assert list(parse_addresses(value)) == expected


GOOD = person(None, b"good", b"one.test")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"root", [person(None, b"root", b"")]),
        (b"foo bar", [person(b"foo bar", b"", b"")]),
        (b"name <noat>", [person(b"name", b"noat", b"")]),
        (b"<>", [person(None, b"", b"")]),
        (b"a@", [person(None, b"a", b"")]),
        (b"@b", [person(None, b"", b"b")]),
        (b'"unclosed <a@b>', [person(b"unclosed", b"a", b"b")]),
        (b"(unclosed <a@b>", [person(b"unclosed", b"a", b"b")]),
        (b"x <a@b", [person(b"x", b"a", b"b")]),
        (b"<a@b> <c@d>", [person(None, b"a", b"b"), person(None, b"c", b"d")]),
        (b"a@b c@d", [person(None, b"a", b"b"), person(None, b"c", b"d")]),
        (b"John Smith john@x.test", [person(b"John Smith", b"john", b"x.test")]),
        (b"foo@bar.test <foo@bar.test>", [person(b"foo@bar.test", b"foo", b"bar.test")]),
        (b"=?utf-8?Q?Doe,_J?= <d@j.test>", [person(b"=?utf-8?Q?Doe,_J?=", b"d", b"j.test")]),
        (b"user@name@host.test", [person(None, b"user@name", b"host.test")]),
        ("Jörg <j@x.test>".encode("latin-1"), [person(b"J\xf6rg", b"j", b"x.test")]),
        (b"<@r1,@r2", [person(None, b"@r1", b"r2")]),
        (b"(only a comment)", []),
    ],
)
def test_malformed_keeps_what_it_can_and_its_neighbour(value: bytes, expected: list[Address]) -> None:
    assert list(parse_addresses(value)) == expected
    assert list(parse_addresses(b"good@one.test, " + value)) == [GOOD, *expected]


def test_semicolon_outside_a_group_separates() -> None:
    assert list(parse_addresses(b"a@b; c@d")) == [person(None, b"a", b"b"), person(None, b"c", b"d")]


def test_open_group_is_ended() -> None:
    assert list(parse_addresses(b"G: a@b, c@d")) == [
        Address(None, None, b"G", None), person(None, b"a", b"b"), person(None, b"c", b"d"), END,
    ]  # fmt: skip


@pytest.mark.parametrize("value", [b"", b" ", b",", b", ,\r\n ,", b";"])
def test_nothing_in_it(value: bytes) -> None:
    assert parse_addresses(value) == ()


@pytest.mark.parametrize(
    "unit", [b'\\"', b'"', b"(", b"<", b"[", b"=?a?q?", b"a:", b"@", b"a@b ", b"<@a,", b"\\(", b"x ", b"x@y:", b"(a)"]
)
def test_hostile_input_ends(unit: bytes) -> None:
    """256 KiB of each: quadratic time would not finish within the suite's patience."""
    for address in parse_addresses(unit * (256 * 1024 // len(unit))):
        assert isinstance(address, Address)
