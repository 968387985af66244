"""The submission session over real sockets and TLS: what clients send, what hostile ones send, what a drop leaves."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import smtplib
import socket
import struct
from pathlib import Path

import pytest
import structlog

from gateway.model.errors import LimitReached, Throttled, Unavailable
from gateway.model.recipient import Notify, Recipient
from gateway.ops.metrics import PrometheusMetrics
from tests.faults.smtp_kit import SECRET, USER, Certificates, Door, certificates, door, principal, run

MESSAGE = b"From: ann@example.org\r\nSubject: x\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(Path(tmp_path_factory.mktemp("tls")))


class Gate:
    """Room for so many connections of anybody."""

    def __init__(self, room: int) -> None:
        self.room = room

    def open(self, peer: str, /) -> None:
        assert peer == "127.0.0.1"
        if not self.room:
            raise LimitReached("Too many")
        self.room -= 1

    def close(self, peer: str, /) -> None:
        self.room += 1


@pytest.fixture(params=["uvloop", "asyncio"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "uvloop")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_smtplib_over_implicit_tls(tls: Certificates, fast: bool) -> None:
    async def main() -> None:
        async with door(tls) as it:

            def send() -> None:
                with smtplib.SMTP_SSL("localhost", it.server.port, context=tls.client) as client:
                    client.login(USER, SECRET)
                    client.sendmail(USER, ["bob@example.org", "eve@elsewhere.net"], MESSAGE)
                    client.sendmail(USER, ["bob@example.org"], b"From: ann@example.org\r\n\r\n.dot\r\n..dots\r\n.\r\n")

            await asyncio.to_thread(send)
            assert [octets for _, octets in it.acceptor.accepted] == [
                MESSAGE,
                b"From: ann@example.org\r\n\r\n.dot\r\n..dots\r\n.\r\n",
            ]
            envelope = it.acceptor.accepted[0][0]
            assert envelope.recipients == (Recipient("bob@example.org"), Recipient("eve@elsewhere.net"))
            assert it.acceptor.aborted == 0
            await it.server.wait_empty()
            assert it.doorman.closed == 1

    run(main(), fast=fast)


def test_smtplib_over_starttls(tls: Certificates, fast: bool) -> None:
    async def main() -> None:
        async with door(tls, implicit_tls=False) as it:

            def send() -> None:
                with smtplib.SMTP("localhost", it.server.port) as client:
                    client.ehlo()
                    assert "auth" not in client.esmtp_features
                    client.starttls(context=tls.client)
                    client.ehlo()
                    assert "starttls" not in client.esmtp_features
                    client.login(USER, SECRET)
                    client.sendmail(USER, "bob@example.org", MESSAGE)

            await asyncio.to_thread(send)
            assert [octets for _, octets in it.acceptor.accepted] == [MESSAGE]

    run(main(), fast=fast)


def test_extensions_exactly(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            assert await client.say("EHLO vm") == "\n".join(
                [
                    "250-mail.example.org",
                    "250-PIPELINING",
                    "250-SIZE 10485760",
                    "250-8BITMIME",
                    "250-SMTPUTF8",
                    "250-ENHANCEDSTATUSCODES",
                    "250-DSN",
                    "250-CHUNKING",
                    "250-BINARYMIME",
                    "250-LIMITS RCPTMAX=50",
                    "250-FUTURERELEASE 2592000 2001-10-09T01:46:40Z",
                    "250-AUTH SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN",
                    "250 AUTH=PLAIN LOGIN",
                ]
            )
        async with door(tls, implicit_tls=False) as it, it.client(tls=False) as client:
            lines = (await client.say("EHLO vm")).split("\n")
            assert lines[-1] == "250 STARTTLS"
            assert not any("AUTH" in line for line in lines)

    run(main())


def test_wishes_for_notices(tls: Certificates) -> None:
    """RFC 3461 10.1, with our addresses; and what it forbids, after each of which the transaction goes on."""

    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            for bad in ("RET=ALL", "RET=FULL RET=HDRS", "ENVID=a=b", "ENVID=" + "x" * 101):
                assert (await client.say(f"MAIL FROM:<{USER}> {bad}")).startswith("501 5.5.4"), bad
            assert (await client.say(f"MAIL FROM:<{USER}> RET=HDRS ENVID=QQ+20314159")).startswith("250 2.1.0")
            for bad in ("NOTIFY=NEVER,DELAY", "NOTIFY=A", "ORCPT=rfc822;a=b"):
                assert (await client.say(f"RCPT TO:<Bob@Example.COM> {bad}")).startswith("501 5.5.4"), bad
            assert (await client.say("RCPT TO:<Bob@Example.COM> ORCPT=utf-8;Zo\xeb")).startswith("553 5.6.7")
            for name, options in (
                ("Bob@Example.COM", "NOTIFY=SUCCESS ORCPT=rfc822;Bob@Example.COM"),
                ("Dana@Ivory.EDU", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Dana@Ivory.EDU"),
                ("Fred@Bombs.AF.MIL", "NOTIFY=NEVER"),
                ("Gina@Example.COM", ""),
            ):
                assert (await client.say(f"RCPT TO:<{name}> {options}")).startswith("250 2.1.5")
            assert (await client.say("DATA")).startswith("354")
            assert (await client.say(MESSAGE + b".\r\n")).startswith("250 2.0.0")
            [(envelope, _)] = it.acceptor.accepted
            assert (envelope.ret, envelope.envelope_id) == ("HDRS", "QQ 314159")
            assert envelope.recipients == (
                Recipient("Bob@Example.COM", Notify.SUCCESS, "rfc822;Bob@Example.COM"),
                Recipient("Dana@Ivory.EDU", Notify.SUCCESS | Notify.FAILURE, "rfc822;Dana@Ivory.EDU"),
                Recipient("Fred@Bombs.AF.MIL", Notify.NEVER),
                Recipient("Gina@Example.COM"),
            )

    run(main())


def test_before_starttls(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls, implicit_tls=False) as it, it.client(tls=False) as client:
            await client.say("EHLO vm")
            assert await client.say("AUTH PLAIN") == "538 5.7.11 Must issue a STARTTLS command first"
            answer = await client.say(b64(f"\0{USER}\0{SECRET}"))  # what a client sends next
            assert answer == "500 5.5.2 Command not recognized"
            assert (await client.say("MAIL FROM:<a@b>")).startswith("530 5.7.0")

    run(main())


def test_trusted_listener_behind_a_proxy(tls: Certificates) -> None:
    """Where the operator says so, and only there, a login needs no TLS; strangers' addresses are turned away."""

    async def main() -> None:
        place = {"tls": None, "trusted": True}
        async with door(tls, implicit_tls=False, listener=place) as it, it.client(tls=False) as client:
            lines = (await client.say("EHLO vm")).split("\n")
            assert lines[-1] == "250 AUTH=PLAIN LOGIN"
            assert "250-STARTTLS" not in lines
            await client.login()
        async with door(tls, implicit_tls=False, listener={"trusted": True}) as it, it.client(tls=False) as client:
            await client.login()
            assert (await client.say("STARTTLS")).startswith("503 5.5.1")
        async with door(tls, implicit_tls=False, listener={"tls": None}) as it, it.client(tls=False) as client:
            assert "AUTH" not in await client.say("EHLO vm")
            assert (await client.say("AUTH PLAIN")).startswith("538 5.7.11")
            assert (await client.say("STARTTLS")).startswith("502 5.5.1")
        async with door(tls, listener={"allowed": lambda peer: peer != "127.0.0.1"}) as it, it.client() as client:
            assert await client.reply() == ""

    run(main())


