"""What RFC 3461 lets a client ask for: RET, ENVID, NOTIFY and ORCPT, in all their forms and none of the others."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import xtext
from gateway.model.recipient import Notify, Recipient
from gateway.smtp.parameters import SyntaxRefused
from gateway.smtp.syntax import parse_mail, parse_rcpt

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(PRINTABLE)
def test_xtext_round_trip(text: str) -> None:
    written = xtext.encode(text)
    assert re.fullmatch(r"[!-~]*", written)
    assert "=" not in written
    assert xtext.decode(written) == text


@given(st.text())
def test_xtext_of_anything(text: str) -> None:
    found = xtext.decode(text)
    if found is not None:
        assert re.fullmatch("[ -~]*", found)
    xtext.original(text)
    xtext.original(f"rfc822;{text}")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.isprintable))
def test_utf8_addresses_round_trip(address: str) -> None:
    written = xtext.encode_utf8(address)
    assert re.fullmatch(r"[!-~]+", written)
    assert xtext.decode_utf8(written) == address


@given(st.text())
def test_utf8_addresses_of_anything_are_printable_or_none(text: str) -> None:
    found = xtext.decode_utf8(text)
    assert found is None or (found.isprintable() and found.encode())


def test_xtext_is_ascii() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        xtext.encode("é")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("rfc822;Bob@Example.COM", ("rfc822", "Bob@Example.COM")),
        ("RFC822;a+2Bb+3Dc@x", ("rfc822", "a+b=c@x")),
        ("x400;/S=U/", None),
        ("x400;/S+3DU/", ("x400", "/S=U/")),
        ("utf-8;zo\\x{EB}@x", ("utf-8", "zoë@x")),
        ("UTF-8;zoë@x", ("utf-8", "zoë@x")),
        ("utf-8;a\\x{2B}b@x", ("utf-8", "a+b@x")),
        ("utf-8;a+2Bb@x", None),
        ("utf-8;\\x{D800}", None),
        ("utf-8;\\x{110000}", None),
        ("utf-8;\\x{0D}\\x{0A}X:@x", None),
        ("rfc822;a+0D+0AX:@x", None),
        ("rfc822;a+2b", None),
        ("rfc822;zoë@x", None),
        ("rfc822;", None),
        ("rfc822", None),
        (";a@b", None),
        ("r f;a@b", None),
        ("rfc822;" + "a" * 493, ("rfc822", "a" * 493)),
        ("rfc822;" + "a" * 494, None),
    ],
)
def test_original_recipients(value: str, found: tuple[str, str] | None) -> None:
    assert xtext.original(value) == found


# RFC 3461 10.1: what Alice's user agent says.
@pytest.mark.parametrize(
    ("argument", "recipient"),
    [
        (
            "TO:<Bob@Example.COM> NOTIFY=SUCCESS ORCPT=rfc822;Bob@Example.COM",
            Recipient("Bob@Example.COM", Notify.SUCCESS, "rfc822;Bob@Example.COM"),
        ),
        (
            "TO:<Dana@Ivory.EDU> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Dana@Ivory.EDU",
            Recipient("Dana@Ivory.EDU", Notify.SUCCESS | Notify.FAILURE, "rfc822;Dana@Ivory.EDU"),
        ),
        ("TO:<Fred@Bombs.AF.MIL> NOTIFY=NEVER", Recipient("Fred@Bombs.AF.MIL", Notify.NEVER)),
        ("TO:<a@b> orcpt=rfc822;A@b notify=delay,Failure", Recipient("a@b", Notify(6), "rfc822;A@b")),
        ("TO:<a@b>", Recipient("a@b")),
    ],
)
def test_rcpt_of_rfc_3461(argument: str, recipient: Recipient) -> None:
    assert parse_rcpt(argument.encode(), smtputf8=False) == recipient


def test_mail_of_rfc_3461() -> None:
    mail = parse_mail(b"FROM:<Alice@Example.ORG> RET=HDRS ENVID=QQ314159")
    assert (mail.ret, mail.envelope_id) == ("HDRS", "QQ314159")
    mail = parse_mail(b"FROM:<a@b> ret=Full ENVID=a+20b+3D" + b"x" * 92)
    assert (mail.ret, mail.envelope_id) == ("FULL", "a b=" + "x" * 92)


@pytest.mark.parametrize(
    "parameters",
    [
        "NOTIFY", "NOTIFY=", "NOTIFY=NEVER,SUCCESS", "NOTIFY=SUCCESS,NEVER", "NOTIFY=SUCCESS,", "NOTIFY=,DELAY",
        "NOTIFY=NEVER,NEVER", "NOTIFY=ALWAYS", "NOTIFY=DELAY NOTIFY=FAILURE", "ORCPT", "ORCPT=a@b", "ORCPT=rfc822;a=b",
        "ORCPT=rfc822;a@b ORCPT=rfc822;a@b", "ORCPT=rfc822;" + "a" * 494, "ORCPT=rfc822;a+0Ab",
    ],
)  # fmt: skip
def test_bad_parameters_of_rcpt(parameters: str) -> None:
    with pytest.raises(SyntaxRefused, match=r"\A501 5\.5\.4 "):
        parse_rcpt(f"TO:<a@b> {parameters}".encode(), smtputf8=True)


@pytest.mark.parametrize(
    "parameters",
    [
        "RET", "RET=", "RET=ALL", "RET=FULL RET=HDRS", "ENVID", "ENVID=", "ENVID=a=b", "ENVID=a+0D+0Ab", "ENVID=a+zz",
        "ENVID=" + "x" * 101, "ENVID=é", "ENVID=a ENVID=b",
    ],
)  # fmt: skip
def test_bad_parameters_of_mail(parameters: str) -> None:
    with pytest.raises(SyntaxRefused, match=r"\A501 5\.5\.4 "):
        parse_mail(f"FROM:<a@b> SMTPUTF8 {parameters}".encode())


def test_an_original_recipient_of_utf8_needs_smtputf8() -> None:
    argument = "TO:<a@b> ORCPT=utf-8;zoë@x".encode()
    assert parse_rcpt(argument, smtputf8=True) == Recipient("a@b", None, "utf-8;zoë@x")
    with pytest.raises(SyntaxRefused, match=r"\A553 5\.6\.7 "):
        parse_rcpt(argument, smtputf8=False)
    assert parse_rcpt(b"TO:<a@b> ORCPT=utf-8;zo\\x{EB}@x", smtputf8=False).orcpt == "utf-8;zo\\x{EB}@x"
