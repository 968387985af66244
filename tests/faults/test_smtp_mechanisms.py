"""AUTH with each mechanism that IMAP has, over real TLS: the exchange is shared, its SMTP form is what is looked at."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from gateway.wire import sasl_client
from tests.faults.smtp_kit import SECRET, USER, Certificates, Client, certificates, door, run


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(Path(tmp_path_factory.mktemp("tls")))


def exchange(mechanism: str, secret: str = SECRET, user: str = USER) -> sasl_client.Exchange:
    if mechanism == "SCRAM-SHA-256":
        return sasl_client.scram_sha_256(user, secret, secrets.token_hex(12).encode())
    if mechanism == "PLAIN":
        return sasl_client.plain(user, secret)
    return (sasl_client.xoauth2 if mechanism == "XOAUTH2" else sasl_client.oauthbearer)(user, secret)


async def log_in(client: Client, mechanism: str, answers: sasl_client.Exchange, *, initial: bool) -> str:
    """The reply that ends the exchange."""
    first = b64encode(next(answers) or b"").decode()
    if initial:
        reply = await client.say(f"AUTH {mechanism} {first}")
    else:
        assert await client.say(f"AUTH {mechanism}") == "334 "
        reply = await client.say(first)
    while reply.startswith("334 "):
        reply = await client.say(b64encode(answers.send(b64decode(reply[4:])) or b"").decode())
    return reply


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("mechanism", ["PLAIN", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256"])
def test_logs_in(tls: Certificates, mechanism: str, initial: bool) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            offered = (await client.say("EHLO vm")).split("\n")
            assert mechanism in next(line for line in offered if line.startswith("250-AUTH ")).split()
            reply = await log_in(client, mechanism, exchange(mechanism), initial=initial)
            assert reply == "235 2.7.0 Authentication successful"
            assert (await client.say(f"MAIL FROM:<{USER}>")).startswith("250")

    run(main())


@pytest.mark.parametrize("mechanism", ["PLAIN", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256"])
@pytest.mark.parametrize(("user", "secret"), [(USER, "wrong"), ("nobody@example.org", SECRET)])
def test_wrong(tls: Certificates, mechanism: str, user: str, secret: str) -> None:
    """The bearer mechanisms say why in a challenge first (RFC 7628 3.2.2); all end with 535, and may be tried again."""

    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.say("EHLO vm")
            reply = await log_in(client, mechanism, exchange(mechanism, secret, user), initial=True)
            assert reply == "535 5.7.8 Authentication credentials invalid"
            reply = await log_in(client, mechanism, exchange(mechanism), initial=True)
            assert reply.startswith("235")

    run(main())


def test_the_binding_that_is_not_offered(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            assert "PLUS" not in await client.say("EHLO vm")
            assert (await client.say("AUTH SCRAM-SHA-256-PLUS")).startswith("504 5.5.4")
            assert (await client.say("AUTH \xff".encode("latin-1") + b"\r\n")).startswith("504 5.5.4")

    run(main())


def test_a_response_without_end(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.say("EHLO vm")
            assert await client.say("AUTH OAUTHBEARER") == "334 "
            assert (await client.say("A" * 13_000)).startswith("500 5.5.6")
            assert await client.say("AUTH SCRAM-SHA-256") == "334 "
            assert (await client.say(b64encode(b"not its grammar").decode())).startswith("501 5.5.2")
            assert (await client.say("NOOP")).startswith("250")

    run(main())