def test_who_resets_the_connection_is_nobody(tls: Certificates, fast: bool) -> None:
    """A reset leaves what was sent before it to be read, and uvloop cannot say any more whose it was."""

    async def main() -> None:
        door_ = {"tls": None, "trusted": True, "allowed": lambda peer: peer != "127.0.0.1"}
        gate = Gate(1)
        async with door(tls, implicit_tls=False, listener=door_, gate=gate) as it:
            token = b64(f"{chr(0)}{USER}{chr(0)}{SECRET}")
            said = [
                "EHLO vm", f"AUTH PLAIN {token}", f"MAIL FROM:<{USER}>", "RCPT TO:<bob@example.org>", "DATA",
                f"From: {USER}", "", "hello", ".", "",
            ]
            with socket.create_connection(("127.0.0.1", it.server.port)) as sock:
                sock.sendall("\r\n".join(said).encode())
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
            async with it.client(tls=False) as later:  # accepted after it, and refused
                assert await later.reply() == ""
            await it.server.wait_empty()
            assert it.acceptor.accepted == []
            assert it.doorman.ends == [], "nobody was logged in"
            assert gate.room == 1

    run(main(), fast=fast)


def test_nothing_before_the_handshake_survives_it(tls: Certificates, fast: bool) -> None:
    """Commands pipelined in one packet behind STARTTLS: an attacker's, put before the victim's own."""

    async def main() -> None:
        async with door(tls, implicit_tls=False) as it, it.client(tls=False) as client:
            await client.say("EHLO vm")
            injected = b"STARTTLS\r\nEHLO evil\r\nNOOP\r\nRSET\r\n"
            assert (await client.say(injected)).startswith("220 2.0.0")
            await client.starttls(tls.client)
            # If an injected command had run, its answer would come before this one's.
            assert (await client.say("MAIL FROM:<ann@example.org>")).startswith("530 5.7.0")
            assert (await client.say(f"AUTH PLAIN {b64(f'{chr(0)}{USER}{chr(0)}{SECRET}')}")).startswith("503 5.5.1")
            assert (await client.say("EHLO vm")).startswith("250-mail.example.org")
            assert (await client.say("STARTTLS")).startswith("503 5.5.1")

    run(main(), fast=fast)


