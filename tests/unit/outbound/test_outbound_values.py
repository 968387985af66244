"""Addresses that may be dialled, dot-stuffing, verdicts and the choice of a login mechanism."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.addresses import allowed, is_private, is_public
from gateway.outbound.dial import dial
from gateway.outbound.dots import DotStuffer
from gateway.outbound.errors import AddressDenied, NameNotFound
from gateway.outbound.login import Mechanism, NoMechanism, RelayLogin, choose
from gateway.outbound.verdict import MAX_TEXT, Stage, Verdict, of_loss, of_reply
from gateway.smtp.data import DataDecoder

DENIED = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.1.1",  # noqa: S104 - not bound
    "168.63.129.16", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "fe80::1",
    "fe80::1%eth0",
    "fc00::1", "fd00:ec2::254", "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "::127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", DENIED)
def test_denied(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2a00:1450::1", "2606:4700::1", "::ffff:8.8.8.8"]
)
def test_public(address: str) -> None:
    assert is_public(address)
    assert allowed(address, allow_private=False)


def test_private_is_opened_by_a_setting_but_metadata_is_not() -> None:
    for address in ("10.0.0.1", "127.0.0.1", "::1", "fd00::1", "192.168.0.1", "::ffff:10.0.0.1"):
        assert is_private(address)
        assert allowed(address, allow_private=True)
        assert not allowed(address, allow_private=False)
    for address in ("169.254.169.254", "168.63.129.16", "100.100.100.200", "0.0.0.0", "224.0.0.1", "fe80::1"):  # noqa: S104
        assert not allowed(address, allow_private=True)


def test_dial_checks_every_address_and_asks_once() -> None:
    asked = []

    async def resolver(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
        asked.append(host)
        if host == "nowhere.example":
            raise OSError("no such name")
        return [(2, ("169.254.169.254", port)), (2, ("127.0.0.1", port))]

    async def main() -> None:
        with pytest.raises(AddressDenied):
            await dial("evil.example", 25, allow_private=False, patience=1, resolver=resolver)
        with pytest.raises(NameNotFound):
            await dial("nowhere.example", 25, allow_private=False, patience=1, resolver=resolver)

    asyncio.run(main())
    assert asked == ["evil.example", "nowhere.example"]


def stuff(message: bytes, cuts: list[int]) -> bytes:
    stuffer = DotStuffer()
    out = b""
    at = 0
    for cut in cuts:
        out += stuffer.feed(message[at : at + cut])
        at += cut
    return out + stuffer.feed(message[at:]) + stuffer.finish()


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\0", b"\r\n"]), max_size=30),
    st.lists(st.integers(1, 3), max_size=30),
)
def test_what_goes_out_is_always_clean(pieces: list[bytes], cuts: list[int]) -> None:
    """Whatever is stored: our own strict decoder reads it back as the same lines, in any chunking."""
    message = b"".join(pieces)
    wire = stuff(message, cuts)
    assert wire == stuff(message, [])
    decoder = DataDecoder(10**6)
    got = decoder.feed(wire)
    assert decoder.finished
    assert decoder.rest == b""
    assert not decoder.violated
    lines = message.replace(b"\0", b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    expected = lines.replace(b"\n", b"\r\n")
    assert got == (expected if expected.endswith(b"\r\n") or not expected else expected + b"\r\n")


@pytest.mark.parametrize(
    ("stage", "code", "text", "verdict", "enhanced"),
    [
        (Stage.FINAL_DOT, 250, "2.0.0 ok", Verdict.SENT, "2.0.0"),
        (Stage.RCPT, 550, "5.1.1 nobody", Verdict.PERMANENT, "5.1.1"),
        (Stage.RCPT, 450, "4.2.1 later", Verdict.TEMPORARY, "4.2.1"),
        (Stage.MAIL, 421, "bye", Verdict.TEMPORARY, None),
        (Stage.MAIL, 432, "4.3.2 slow down", Verdict.TEMPORARY, "4.3.2"),
        (Stage.MAIL, 454, "4.7.0 tls", Verdict.TEMPORARY, "4.7.0"),
        (Stage.DATA, 503, "5.5.1 order", Verdict.TEMPORARY, "5.5.1"),
        (Stage.MAIL, 530, "5.7.0 auth", Verdict.LOGIN, "5.7.0"),
        (Stage.MAIL, 535, "5.7.8 auth", Verdict.LOGIN, "5.7.8"),
        (Stage.MAIL, 534, "5.7.9 app password", Verdict.LOGIN, "5.7.9"),
        (Stage.FINAL_DOT, 552, "5.3.4 big", Verdict.PERMANENT, "5.3.4"),
        (Stage.FINAL_DOT, 999, "what", Verdict.TEMPORARY, None),
        (Stage.FINAL_DOT, 354, "what", Verdict.TEMPORARY, None),
    ],
)
def test_verdicts(stage: Stage, code: int, text: str, verdict: Verdict, enhanced: str | None) -> None:
    outcome = of_reply(stage, code, text)
    assert (outcome.verdict, outcome.enhanced, outcome.code) == (verdict, enhanced, code)
    assert not outcome.at_once


def test_too_many_recipients_goes_on_at_once() -> None:
    for code, text in ((452, "4.5.3 too many"), (452, "too many"), (552, "5.5.3 too many"), (552, "too many")):
        outcome = of_reply(Stage.RCPT, code, text)
        assert outcome.verdict is Verdict.TEMPORARY
        assert outcome.at_once
    full = of_reply(Stage.RCPT, 452, "4.2.2 mailbox full")
    assert full.verdict is Verdict.TEMPORARY
    assert not full.at_once
    assert of_reply(Stage.RCPT, 552, "5.2.2 mailbox full").verdict is Verdict.PERMANENT


def test_only_the_final_dot_leaves_doubt() -> None:
    for stage in Stage:
        doubt = of_loss(stage, "lost").verdict is Verdict.UNKNOWN
        assert doubt == (stage is Stage.FINAL_DOT)


def test_reply_texts_are_made_safe() -> None:
    outcome = of_reply(Stage.MAIL, 550, "5.7.1 a\x00b\r\nc\x1b[2J" + "x" * 1000)
    assert outcome.text.startswith("a b c [2J")
    assert len(outcome.text) <= MAX_TEXT
    assert of_reply(Stage.MAIL, 550, "\udcff").text.isprintable()


def test_one_mechanism_is_chosen() -> None:
    assert choose(["cram-md5", "login", "plain"], Mechanism.AUTO, encrypted=True) is Mechanism.PLAIN
    assert choose(["login"], Mechanism.AUTO, encrypted=True) is Mechanism.LOGIN
    assert choose(["login", "cram-md5"], Mechanism.AUTO, encrypted=False) is Mechanism.CRAM_MD5
    assert choose([], Mechanism.XOAUTH2, encrypted=True) is Mechanism.XOAUTH2
    for offered, wanted in ((["login", "plain"], Mechanism.AUTO), (["plain"], Mechanism.PLAIN)):
        with pytest.raises(NoMechanism):
            choose(offered, wanted, encrypted=False)
    with pytest.raises(NoMechanism, match="GSSAPI"):
        choose(["gssapi"], Mechanism.AUTO, encrypted=True)


def several(*names: str, token: bool = False) -> RelayLogin:
    first, *others = map(Mechanism, names)
    return RelayLogin("me", "secret", first, token, tuple(others))


@pytest.mark.parametrize(
    ("login", "offered", "chosen"),
    [
        (several("plain"), "", "plain"),  # a single one: what a server tells is a hint
        (several("cram-md5", "login", "plain"), "plain login", "login"),
        (several("cram-md5", "login", "plain"), "plain login cram-md5", "cram-md5"),
        (several("cram-md5", "auto"), "plain", "auto"),
        (several("oauthbearer", "plain"), "oauthbearer plain", "plain"),  # of a password
        (several("plain", "oauthbearer", token=True), "oauthbearer plain", "oauthbearer"),
        (several("oauthbearer", "xoauth2"), "xoauth2 plain", "xoauth2"),  # all of them: the secret is a token
    ],
)
def test_of_several_mechanisms_the_first_that_is_offered(login: RelayLogin, offered: str, chosen: str) -> None:
    assert login.preferred(lambda one: one.value in offered.split()) == chosen


@pytest.mark.parametrize(
    ("login", "offered"),
    [
        (several("cram-md5", "login"), "plain"),
        (several("plain", "login", token=True), "plain login xoauth2"),
        (several("xoauth2", "plain"), "xoauth2"),
    ],
)
def test_of_several_mechanisms_none(login: RelayLogin, offered: str) -> None:
    with pytest.raises(NoMechanism, match=r"The server offers none of [A-Z]"):
        login.preferred(lambda one: one.value in offered.split())


def test_secret_is_not_shown() -> None:
    assert "canary" not in repr(RelayLogin("me", "canary"))


def test_an_enhanced_code_before_each_line_is_said_once() -> None:
    outcome = of_reply(Stage.FINAL_DOT, 550, "5.7.26 This mail is not authenticated.\n5.7.26 See\n5.7.26  https://x.example")
    assert (outcome.enhanced, outcome.text) == ("5.7.26", "This mail is not authenticated. See https://x.example")
    other = of_reply(Stage.RCPT, 550, "5.1.1 nobody\n5.2.1 or not")
    assert (other.enhanced, other.text) == ("5.1.1", "nobody 5.2.1 or not")
    assert of_reply(Stage.RCPT, 550, "5.1.\u0661 nobody").enhanced is None
    assert of_reply(Stage.RCPT, 550, "").text == ""
