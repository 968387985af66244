"""The grammar of commands, as clients really send it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.recipient import Recipient
from gateway.smtp.parameters import Parameter, SyntaxRefused, read
from gateway.smtp.syntax import MailCommand, parse_mail, parse_rcpt, split_command, valid_helo


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"MAIL FROM:<a@b>\r\n", ("MAIL", b"FROM:<a@b>")),
        (b"mail   from:<a@b> \r\n", ("MAIL", b"from:<a@b>")),
        (b"NOOP\n", ("NOOP", b"")),
        (b"\r\n", ("", b"")),
        (b"\xff\xfe x\r\n", ("", b"")),
        (b"AGFubkBleGFtcGxlLm9yZwBzM2NyZXQ=\r\n", ("", b"")),
    ],
)
def test_split(line: bytes, expected: tuple[str, bytes]) -> None:
    assert split_command(line) == expected


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        ("FROM:<a@b>", "a@b"),
        ("FROM: <a@b>", "a@b"),
        ("from:a@b.c", "a@b.c"),
        ("FROM:<>", ""),
        ("FROM:<@x,@y:a@b>", "a@b"),
        ("FROM:<A.b+c@Example.ORG.>", "A.b+c@Example.ORG"),
        ('FROM:<"joe"@x>', "joe@x"),
        ('FROM:<"jo\\e"@x>', "joe@x"),
        ('FROM:<"joe doe"@x>', '"joe doe"@x'),
        ("FROM:<a..b.@docomo.ne.jp>", "a..b.@docomo.ne.jp"),
        ("FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
        ("FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
        ("FROM:<a_b@my_host>", "a_b@my_host"),
    ],
)
def test_paths(argument: str, address: str) -> None:
    assert parse_mail(argument.encode()).address == address


def test_mail_parameters_keep_their_case_and_order_does_not_matter() -> None:
    found = parse_mail("FROM:<zoë@x> size=10 SmtpUtf8 body=8bitmime AUTH=<> RET=hdrs ENVID=Qq+2Bx".encode())
    assert found == MailCommand("zoë@x", 10, "8BITMIME", True, "Qq+x", "HDRS")
    assert parse_mail(b"FROM:<a@b> AUTH=e+3Dmc2@example.com") == MailCommand("a@b")


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("<a@b>", "501 5.5.4"), ("TO:<a@b>", "501 5.5.4"), ("FROM:", "501 5.1.7"), ("FROM:<a b@c>", "501 5.1.7"),
        ("FROM:<a@b", "501 5.1.7"), ("FROM:<a>", "501 5.1.7"), ("FROM:<a@>", "501 5.1.7"),
        ("FROM:<a@b@c>", "501 5.1.7"),
        ("FROM:<a@" + "b" * 400 + ">", "501 5.1.7"), ("FROM:<a@b> SIZE=x", "501 5.5.4"),
        ("FROM:<a@b> SIZE", "501 5.5.4"),
        ("FROM:<a@b> BODY=BINARY", "501 5.5.4"), ("FROM:<a@b> BODY", "501 5.5.4"),
        ("FROM:<a@b> SMTPUTF8=1", "501 5.5.4"),
        ("FROM:<a@b> AUTH", "501 5.5.4"), ("FROM:<a@b> RET=ALL", "501 5.5.4"), ("FROM:<a@b> ENVID=a=b", "501 5.5.4"),
        ("FROM:<a@b> SIZE=1 SIZE=2", "501 5.5.4"), ("FROM:<a@b> X", "555 5.5.4"), ("FROM:<a@b> -=", "501 5.5.4"),
        ("FROM:<zoë@x>", "553 5.6.7"), ("FROM:<a@b>junk", "555 5.5.4"), ("FROM:<a@b>\x7f", "501 5.5.4"),
    ],
)  # fmt: skip
def test_refused(argument: str, code: str) -> None:
    with pytest.raises(SyntaxRefused) as refused:
        parse_mail(argument.encode())
    assert refused.value.reply.startswith(code)


def test_a_word_that_is_longer_than_any_may_be_is_not_recognized() -> None:
    for command in (parse_mail, lambda octets: parse_rcpt(octets.replace(b"FROM", b"TO"), smtputf8=False)):
        with pytest.raises(SyntaxRefused) as refused:
            command(b"FROM:<a@b> " + b"X" * 3000)
        assert refused.value.reply == "555 5.5.4 A parameter is too long"


def test_rows_of_one_field_exclude_each_other() -> None:
    rows = {"FOR": Parameter("at", lambda value: value, "a time"), "UNTIL": Parameter("at", lambda value: value, "one")}
    assert read("until=5", rows) == {"at": "5"}
    with pytest.raises(SyntaxRefused, match=r"^501 5\.5\.4 UNTIL stands beside one that excludes it"):
        read("for=5 until=5", rows)


def test_not_utf8() -> None:
    with pytest.raises(SyntaxRefused, match="UTF-8"):
        parse_mail(b"FROM:<\xff@x> SMTPUTF8")


def test_rcpt() -> None:
    assert parse_rcpt(b"TO:<Postmaster>", smtputf8=False) == Recipient("Postmaster")
    assert parse_rcpt("TO:<zoë@bücher.example>".encode(), smtputf8=True) == Recipient("zoë@bücher.example")
    for bad in (b"TO:<>", b"TO:<ann>", b"TO:<a@b> NOTIFY=LATER", "TO:<zoë@x>".encode()):
        with pytest.raises(SyntaxRefused):
            parse_rcpt(bad, smtputf8=False)


def test_helo_names() -> None:
    for name in ("vm", "localhost", "[192.0.2.1]", "[IPv6:::1]", "_my-PC_", "bücher", "My PC"):
        assert valid_helo(name.encode()) == name
    for bad in (b"", b"a\tb", b"a\x07", b"x" * 256):
        assert valid_helo(bad) is None


@given(st.binary(max_size=300))
def test_anything_is_parsed_or_refused(argument: bytes) -> None:
    for prefix in (b"", b"FROM:", b"FROM:<", b"FROM:<a@b> "):
        reply, found = "", None
        try:
            found = parse_mail(prefix + argument)
        except SyntaxRefused as refused:
            reply = refused.reply
        if found is None:
            assert reply[:3] in ("501", "553", "555")
            assert reply.isascii()
        else:
            assert "\r" not in found.address
            assert "\n" not in found.address
            assert not found.address or "@" in found.address