@pytest.mark.parametrize(
    "dialogue",
    [
        [(f"AUTH PLAIN {b64(f'{chr(0)}{USER}{chr(0)}{SECRET}')}", "235")],
        [(f"auth plain {b64(f'{USER}{chr(0)}{USER}{chr(0)}{SECRET}')}", "235")],
        [("AUTH PLAIN", "334 "), (b64(f"\0{USER}\0{SECRET}"), "235")],
        [("AUTH LOGIN", "334 VXNlcm5hbWU6"), (b64(USER), "334 UGFzc3dvcmQ6"), (b64(SECRET), "235")],
        [(f"Auth Login {b64(USER)}", "334 UGFzc3dvcmQ6"), (b64(SECRET), "235")],
        [("AUTH LOGIN =", "334 VXNlcm5hbWU6"), (b64(USER), "334 UGFzc3dvcmQ6"), (b64(SECRET), "235")],
        [("AUTH PLAIN =", "501 5.5.2")],
        [(f"AUTH PLAIN {b64(f'boss@example.org{chr(0)}{USER}{chr(0)}{SECRET}')}", "535 5.7.8")],
        [(f"AUTH PLAIN {b64(f'{chr(0)}{USER}{chr(0)}wrong')}", "535 5.7.8")],
        [("AUTH PLAIN", "334 "), ("*", "501 5.7.0")],
        [("AUTH PLAIN", "334 "), ("no base64!", "501 5.5.2")],
        [("AUTH CRAM-MD5", "504 5.5.4")],
        [("AUTH", "501 5.5.4")],
    ],
)
def test_login_forms(tls: Certificates, dialogue: list[tuple[str, str]]) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.say("EHLO vm")
            for line, expected in dialogue:
                assert (await client.say(line)).startswith(expected)

    run(main())


