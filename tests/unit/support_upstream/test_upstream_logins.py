"""Logins of the scripted upstream, TLS and STARTTLS, and what goes wrong before login."""

from __future__ import annotations

import asyncio
import base64
import imaplib
import ssl
from pathlib import Path

import pytest
from imapclient import IMAPClient  # type: ignore[import-untyped]
from imapclient.exceptions import LoginError  # type: ignore[import-untyped]

from tests.support.authority import Authority
from tests.support.upstream import DOVECOT, FASTMAIL, GMAIL, M365, Drop, FakeUpstream, Inject, Refuse, Stall, refusals
from tests.unit.support_upstream.raw import connected

BEARER = base64.b64encode(b"user=user@upstream.test\1auth=Bearer token\1\1").decode()


def imapclient(server: FakeUpstream, context: ssl.SSLContext | None = None) -> IMAPClient:
    return IMAPClient("localhost", server.port, ssl=context is not None, ssl_context=context, timeout=30)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("right", [True, False])
def test_mechanisms_by_imapclient(mechanism: str, right: bool) -> None:
    user, secret = "user@upstream.test", "token" if "OA" in mechanism else "secret"
    if not right:
        secret = "wrong"

    def dialogue(server: FakeUpstream) -> None:
        client = imapclient(server)
        try:
            match mechanism:
                case "PLAIN":
                    client.plain_login(user, secret)
                case "LOGIN":
                    client.login(user, secret)
                case "XOAUTH2":
                    client.oauth2_login(user, secret)
                case _:
                    client.oauthbearer_login(user, secret)
        finally:
            client.shutdown()

    async def run() -> None:
        async with FakeUpstream(DOVECOT) as server:
            if right:
                await asyncio.to_thread(dialogue, server)
            else:
                with pytest.raises((LoginError, imaplib.IMAP4.error), match=r"Authentication failed"):
                    await asyncio.to_thread(dialogue, server)
            # IMAPClient answers each challenge with its token again, which Google takes; it is noted.
            assert bool(server.violations) == (not right and "OA" in mechanism)

    asyncio.run(run())


def test_an_oauth_error_is_a_challenge_with_json_that_wants_an_answer() -> None:
    async def run() -> None:
        async with FakeUpstream(GMAIL) as server, connected(server) as client:
            await client.line()
            wrong = base64.b64encode(b"user=user@upstream.test\1auth=Bearer old\1\1").decode()
            client.send(f"a AUTHENTICATE XOAUTH2 {wrong}\r\n".encode())
            challenge = await client.line()
            assert b'"status":"400"' in base64.b64decode(challenge[2:])
            client.send(b"\r\n")
            assert (await client.line()).startswith(b"a NO [AUTHENTICATIONFAILED]")
            assert (await client.ask(f"b AUTHENTICATE XOAUTH2 {BEARER}"))[-1].startswith("b OK")
            assert not server.violations

    asyncio.run(run())


def test_microsoft_says_only_no_and_has_no_login() -> None:
    async def run() -> None:
        async with FakeUpstream(M365) as server, connected(server) as client:
            await client.line()
            assert (await client.ask("a LOGIN user@upstream.test secret"))[-1].startswith("a NO [PRIVACYREQUIRED]")
            wrong = base64.b64encode(b"user=user@upstream.test\1auth=Bearer old\1\1").decode()
            assert await client.ask(f"b AUTHENTICATE XOAUTH2 {wrong}") == ["b NO AUTHENTICATE failed."]
            server.arm(refusals.not_connected())
            assert (await client.ask(f"c AUTHENTICATE XOAUTH2 {BEARER}"))[-1].startswith("c OK")
            assert await client.ask("d SELECT INBOX") == [f"d {refusals.NOT_CONNECTED}"]

    asyncio.run(run())


