"""SASL mechanisms step by step, and their base64 in IMAP."""

from __future__ import annotations

import json

import pytest

from gateway.wire import sasl, sasl_client
from gateway.wire.sasl import NOBODY, Challenge, Check, Malformed


def begin(mechanism: str, initial: bytes | None) -> tuple[sasl.Exchange, sasl.Step]:
    exchange = sasl.start(mechanism, initial)
    assert exchange is not None
    return exchange, next(exchange)


def over(exchange: sasl.Exchange, answer: bytes | bool) -> bool:
    with pytest.raises(StopIteration):
        exchange.send(answer)
    return True


def test_plain():
    exchange, step = begin("PLAIN", b"\0tim\0tanstaaftanstaaf")  # RFC 4616 4
    assert step == Check("tim", "tanstaaftanstaaf")
    assert over(exchange, True)
    exchange, step = begin("PLAIN", None)
    assert step == Challenge(b"")
    assert exchange.send(b"TIM\0tim\0x") == Check("tim", "x")
    assert over(exchange, False)
    assert begin("PLAIN", b"Ursel\0Kurt\0xipj3plmq")[1] == NOBODY, "RFC 4616 4: Kurt may not act for Ursel"
    assert begin("PLAIN", b"\0\xff\0x")[1] == NOBODY
    assert "tanstaaf" not in repr(Check("tim", "tanstaaf"))
    for broken in (b"", b"tim", b"\0tim", b"\0tim\0x\0y"):
        with pytest.raises(Malformed):
            begin("PLAIN", broken)


@pytest.mark.parametrize("initial", [None, b""])
def test_login_asks_twice(initial: bytes | None):
    exchange, step = begin("LOGIN", initial)
    assert step == Challenge(b"Username:")
    assert exchange.send(b"tim") == Challenge(b"Password:")
    assert exchange.send(b"x") == Check("tim", "x")


def test_login_with_initial_response():
    exchange, step = begin("LOGIN", b"tim")
    assert step == Challenge(b"Password:")
    assert exchange.send(b"x") == Check("tim", "x")


# RFC 7628 4.1
BEARER = (
    b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEu"
    b"Y29tCg==\x01\x01"
)


def test_oauthbearer():
    exchange, step = begin("OAUTHBEARER", BEARER)
    assert step == Check("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
    assert over(exchange, True)
    exchange, step = begin("OAUTHBEARER", None)
    assert step == Challenge(b"")
    assert exchange.send(b"y,a=a=3Db=2Cc,\x01auth=bEaReR x\x01\x01") == Check("a=b,c", "x")


@pytest.mark.parametrize("last", [b"\x01", b"", b"anything"])
def test_oauthbearer_tells_the_error_before_it_ends(last: bytes):
    exchange, _ = begin("OAUTHBEARER", BEARER)
    step = exchange.send(False)
    assert isinstance(step, Challenge)
    assert json.loads(step.octets) == {"status": "invalid_token", "schemes": "bearer"}
    assert over(exchange, last)


@pytest.mark.parametrize(
    "message",
    # RFC 7628 4.3: asked what is wanted; another scheme; no token
    [BEARER.split(b"Bearer")[0] + b"\x01\x01", BEARER.replace(b"Bearer", b"Basic"),
     BEARER.split(b"Bearer")[0] + b"Bearer \x01\x01"],
)  # fmt: skip
def test_oauthbearer_of_nobody(message: bytes):
    assert begin("OAUTHBEARER", message)[1] == NOBODY


def test_oauthbearer_that_names_nobody():
    assert begin("OAUTHBEARER", b"n,,\x01auth=Bearer x\x01\x01")[1] == Check("", "x")


@pytest.mark.parametrize(
    "message",
    [b"", b"\x01", b"n,a=u,", BEARER[:-1], BEARER[:-2], BEARER.replace(b"n,a", b"p=x,a"),
     BEARER.replace(b"n,a", b"n,user"), BEARER.replace(b"auth=", b"oath="),
     BEARER.replace(b"a=user", b"a=us=er"), BEARER.replace(b"host=", b"host")],
)  # fmt: skip
def test_broken_oauthbearer(message: bytes):
    with pytest.raises(Malformed):
        begin("OAUTHBEARER", message)


def test_xoauth2():
    exchange, step = begin("XOAUTH2", b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3Rl\x01\x01")
    assert step == Check("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3Rl")
    failed = exchange.send(False)
    assert isinstance(failed, Challenge)
    assert json.loads(failed.octets)["status"] == "401"
    assert over(exchange, b"")
    assert begin("XOAUTH2", b"user=u\x01auth=\x01\x01")[1] == NOBODY
    for broken in (b"", b"user=u\x01\x01", b"user=u\x01auth=Bearer x\x01", b"auth=Bearer x\x01user=u\x01\x01"):
        with pytest.raises(Malformed):
            begin("XOAUTH2", broken)


def test_both_halves_agree():
    user, secret = "us=er,@example.org", "geheim"
    for name, client in (
        ("PLAIN", sasl_client.plain(user, secret)),
        ("LOGIN", sasl_client.login(user, secret)),
        ("XOAUTH2", sasl_client.xoauth2(user, secret)),
        ("OAUTHBEARER", sasl_client.oauthbearer(user, secret, host="mail.example.org", port=993)),
    ):
        exchange, step = begin(name, next(client))
        while isinstance(step, Challenge):
            answer = client.send(step.octets)
            assert answer is not None
            step = exchange.send(answer)
        assert step == Check(user, secret)
    with pytest.raises(ValueError, match="separator"):
        next(sasl_client.plain("a\0b", "c"))
    with pytest.raises(ValueError, match="separator"):
        next(sasl_client.xoauth2("a\x01auth=Bearer x", "c"))


def test_names_are_listed_best_first():
    assert sasl.names(binds=True)[:2] == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    assert sasl.names(binds=False) == ("SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN")
    assert sasl.start("CRAM-MD5", None) is None


def test_responses():
    assert sasl.initial_response(b"=") == b""
    assert sasl.initial_response(b"AHUAcA==") == b"\x00u\x00p"
    assert sasl.response(b"*") is None
    assert sasl.response(b"") == b""
    assert sasl.response(b"AHUAcA==") == b"\x00u\x00p"
    assert sasl.challenge(b"") == b"+ \r\n"
    assert sasl.challenge(b"Username:") == b"+ VXNlcm5hbWU6\r\n"


@pytest.mark.parametrize("line", [b"=", b"A", b"AHUAcA", b"AH UA", b"AHUAcA==x", b"\xff", b"**"])
def test_what_is_not_base64(line: bytes):
    with pytest.raises(ValueError, match="not base64"):
        sasl.response(line)