def test_login_replies_for_our_own_trouble(tls: Certificates) -> None:
    """Never 535 for an outage: clients forget the password then."""

    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.say("EHLO vm")
            for error in (Unavailable("x"), Throttled("x")):
                it.doorman.error = error
                answer = await client.say(f"AUTH PLAIN {b64(f'{chr(0)}{USER}{chr(0)}{SECRET}')}")
                assert answer.startswith("454 4.7.0")

    run(main())


def test_failed_logins_are_limited(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.say("EHLO vm")
            wrong = f"AUTH PLAIN {b64(f'{chr(0)}{USER}{chr(0)}wrong')}"
            for _ in range(5):
                assert (await client.say(wrong)).startswith("535")
            assert await client.reply() == "421 4.7.0 Too many failed logins"
            assert await client.reply() == ""

    run(main())


def test_pipelined_transaction_in_one_packet(tls: Certificates) -> None:
    """RFC 2920: MAIL, RCPT, RCPT, DATA at once; answers in order; the next command behind the dot is not lost."""

    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            first = await client.say(
                b"MAIL FROM:<ann@example.org> BODY=8BITMIME SIZE=50\r\nRCPT TO:<bob@example.org>\r\n"
                b"RCPT TO:<nobody@example.org>\r\nDATA\r\n"
            )
            replies = [first] + [await client.reply() for _ in range(3)]
            assert [reply[:9] for reply in replies] == ["250 2.1.0", "250 2.1.5", "550 5.1.1", "354 End d"]
            assert (await client.say(MESSAGE + b".\r\nMAIL FROM:<>\r\nRSET\r\nNOOP\r\n")).startswith("250 2.0.0")
            assert [await client.reply() for _ in range(3)] == [
                "250 2.1.0 Sender OK", "250 2.0.0 OK", "250 2.0.0 OK"
            ]
            assert it.acceptor.accepted[0][1] == MESSAGE
            assert it.acceptor.accepted[0][0].body_8bit

    run(main())


@pytest.mark.parametrize(
    "evil",
    [
        b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\r\n.\r\r\n", b"\r\n.\r", b"a\0b", b"\0\r\n.\r\n\0"[:1],
        b"\r\n\0.\r\n", b"bare\rreturn", b"bare\nfeed",
    ],
)  # fmt: skip
def test_smuggling_is_refused(tls: Certificates, evil: bytes) -> None:
    """None of these ends the message, and none gets in: the smuggled commands are never run."""

    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            await client.envelope()
            smuggled = b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<eve@elsewhere.net>\r\nDATA\r\nSubject: pay\r\n\r\nnow"
            answer = await client.say(MESSAGE + evil + smuggled + b"\r\n.\r\n")
            assert answer.startswith("550 5.6.0")
            assert await client.say("NOOP") == "250 2.0.0 OK"
            assert it.acceptor.accepted == []
            assert it.acceptor.aborted == 1

    run(main())


def test_transaction_rules(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls, max_errors=100) as it, it.client() as client:
            assert (await client.say("MAIL FROM:<ann@example.org>")).startswith("530 5.7.0")
            await client.login()
            assert (await client.say("RCPT TO:<bob@example.org>")).startswith("503 5.5.1")
            assert (await client.say("DATA")).startswith("503 5.5.1")
            assert (await client.say("MAIL FROM:<eve@example.org>")).startswith("553 5.7.1 Sender not authorized")
            assert (await client.say("MAIL FROM:<ann@example.org> SIZE=10485761")).startswith("552 5.3.4")
            assert (await client.say("MAIL FROM:<ann@example.org> FOO=bar")).startswith("555 5.5.4")
            assert (await client.say("MAIL FROM: <ann@example.org> AUTH=<>")).startswith("250")
            assert (await client.say("MAIL FROM:<ann@example.org>")).startswith("503 5.5.1")
            assert (await client.say("RCPT TO:<nobody@example.org>")).startswith("550 5.1.1")
            assert (await client.say("DATA")).startswith("554 5.5.1")
            for number in range(50):
                assert (await client.say(f"RCPT TO:<u{number}@example.org>")).startswith("250")
            assert (await client.say("RCPT TO:<u50@example.org>")).startswith("452 4.5.3")
            assert (await client.say("RCPT TO:<u1@example.org>")).startswith("250"), "a repeated one needs no room"
            assert (await client.say("DATA")).startswith("354")
            assert (await client.say(b".\r\n")).startswith("250")
            assert len(it.acceptor.accepted[0][0].recipients) == 50
            assert it.acceptor.accepted[0][1] == b""
            assert (await client.say("VRFY ann")).startswith("252")

    run(main())


def test_key_without_send(tls: Certificates) -> None:
    async def main() -> None:
        who = principal(permissions=frozenset({"message_read"}))
        async with door(tls, who=who) as it, it.client() as client:
            await client.login()
            assert (await client.say(f"MAIL FROM:<{USER}>")).startswith("550 5.7.1")

    run(main())


def test_mail_for_later(tls: Certificates) -> None:
    """RFC 4865 4.2: what cannot be waited for is refused at MAIL, by 501 5.5.4; the rest is told to acceptance."""

    async def main() -> None:
        async with door(tls, future_release_s=3_600) as it, it.client() as client:
            await client.login()
            for asked in ("HOLDFOR=3602", "HOLDUNTIL=2001-09-09T01:46:40Z", "HOLDUNTIL=2001-09-09T02:46:42Z"):
                assert (await client.say(f"MAIL FROM:<{USER}> {asked}")).startswith("501 5.5.4")
            assert (await client.say(f"MAIL FROM:<{USER}> HOLDFOR=3600")).startswith("250")
            await client.say("RCPT TO:<bob@example.org>")
            await client.say("DATA")
            assert (await client.say(b"From: ann@example.org\r\n\r\n.\r\n")).startswith("250")
            await client.envelope()
            await client.say(b".\r\n")
            assert [envelope.release_at for envelope, _ in it.acceptor.accepted] == [1_000_003_600, None]
        async with door(tls, future_release_s=0) as it, it.client() as client:
            assert "FUTURERELEASE" not in await client.say("EHLO vm")
            await client.login()
            assert (await client.say(f"MAIL FROM:<{USER}> HOLDFOR=1")).startswith("555 5.5.4")

    run(main())


def test_a_key_that_may_propose_is_told_the_name_to_release_by(tls: Certificates) -> None:
    async def main() -> None:
        who = principal(permissions=frozenset({"draft_create"}))
        async with door(tls, who=who) as it, it.client() as client:
            await client.login()
            it.acceptor.held_as = "5a1b"
            await client.envelope()
            assert await client.say(b".\r\n") == "250 2.0.0 held for approval as 5a1b"

    run(main())


def test_expired_key_ends_the_session(tls: Certificates) -> None:
    async def main() -> None:
        who = principal(expires_at=10)
        async with door(tls, who=who, clock=11.0) as it, it.client() as client:
            await client.login()
            assert await client.say(f"MAIL FROM:<{USER}>") == "421 4.7.0 The key has expired"
            assert await client.reply() == ""

    run(main())


@pytest.mark.parametrize("where", ["idle", "data", "commit"])
def test_revocation_ends_the_session(tls: Certificates, where: str) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            if where != "idle":
                await client.envelope()
            if where == "commit":
                it.acceptor.may_finish.clear()
                client.writer.write(MESSAGE + b".\r\n")
                await it.acceptor.finishing.wait()
            it.doorman.ends[0]("The key was revoked")
            it.acceptor.may_finish.set()
            if where == "commit":  # what has begun is kept and said to be
                assert (await client.reply()).startswith("250 2.0.0")
            assert await client.reply() == "421 4.7.0 The key was revoked"
            assert await client.reply() == ""
            assert len(it.acceptor.accepted) == (1 if where == "commit" else 0)

    run(main())


@pytest.mark.parametrize(
    "limits", [{"login_s": 0.05}, {"login_s": 30.0, "session_s": 0.05}, {"login_s": 5.0, "idle_s": 0.05}]
)
def test_time_limits(tls: Certificates, limits: dict[str, float]) -> None:
    async def main() -> None:
        async with door(tls, **limits) as it, it.client() as client:
            if "idle_s" in limits:
                await client.login()
            assert (await client.reply()).startswith("421 4.4.2")
            assert await client.reply() == ""

    run(main())


def test_slow_data(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls, slow_window_s=0.1, slow_octets=50) as it, it.client() as client:
            await client.login()
            await client.envelope()
            client.writer.write(b"x" * 60)  # enough for one window, nothing in the next
            assert (await client.reply()).startswith("421 4.4.2")
            assert it.acceptor.aborted == 1

    run(main())


def test_errors_are_limited_and_foreign_protocols_leave(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it:
            async with it.client() as client:
                for _ in range(9):
                    assert (await client.say("WHAT")).startswith("500 5.5.2")
                assert (await client.say("WHAT")).startswith("500 5.5.2")
                assert await client.reply() == "421 4.7.0 Too many errors"
            for method in ("GET / HTTP/1.1", "PATCH /x HTTP/1.1", "DELETE /x HTTP/1.1", "PRI * HTTP/2.0"):
                async with it.client() as client:  # whoever makes a program ask us can put commands into a body
                    assert (await client.say(f"{method}\r\n\r\nEHLO vm")).startswith("421 4.7.0")
                    assert await client.reply() == ""
            async with it.client() as client:
                await client.say("EHLO vm")
                client.writer.write(b"NOOP\r\n" * 200)
                replies = [await client.reply() for _ in range(120)]
                assert "421 4.7.0 Too many errors" in replies

    run(main())


def test_line_limits(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls, max_errors=100) as it:
            async with it.client() as client:
                assert (await client.say("EHLO " + "x" * 1100)).startswith("500 5.5.2")
                assert (await client.say("EHLO " + "x" * 90_000)).startswith("500 5.5.2")
                assert (await client.say("EHLO vm")).startswith("250-")
            async with it.client() as client:
                client.writer.write(b"NOOP " + b"x" * 200_000)
                assert (await client.reply()).startswith("500 5.5.2 Line too long")
                assert (await client.reply()).startswith("421 4.7.0 Too much data before login")

    run(main())


def test_a_line_without_end_is_refused_at_its_limit(tls: Certificates, fast: bool) -> None:
    """Not when its sender ends it, nor when the time to log in is over."""

    async def main() -> None:
        async with door(tls, max_errors=100) as it, it.client() as client:
            assert (await client.say(b"NOOP " + b"x" * 1100)).startswith("500 5.5.2")
            client.writer.write(b"x" * 5000)  # still the same line: one refusal
            assert (await client.say(b"\r\nEHLO vm\r\n")).startswith("250-")
            assert (await client.say(b"AUTH PLAIN " + b"A" * 12_400)).startswith("500 5.5.2")
            assert (await client.say(b"\r\nNOOP\r\n")).startswith("250 2.0.0")
            await client.login()
            assert (await client.say(b"NOOP " + b"x" * 4100)).startswith("500 5.5.2")
            client.writer.write(b"x" * 2_000_000)
            assert (await client.reply()).startswith("421 4.7.0 Line too long")
            assert await client.reply() == ""

    run(main(), fast=fast)


def test_too_big_is_read_to_its_end(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls, max_message_size=1000) as it:
            async with it.client() as client:
                await client.login()
                await client.envelope()
                assert (await client.say(b"x" * 1500 + b"\r\n.\r\n")).startswith("552 5.3.4")
                assert (await client.say("NOOP")).startswith("250")
            async with it.client() as client:
                await client.login()
                await client.envelope()
                assert (await client.say(b"x" * 3000)).startswith("552 5.3.4")  # and no end in sight
                assert await client.reply() == ""
            assert it.acceptor.accepted == []

    run(main())


def test_a_sender_is_asked_about_again_after_a_refusal(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            for error in (None, None, Unavailable("disk full"), None):
                await client.envelope()
                it.acceptor.write_error = error
                answer = await client.say(MESSAGE + b".\r\n")
                assert answer.startswith("451" if error else "250")
            assert it.acceptor.senders == [USER, USER]
            assert (await client.say("MAIL FROM:<bob@example.org>")).startswith("5")
            assert it.acceptor.senders[2:] == ["bob@example.org"]

    run(main())


def test_errors_while_writing_and_finishing(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.login()
            await client.envelope()
            it.acceptor.write_error = Unavailable("disk full")
            assert (await client.say(MESSAGE + b".\r\n")).startswith("451 4.3.0")
            it.acceptor.write_error = None
            await client.envelope()
            it.acceptor.finish_error = ValueError("canary-of-a-secret")
            answer = await client.say(MESSAGE + b".\r\n")
            assert answer.startswith("421 4.3.0 Internal error, reported as ")
            assert "canary" not in answer
            assert it.acceptor.accepted == []
            assert it.acceptor.aborted == 2

    run(main())


@pytest.mark.parametrize("half", [MESSAGE, MESSAGE + b".", MESSAGE + b".\r", b""])
def test_drop_in_the_middle_of_data(tls: Certificates, half: bytes, fast: bool) -> None:
    """Without the whole final dot nothing is accepted."""

    async def main() -> None:
        async with door(tls) as it:
            async with it.client() as client:
                await client.login()
                await client.envelope()
                client.writer.write(half)
                await client.writer.drain()
                client.writer.close()
            await it.server.wait_empty()
            assert it.acceptor.accepted == []
            assert it.acceptor.aborted == 1
            assert it.doorman.closed == 1

    run(main(), fast=fast)


def test_random_octets_never_harm(tls: Certificates) -> None:
    """Whatever is sent, before and after login: an answer or an end, no defect, and the next client is served."""

    async def main() -> None:
        chance = random.Random(7)
        words = [
            b"EHLO x", b"MAIL FROM:<ann@example.org>", b"RCPT TO:<b@c>", b"DATA", b"AUTH PLAIN", b"=", b"*", b"RSET",
            b"\r\n", b"\n", b".\r\n", b"\r\n.\r\n", b"\0", b"\xff\xfe", b"QUIT", b"STARTTLS", b" ", b"<>" * 50,
            b"BDAT 5\r\n", b"BDAT 0 LAST\r\n", b"BDAT 70000\r\n", b"BDAT x", b" BODY=BINARYMIME\r\n", b"AUTH XOAUTH2 ",
        ]  # fmt: skip
        async with door(tls) as it:
            for number in range(60):
                async with it.client() as client:
                    if number % 2:
                        await client.login()
                    noise = b"".join(chance.choice(words) for _ in range(chance.randrange(60)))
                    client.writer.write(noise + chance.randbytes(chance.randrange(400)))
                    await client.writer.drain()
                    client.writer.close()
            await it.server.wait_empty()
            async with it.client() as client:
                await client.login()
            assert it.doorman.who is not None

    with structlog.testing.capture_logs() as logs:
        run(main())
    assert not [entry for entry in logs if entry["log_level"] == "error"]


def test_no_secret_in_any_log(tls: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with door(tls) as it, it.client() as client:
            await client.say("EHLO vm")
            await client.say(f"AUTH PLAIN {b64(f'{chr(0)}{USER}{chr(0)}wrong-canary')}")
            await client.say("AUTH LOGIN")
            await client.say(b64(USER))
            await client.say(b64("other-canary"))
            await client.say(b64("canary-where-no-command-is"))
            await client.login()

    with structlog.testing.capture_logs() as logs:
        run(main())
    said = repr(logs) + caplog.text
    assert "smtp.login" in said
    for secret in ("wrong-canary", "other-canary", SECRET, "canary-where-no-command-is"):
        assert secret not in said
        assert b64(secret) not in said
        assert b64(f"\0{USER}\0{secret}") not in said


def test_slow_reader_is_cut(tls: Certificates) -> None:
    """A client that never reads its replies: the session's limits end it, and closing does not wait for it."""

    async def main() -> None:
        async with door(tls, implicit_tls=False, idle_s=0.2, max_errors=10**9, login_octets=10**9) as it:
            sock = socket.create_connection(("127.0.0.1", it.server.port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            loop = asyncio.get_running_loop()

            async def flood() -> None:
                try:
                    while True:
                        await loop.sock_sendall(sock, b"NOOP\r\n" * 1000)
                except ConnectionError:
                    return

            flooding = asyncio.create_task(flood())
            while not it.server.connections:  # noqa: ASYNC110 - accepting signals nobody
                await asyncio.sleep(0.001)
            await it.server.wait_empty()
            flooding.cancel()
            sock.close()

    run(main())


def test_close_ends_idle_sessions_and_lets_busy_ones_finish(tls: Certificates) -> None:
    async def main() -> None:
        async with door(tls) as it, it.client() as idle, it.client() as busy:
            await idle.login()
            await busy.login()
            await busy.envelope()
            it.acceptor.may_finish.clear()
            busy.writer.write(MESSAGE + b".\r\n")
            await it.acceptor.finishing.wait()
            closing = asyncio.create_task(it.server.close(grace_s=5))
            assert (await idle.reply()).startswith("421 4.3.2")
            it.acceptor.may_finish.set()
            assert (await busy.reply()).startswith("250 2.0.0")
            assert (await busy.reply()).startswith("421 4.3.2")
            await closing
            assert len(it.acceptor.accepted) == 1

    run(main())


def test_connections_of_one_address_are_limited_on_all_ports_together(tls: Certificates) -> None:
    async def main() -> None:
        gate, metrics = Gate(2), PrometheusMetrics(strict=True, process=False)
        async with (
            door(tls, gate=gate, metrics=metrics) as it,
            door(tls, gate=gate, metrics=metrics, listener={"allowed": lambda peer: True}) as other,
            door(tls, gate=gate, metrics=metrics, listener={"allowed": lambda peer: False}) as closed,
        ):
            async with it.client() as first, other.client() as second:
                assert "gateway_smtp_open_connections 2.0" in metrics.page().decode()
                for full in (it, other, closed):
                    async with full.client() as third:
                        assert await third.reply() == ""
                        assert gate.room == 0
                for client in (first, second):
                    assert (await client.say("NOOP")).startswith("250")
            for server in (it.server, other.server, closed.server):
                await server.wait_empty()
            assert gate.room == 2
            assert "gateway_smtp_open_connections 0.0" in metrics.page().decode()

    run(main())


def test_all_chunkings_of_a_large_message(tls: Certificates) -> None:
    async def main() -> None:
        body = b"".join(b"%06d .line\r\n.dot %d\r\n" % (n, n) for n in range(20_000))
        async with door(tls) as it:
            await _send_in_pieces(it, MESSAGE + body)
            assert it.acceptor.accepted[0][1] == MESSAGE + body

    run(main())


async def _send_in_pieces(it: Door, message: bytes) -> None:
    async with it.client() as client:
        await client.login()
        await client.envelope()
        wire = message.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        size = 1
        while wire:
            client.writer.write(wire[:size])
            await client.writer.drain()
            wire = wire[size:]
            size = min(size * 3 + 1, 60_000)
        assert (await client.reply()).startswith("250 2.0.0")
