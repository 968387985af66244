"""A message with BODY=BINARYMIME from its client to where it goes: here it can be shown, elsewhere it says the same."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from gateway.store.statements import Stmt
from tests.faults.smtp_kit import USER, Certificates, Client, certificates, door, run
from tests.faults.smtp_peer import Peer, peer
from tests.faults.smtp_store import House, house

HEADER = (
    b"From: ann@example.org\r\nTo: bob@example.org\r\nBcc: secret@example.org\r\nMessage-ID: <one@example.org>\r\n"
    b"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
)
RAW = b"\0\r\n.\r\nMAIL FROM:<evil@x>\r\n\n.\n\xff\r\r\n" + bytes(range(256)) * 4000
MIXED = (
    HEADER + b'Content-Type: multipart/mixed; boundary="b"\r\nContent-Transfer-Encoding: binary\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    b"--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n" + RAW + b"\r\n--b--\r\n"
)
SINGLE = HEADER + b"Content-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n" + RAW
LYING = HEADER + b"Content-Type: application/x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + RAW
SIGNED = (
    HEADER + b'Content-Type: multipart/signed; boundary="b"; protocol="x/y"\r\n\r\n'
    b"--b\r\nContent-Transfer-Encoding: binary\r\nContent-Type: application/x\r\n\r\n" + RAW
    + b"\r\n--b\r\nContent-Type: x/y\r\n\r\nsignature\r\n--b--\r\n"
)
FULL = ("8BITMIME", "CHUNKING", "BINARYMIME")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(Path(tmp_path_factory.mktemp("tls")))


def decoded(octets: bytes) -> list[object]:
    """What the parts say, by another library."""
    parsed = email.message_from_bytes(octets, policy=email.policy.compat32)
    return [part.get_payload(decode=True) for part in parsed.walk() if not part.is_multipart()]


async def by_bdat(client: Client, message: bytes, *recipients: str) -> str:
    assert (await client.say(f"MAIL FROM:<{USER}> BODY=BINARYMIME SIZE={len(message)}")).startswith("250")
    for recipient in recipients:
        assert (await client.say(f"RCPT TO:<{recipient}>")).startswith("250")
    half = len(message) // 2
    first = await client.say(b"BDAT %d\r\n" % half + message[:half])
    if not first.startswith("250"):
        return first
    return await client.say(b"BDAT %d LAST\r\n" % (len(message) - half) + message[half:])


async def submit(it: House, tls: Certificates, message: bytes, *recipients: str) -> str:
    async with door(tls, acceptor=it.submissions) as entrance, entrance.client() as client:
        await client.login()
        return await by_bdat(client, message, *recipients)


@pytest.mark.parametrize("message", [MIXED, SINGLE, LYING])
def test_copies_here_are_text_that_says_the_same(tmp_path: Path, tls: Certificates, message: bytes) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            assert (await submit(it, tls, message, "bob@example.org")).startswith("250 2.0.0 Accepted")
            [got], [sent] = await it.mail(it.bob), await it.mail(it.ann, "Sent")
            expected = [b"hello", RAW] if message is MIXED else [RAW]
            for octets in (got.octets, sent.octets):
                assert decoded(octets) == expected
                assert octets.isascii()
                assert b"\0" not in octets
                assert octets.count(b"\n") == octets.count(b"\r") == octets.count(b"\r\n")
                assert b"encoding: binary" not in octets.lower()
            assert b"Bcc" in sent.octets
            assert b"Bcc" not in got.octets
            assert got.octets.startswith(b"Return-Path: <ann@example.org>\r\nReceived: ")
            await it.submissions.drain()
            assert await it.db.read(lambda rx: rx.scalar(Stmt("SELECT count(*) FROM staging"))) == 0

    run(main())


@pytest.mark.parametrize("message", [MIXED, SINGLE, LYING])
@pytest.mark.parametrize("extensions", [FULL, ("8BITMIME",), ("8BITMIME", "CHUNKING"), ()])
def test_what_goes_out(tmp_path: Path, tls: Certificates, message: bytes, extensions: tuple[str, ...]) -> None:
    """Octet for octet where the next server takes binary; else in base64; never two messages, never other octets."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer(extensions)) as next_hop:
            it.use_relay(next_hop.port)
            assert (await submit(it, tls, message, "eve@elsewhere.net")).startswith("250")
            async with it.runner():
                await it.until(lambda: _ended(it))
            assert await it.states() == ["sent"]
            [got] = next_hop.got
            assert ("BODY=BINARYMIME" in got.mail) is (extensions == FULL)
            assert got.by == ("BDAT" if extensions == FULL else "DATA")
            if extensions == FULL:
                assert got.octets.endswith(message.split(b"\r\n\r\n", 1)[1])
            assert decoded(got.octets) == ([b"hello", RAW] if message is MIXED else [RAW])
            assert b"Bcc" not in got.octets

    run(main())


async def _ended(it: House) -> bool:
    return all(state not in ("queued", "sending") for state in await it.states())


def test_what_is_signed_is_never_touched(tmp_path: Path, tls: Certificates) -> None:
    """Where it cannot go as it is, it comes back; here it is kept octet for octet."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer(("8BITMIME",))) as next_hop:
            it.use_relay(next_hop.port)
            assert (await submit(it, tls, SIGNED, "bob@example.org", "eve@elsewhere.net")).startswith("250")
            async with it.runner():
                await it.until(lambda: _ended(it))
            assert next_hop.got == []
            [got] = await it.mail(it.bob)
            assert got.octets.endswith(SIGNED.split(b"\r\n\r\n", 1)[1])
            [bounce] = await it.mail(it.ann)
            assert b"5.6.3" in bounce.octets

    run(main())


def test_text_only_and_headers_that_are_none(tmp_path: Path, tls: Certificates) -> None:
    """A message that says it is binary and is not stays as it is; a header is text, whatever BODY says."""

    async def main() -> None:
        async with house(tmp_path) as it:
            text = HEADER + b"\r\nhello\r\n.\r\n"
            assert (await submit(it, tls, text, "bob@example.org")).startswith("250")
            [got] = await it.mail(it.bob)
            assert got.octets.endswith(b"\r\n\r\nhello\r\n.\r\n")
            for broken in (
                HEADER.replace(b"Bcc:", b"X: a\n\nBcc:") + b"\r\n" + RAW,
                HEADER.replace(b"Bcc:", b"X: \0\r\nBcc:") + b"\r\n" + RAW,
                HEADER.replace(b"Bcc:", b"X: a\rBcc:") + b"\r\n" + RAW,
                RAW,
            ):
                reply = await submit(it, tls, broken + b" " * 70_000, "bob@example.org")
                assert reply.startswith("550 5.6.0")

    run(main())


def test_data_is_no_way_for_it(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            assert (await client.say(f"MAIL FROM:<{USER}> BODY=BINARYMIME")).startswith("250")
            assert (await client.say("RCPT TO:<bob@example.org>")).startswith("250")
            assert await client.say("DATA") == "503 5.5.1 A binary message needs BDAT"
            for line in ("DATA", f"MAIL FROM:<{USER}>", "RCPT TO:<bob@example.org>"):
                assert await client.say(line) == "503 5.5.1 Send RSET first"
            assert (await client.say("RSET")).startswith("250")
            assert (await by_bdat(client, SINGLE, "bob@example.org")).startswith("250")
            [(envelope, octets)] = it.acceptor.accepted
            assert (envelope.body_binary, envelope.body_8bit, octets) == (True, True, SINGLE)

    run(main())