@pytest.mark.parametrize("answer", [answer for answers in refusals.IMAP.values() for answer in answers])
def test_each_refusal_in_its_words(answer: str) -> None:
    async def run() -> None:
        async with FakeUpstream(FASTMAIL, faults=[Refuse("AUTH", answer)]) as server, connected(server) as client:
            assert await client.login() == [f"l {answer}"]
            server.refuse_login = answer
            assert await client.ask("m LOGIN user@upstream.test secret") == [f"m {answer}"]
            server.refuse_login = ""
            assert (await client.ask("n LOGIN user@upstream.test secret"))[-1].startswith("n OK")

    asyncio.run(run())


def test_accepted_then_dropped_and_too_many_connections() -> None:
    async def run() -> None:
        async with FakeUpstream(DOVECOT, faults=[Drop("AUTH", when="told")]) as server:
            async with connected(server) as client:
                assert (await client.login())[-1].startswith("l OK")
                assert await client.line() == b""
            await server.until(lambda: not server.sessions)
            server.max_connections = 1
            async with connected(server) as one, connected(server) as other:
                assert (await one.login())[-1].startswith("l OK")
                assert (await other.login())[-1].startswith("l NO [ALERT] Too many")

    asyncio.run(run())


def test_tls_and_starttls_by_imapclient(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context, trusting = authority.leaf().server(), ssl.create_default_context(cafile=str(authority.file))

    def tls(server: FakeUpstream) -> None:
        client = imapclient(server, trusting)
        client.login("user@upstream.test", "secret")
        client.logout()

    def starttls(server: FakeUpstream) -> None:
        client = imapclient(server)
        assert client.has_capability("STARTTLS")
        client.starttls(trusting)
        client.login("user@upstream.test", "secret")
        assert not client.has_capability("STARTTLS")
        client.logout()

    async def run() -> None:
        async with FakeUpstream(context=context) as server:
            await asyncio.to_thread(tls, server)
        async with FakeUpstream(context=context, starttls=True) as server:
            await asyncio.to_thread(starttls, server)
            assert not server.violations

    asyncio.run(run())


@pytest.mark.parametrize(
    ("names", "days", "unknown", "reason"),
    [(["other.test"], 30, False, "mismatch"), ([], -1, False, "expired"), ([], 30, True, "unable to get local issuer")],
)
def test_certificates_that_nobody_should_take(
    tmp_path: Path, names: list[str], days: int, unknown: bool, reason: str
) -> None:
    authority = Authority(tmp_path)
    trusted = Authority(tmp_path, "another") if unknown else authority
    trusting = ssl.create_default_context(cafile=str(trusted.file))

    async def run() -> None:
        async with FakeUpstream(context=authority.leaf(*names, days=days).server()) as server:
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                async with connected(server, trusting):
                    raise AssertionError("it was taken")
            assert not server.log

    asyncio.run(run())


def test_plaintext_where_tls_is_expected_and_a_handshake_that_stalls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.file))

    async def run() -> None:
        async with FakeUpstream() as server:
            with pytest.raises(ssl.SSLError):
                async with connected(server, trusting):
                    raise AssertionError("it was taken")
        stall = Stall("TLS")
        async with FakeUpstream(context=authority.leaf().server(), faults=[stall]) as server:
            waiting = asyncio.ensure_future(asyncio.open_connection("localhost", server.port, ssl=trusting))
            await stall.reached.wait()
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])

    asyncio.run(run())


def test_octets_injected_before_tls(tmp_path: Path) -> None:
    context = Authority(tmp_path).leaf().server()

    async def run() -> None:
        faults = [Inject("STARTTLS", octets=b"* CAPABILITY EVIL\r\n")]
        async with FakeUpstream(context=context, starttls=True, faults=faults) as server, connected(server) as client:
            await client.line()
            client.send(b"a STARTTLS\r\n")
            assert await client.line() == b"a OK Begin TLS negotiation now\r\n"
            assert await client.line() == b"* CAPABILITY EVIL\r\n"

    asyncio.run(run())
