"""A message meets servers that offer less than it needs: converted so that it says the same, or refused; never bent."""

from __future__ import annotations

import email
import email.policy

import pytest

from gateway.model.recipient import Notify, Recipient
from gateway.outbound.verdict import Outcome
from tests.faults.smtp_kit import run
from tests.faults.smtp_peer import Got, Peer, connected, mail, peer

EIGHT = (
    "From: ann@example.org\r\nSubject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\n.zoë wrote a long enough line\r\n"
).encode()
BINARY = (
    b"From: ann@example.org\r\nMIME-Version: 1.0\r\nContent-Type: application/x\r\n"
    b"Content-Transfer-Encoding: binary\r\n\r\n\0\r\n.\r\nMAIL FROM:<evil@x>\r\n\n.\n\xff\r" + bytes(range(256)) * 600
)
SIGNED = (
    b"From: ann@example.org\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/signed; boundary=b; protocol=\"x/y\"\r\n\r\n--b\r\n\r\n\xc3\xab\r\n--b\r\n"
    b"Content-Type: x/y\r\n\r\nsignature\r\n--b--\r\n"
)
FULL = ("8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN", "SIZE 1000000", "PIPELINING")


def without(*words: str) -> tuple[str, ...]:
    return tuple(each for each in FULL if each.split()[0] not in words)


def sent(extensions: tuple[str, ...], octets: bytes, **facts: object) -> tuple[Outcome, list[Got]]:
    async def main() -> tuple[Outcome, list[Got]]:
        async with peer(Peer(extensions)) as it, connected(it) as connection:
            [outcome] = await connection.send(mail(octets=octets, **facts))
            assert connection.usable
            return outcome, it.got

    return run(main())


def content(octets: bytes) -> object:
    return email.message_from_bytes(octets, policy=email.policy.compat32).get_payload(decode=True)


def test_eight_bits_where_they_are_taken() -> None:
    outcome, [got] = sent(FULL, EIGHT, body_8bit=True)
    assert (outcome.verdict.value, got.octets) == ("sent", EIGHT)
    assert got.mail == f"MAIL FROM:<ann@example.org> SIZE={len(EIGHT)} BODY=8BITMIME"


def test_eight_bits_become_quoted_printable() -> None:
    outcome, [got] = sent(without("8BITMIME"), EIGHT, body_8bit=True)
    assert outcome.verdict.value == "sent"
    assert got.octets == EIGHT.replace(b"8bit", b"quoted-printable").replace("zoë".encode(), b"zo=C3=AB")
    assert got.mail == f"MAIL FROM:<ann@example.org> SIZE={len(got.octets)}"
    assert content(got.octets) == content(EIGHT)


def test_what_only_says_that_it_has_eight_bits_goes_as_it_is() -> None:
    plain = EIGHT.replace("zoë".encode(), b"zoe")
    _, [got] = sent(without("8BITMIME"), plain, body_8bit=True)
    assert (got.octets, "BODY" in got.mail) == (plain, False)


def test_binary_goes_by_bdat_octet_for_octet() -> None:
    outcome, [got] = sent(FULL, BINARY, binary=True)
    assert outcome.verdict.value == "sent"
    assert (got.by, got.octets) == ("BDAT", BINARY)
    assert got.mail == f"MAIL FROM:<ann@example.org> SIZE={len(BINARY)} BODY=BINARYMIME"


@pytest.mark.parametrize("missing", [("BINARYMIME",), ("CHUNKING",), ("BINARYMIME", "CHUNKING", "8BITMIME")])
def test_binary_becomes_base64_elsewhere(missing: tuple[str, ...]) -> None:
    outcome, [got] = sent(without(*missing), BINARY, binary=True)
    assert outcome.verdict.value == "sent"
    assert got.by == "DATA"
    assert got.octets.isascii()
    assert b"evil" not in got.octets
    assert content(got.octets) == BINARY.partition(b"\r\n\r\n")[2]
    assert got.mail.startswith(f"MAIL FROM:<ann@example.org> SIZE={len(got.octets)}")


@pytest.mark.parametrize(
    ("extensions", "octets", "facts", "code", "enhanced"),
    [
        (without("8BITMIME"), SIGNED, {"body_8bit": True}, 554, "5.6.3"),
        (without("8BITMIME"), b"Subject: \xfc\r\n\r\nx\r\n", {"body_8bit": True}, 554, "5.6.7"),
        (without("SMTPUTF8"), "Subject: ü\r\n\r\nx\r\n".encode(), {"header_utf8": True}, 553, "5.6.7"),
        (without("SMTPUTF8"), EIGHT, {"body_8bit": True, "mail_from": "zoë@example.org"}, 553, "5.6.7"),
        (("SIZE 100",), EIGHT, {}, 552, "5.3.4"),
        ((f"SIZE {len(EIGHT) + 1}",), EIGHT, {"body_8bit": True}, 552, "5.3.4"),
    ],
)  # fmt: skip
def test_what_cannot_go_is_refused_before_a_word(
    extensions: tuple[str, ...], octets: bytes, facts: dict[str, object], code: int, enhanced: str
) -> None:
    async def main() -> None:
        async with peer(Peer(extensions)) as it, connected(it) as connection:
            [outcome] = await connection.send(mail(octets=octets, **facts))
            assert (outcome.verdict.value, outcome.code, outcome.enhanced) == ("permanent", code, enhanced)
            [outcome] = await connection.send(mail())
            assert outcome.verdict.value == "sent", "it says nothing about other mail"
        assert len(it.got) == 1

    run(main())


def test_the_size_that_counts_is_the_converted_one() -> None:
    outcome, _ = sent((f"SIZE {len(EIGHT)}", "8BITMIME"), EIGHT, body_8bit=True)
    assert outcome.verdict.value == "sent"


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("replies", "verdict", "stage"),
    [
        ({"BDAT": ["552 5.3.4 too big"]}, "permanent", "body"), ({"BDAT": ["drop"]}, "temporary", "body"),
        ({"BDAT": ["451 4.3.1 full"]}, "temporary", "body"), ({"last": ["drop"]}, "unknown", "final-dot"),
        ({"last": ["550 5.7.1 spam"]}, "permanent", "final-dot"), ({"RCPT": ["550 5.1.1 no"]}, "permanent", "rcpt"),
        ({"MAIL": ["550 5.7.1 no"]}, "permanent", "mail"),
    ],
)  # fmt: skip
def test_bdat_is_refused_or_lost(pipelining: bool, replies: dict[str, list[str]], verdict: str, stage: str) -> None:
    async def main() -> None:
        one = Peer(FULL if pipelining else without("PIPELINING"), {verb: list(said) for verb, said in replies.items()})
        async with peer(one) as it, connected(it) as connection:
            [outcome] = await connection.send(mail(octets=BINARY, binary=True))
            assert (outcome.verdict.value, outcome.stage.value) == (verdict, stage)
            assert it.got == []

    run(main())


def test_who_owes_the_report_of_success() -> None:
    """RFC 3461 5.2: a server that offers DSN is told, and takes over; of another the caller learns that it did not."""

    async def main(extensions: tuple[str, ...]) -> tuple[list[bool], list[str]]:
        asked = Recipient("eve@x.net", Notify.SUCCESS, "rfc822;eve@x.net")
        async with peer(Peer(extensions, {"RCPT": ["250 ok", "550 5.1.1 no"]})) as it, connected(it) as connection:
            outcomes = await connection.send(mail(asked, "bob@x.net", envelope_id="QQ1", ret="FULL"))
            return [outcome.notifies for outcome in outcomes], [it.got[0].mail, *it.got[0].rcpts]

    assert run(main(FULL)) == (
        [True, False],
        ["MAIL FROM:<ann@example.org> SIZE=50 RET=FULL ENVID=QQ1",
         "RCPT TO:<eve@x.net> NOTIFY=SUCCESS ORCPT=rfc822;eve@x.net"],
    )  # fmt: skip
    assert run(main(without("DSN"))) == ([False, False], ["MAIL FROM:<ann@example.org> SIZE=50", "RCPT TO:<eve@x.net>"])
