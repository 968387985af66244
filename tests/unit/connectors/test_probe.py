"""Testing an account step by step: what went well with its times, what failed with its class and advice."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.connectors.plan.filters import FolderFilter
from gateway.connectors.probe import Probe
from gateway.connectors.probe_imap import probe_imap
from gateway.connectors.probe_smtp import probe_smtp
from gateway.outbound.endpoint import Endpoint, Timeouts
from gateway.outbound.failure import Failure
from gateway.outbound.login import Mechanism, RelayLogin
from gateway.outbound.tls import Security, TlsPolicy
from gateway.upstream.endpoint import ImapEndpoint, ImapTimeouts
from tests.faults.smtp_peer import DROP, Peer
from tests.support.authority import Authority
from tests.support.upstream import (
    DOVECOT,
    GMAIL,
    M365,
    NETEASE,
    Bye,
    FakeSubmission,
    FakeUpstream,
    Personality,
    Refuse,
    Stall,
)

SHORT = ImapTimeouts(connect=5, greeting=0.3, login=0.3, command=0.3, select=0.3, listing=0.3, silence=0.3)
"""For what stalls; all that answers does so in far less, or fails the test."""


def endpoint(server: FakeUpstream, *, policy: TlsPolicy | None = None, **changes: object) -> ImapEndpoint:
    token = "LOGINDISABLED" in server.personality.before
    secret = server.account.token if token else server.account.password
    login = RelayLogin(server.account.user, secret, token=token)
    made = ImapEndpoint(
        server.host, server.port, login, policy or TlsPolicy(Security.NONE), allow_private=True
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def probed(server: FakeUpstream, *, provider: str = "custom", **changes: object) -> Probe:
    return await probe_imap(endpoint(server, **changes), provider=provider, name="work")  # type: ignore[arg-type]


def names(probe: Probe) -> list[str]:
    return [step.name for step in probe.steps]


def test_a_test_that_goes_well_tells_what_it_saw() -> None:
    async def go() -> None:
        async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3, "Sent": 1}) as server:
            ticks = itertools.count()
            probe = await probe_imap(
                endpoint(server), provider="custom", name="work", clock=lambda: next(ticks) / 100
            )
            assert probe.success
            assert (probe.failure, probe.advice) == (None, "")
            assert names(probe) == [
                "dns", "connect", "tls", "greeting", "login", "capabilities", "list", "select", "push",
            ]  # fmt: skip
            assert [step.ms for step in probe.steps] == [10, 10, 0, 0, 10, 0, 10, 10, 0]
            told = {step.name: step.text for step in probe.steps}
            assert told["select"].startswith("INBOX: 3 messages, UIDVALIDITY ")
            assert "Sent is Sent" in told["list"]
            assert told["push"] == "IDLE"
            assert told["login"].endswith(" by PLAIN")
            assert told["tls"].startswith("none")
            assert any("CAPABILITY IMAP4rev1" in line for line in probe.logs)
            assert not any(server.account.password in line for line in probe.logs)
            assert not server.violations
            changing = {"SELECT", "STORE", "APPEND", "EXPUNGE", "CREATE"}
            assert not changing & {command.name for command in server.log}

    asyncio.run(go())


@pytest.mark.parametrize(
    ("kind", "wanted", "shown"),
    [
        (DOVECOT, (Mechanism.CRAM_MD5, Mechanism.LOGIN, Mechanism.PLAIN), "LOGIN"),
        (DOVECOT, (Mechanism.CRAM_MD5, Mechanism.PLAIN, Mechanism.LOGIN), "PLAIN"),
        (M365, (Mechanism.OAUTHBEARER, Mechanism.XOAUTH2), "XOAUTH2"),
    ],
)
def test_the_mechanism_that_was_chosen_is_told(
    kind: Personality, wanted: tuple[Mechanism, ...], shown: str
) -> None:
    async def go() -> None:
        async with FakeUpstream(kind) as server:
            login = replace(endpoint(server).login, mechanism=wanted[0], others=wanted[1:])
            probe = await probed(server, login=login)
            assert probe.success, probe.logs
            told = {step.name: step.text for step in probe.steps}
            assert told["login"] == f"as {server.account.user} by {shown}"
            none = replace(login, mechanism=Mechanism.CRAM_MD5, others=(Mechanism.OAUTHBEARER,))
            probe = await probed(server, login=none)
            assert (probe.failure, names(probe)[-1]) == (Failure.LOGIN_DISABLED, "login")
            assert "none of CRAM-MD5, OAUTHBEARER" in probe.message

    asyncio.run(go())


def test_tls_is_shown(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    policy = TlsPolicy(Security.TLS, ca_pem=authority.pem)

    async def go() -> None:
        async with FakeUpstream(DOVECOT, context=authority.leaf().server()) as server:
            probe = await probed(server, policy=policy)
            assert probe.success
            shown = next(step.text for step in probe.steps if step.name == "tls")
            assert "TLSv1.3" in shown
            assert "by CN=Test ca" in shown

    asyncio.run(go())


@pytest.mark.parametrize(
    ("make", "step", "failure"),
    [
        (lambda ca: (ca.leaf("other.example"), TlsPolicy(ca_pem=ca.pem)), "tls", Failure.TLS_VERIFY),
        (lambda ca: (ca.leaf(days=-1), TlsPolicy(ca_pem=ca.pem)), "tls", Failure.TLS_VERIFY),
        (lambda ca: (ca.leaf(), TlsPolicy()), "tls", Failure.TLS_VERIFY),
        (lambda ca: (ca.leaf(), TlsPolicy(ca_pem=ca.pem, pins=("0" * 64,))), "tls", Failure.TLS_VERIFY),
        (lambda ca: (None, TlsPolicy(ca_pem=ca.pem)), "tls", Failure.NOT_TLS),
        (lambda ca: (None, TlsPolicy(Security.STARTTLS, ca_pem=ca.pem)), "tls", Failure.NO_STARTTLS),
    ],
)
def test_each_way_that_tls_fails(
    make: Callable[[Authority], tuple[object, TlsPolicy]], step: str, failure: Failure, tmp_path: Path
) -> None:
    leaf, policy = make(Authority(tmp_path))

    async def go() -> None:
        context = leaf.server() if leaf is not None else None  # type: ignore[attr-defined]
        async with FakeUpstream(DOVECOT, context=context) as server:
            probe = await probed(server, policy=policy)
            assert (probe.failure, names(probe)[-1]) == (failure, step)
            assert probe.message
            assert probe.advice
            assert not any(command.name == "LOGIN" for command in server.log)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("personality", "fault", "step", "failure"),
    [
        (DOVECOT, Bye("GREETING", text="Too many connections"), "greeting", Failure.LIMIT),
        (DOVECOT, Stall("GREETING"), "connect", Failure.TIMEOUT),
        (DOVECOT, Refuse("LIST", "NO [UNAVAILABLE] later"), "list", Failure.UNAVAILABLE),
        (DOVECOT, Refuse("EXAMINE", "NO [CANNOT] oops"), "select", Failure.REFUSED_COMMAND),
        (DOVECOT, Stall("LIST"), "list", Failure.TIMEOUT),
        (M365, Refuse("LIST", "BAD User is authenticated but not connected."), "list", Failure.MAILBOX_UNREACHABLE),
    ],
)
def test_each_step_can_fail(personality: Personality, fault: object, step: str, failure: Failure) -> None:
    async def go() -> None:
        async with FakeUpstream(personality, faults=[fault]) as server:  # type: ignore[list-item]
            probe = await probed(server, timeouts=SHORT)
            assert (probe.failure, names(probe)[-1]) == (failure, step), probe.logs

    asyncio.run(go())


def test_a_refused_login_is_tried_once_and_advised_by_the_provider() -> None:
    async def go() -> None:
        async with FakeUpstream(GMAIL) as server:
            server.account.password = "another"
            probe = await probe_imap(
                replace(endpoint(server), login=RelayLogin(server.account.user, "wrong")),
                provider="google", name="work",
            )  # fmt: skip
            assert probe.failure in (Failure.AUTH_REJECTED, Failure.APP_PASSWORD_NEEDED)
            assert names(probe)[-1] == "login"
            assert "myaccount.google.com/apppasswords" in probe.advice
            logins = [each for each in server.log if each.name in ("LOGIN", "AUTHENTICATE")]
            assert len(logins) == 1
            assert not any("wrong" in line for line in probe.logs)

    asyncio.run(go())


def test_folders_that_are_not_there_are_named() -> None:
    async def go() -> None:
        async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 1, "Lists/a": 0, "Lists/b": 0, "Sent": 0}) as server:
            for wanted, text in (
                (FolderFilter(("INBOX", "lists/*", "Lost"), ("\\Sent", "Gone/*")), "3 of 8; nothing fits Lost, Gone/*"),
                (FolderFilter(("INBOX", "\\Sent")), "2 of 8"),
            ):
                probe = await probe_imap(endpoint(server), provider="custom", name="work", wanted=wanted)
                assert probe.success, probe.logs
                assert [step.text for step in probe.steps if step.name == "folders"] == [text]
            lost = FolderFilter(("Lost",))
            probe = await probe_imap(endpoint(server), provider="custom", name="work", wanted=lost)
            assert (probe.failure, names(probe)[-1]) == (Failure.FOLDER_MISSING, "folders")
            assert "Lost" in probe.message
            assert "gateway remote list work" in probe.advice
            assert "folders" not in names(await probed(server))

    asyncio.run(go())


def test_a_server_without_idle_says_so() -> None:
    async def go() -> None:
        async with FakeUpstream(NETEASE) as server:
            probe = await probed(server)
            assert probe.success, probe.logs
            assert probe.steps[-1].text.startswith("none")

    asyncio.run(go())


def test_nobody_listens_or_the_name_has_no_address() -> None:
    async def go() -> None:
        async with FakeUpstream(DOVECOT) as server:
            gone = endpoint(server)
        probe = await probe_imap(gone, provider="custom", name="work")
        assert (probe.failure, names(probe)) == (Failure.REFUSED, ["dns", "connect"])

        async def nothing(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
            raise OSError

        probe = await probe_imap(gone, provider="custom", name="work", resolver=nothing)
        assert (probe.failure, names(probe)) == (Failure.DNS, ["dns"])
        probe = await probe_imap(replace(gone, allow_private=False), provider="custom", name="work")
        assert probe.failure is Failure.DENIED
        assert "allow_private" in probe.advice

    asyncio.run(go())


# Where mail is sent.


async def smtp(peer: Peer, login: RelayLogin | None = None, **changes: object) -> Probe:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    async with server:
        end = Endpoint(
            "127.0.0.1", peer.port, TlsPolicy(Security.NONE), login, "us.example", allow_private=True,
            timeouts=Timeouts(connect=5, greeting=0.5, quit=0.5),
        )  # fmt: skip
        return await probe_smtp(replace(end, **changes), sender="me@corp.example", provider="custom", name="work")  # type: ignore[arg-type]


def test_a_sender_that_may_send() -> None:
    async def go() -> None:
        peer = Peer(extensions=("SIZE 1000", "8BITMIME"))
        probe = await smtp(peer)
        assert probe.success, probe.logs
        assert names(probe) == ["dns", "connect", "tls", "greeting", "size", "sender"]
        assert {step.name: step.text for step in probe.steps}["size"] == "1000"
        verbs = [verb for turn in peer.verbs() for verb in turn]
        assert verbs[-3:] == ["MAIL", "RSET", "QUIT"]
        assert "DATA" not in verbs
        assert not peer.got

    asyncio.run(go())


def test_the_mechanism_of_sending_is_told() -> None:
    async def go() -> None:
        async with FakeSubmission(FakeUpstream(DOVECOT), mechanisms=["PLAIN", "LOGIN"]) as server:
            account = server.upstream.account
            login = RelayLogin(
                account.user, account.password, Mechanism.CRAM_MD5, others=(Mechanism.LOGIN, Mechanism.PLAIN)
            )
            end = Endpoint(server.host, server.port, TlsPolicy(Security.NONE), login, "us.example", allow_private=True)
            probe = await probe_smtp(end, sender=account.user, provider="custom", name="work")
            assert probe.success, probe.logs
            assert {step.name: step.text for step in probe.steps}["login"] == f"as {account.user} by LOGIN"

    asyncio.run(go())


@pytest.mark.parametrize(
    ("replies", "step", "failure"),
    [
        ({"greeting": ["421 4.7.0 too many connections"]}, "greeting", None),
        ({"greeting": ["554 5.7.1 go away"]}, "greeting", Failure.REFUSED_COMMAND),
        ({"greeting": ["* OK Dovecot ready."]}, "greeting", Failure.PROTOCOL),
        ({"MAIL": ["550 5.7.60 SMTP; Client does not have permissions to send as this sender"]}, "sender",
         Failure.REFUSED_COMMAND),
        ({"MAIL": [DROP]}, "sender", Failure.LOST),
    ],
)
def test_each_step_of_smtp_can_fail(replies: dict[str, list[str]], step: str, failure: Failure | None) -> None:
    async def go() -> None:
        probe = await smtp(Peer(replies=replies))
        assert not probe.success
        assert names(probe)[-1] == step, probe.logs
        assert failure is None or probe.failure is failure
        assert probe.advice

    asyncio.run(go())


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ("535 5.7.8 wrong", Failure.AUTH_REJECTED),
        ("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled", Failure.SMTP_AUTH_DISABLED),
        ("534 5.7.9 Application-specific password required", Failure.APP_PASSWORD_NEEDED),
    ],
)
def test_a_refused_login_of_smtp(reply: str, failure: Failure, tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def go() -> None:
        peer = Peer(extensions=("AUTH PLAIN LOGIN",), replies={"AUTH": [reply]})
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=authority.leaf().server())
        peer.port = server.sockets[0].getsockname()[1]
        async with server:
            end = Endpoint(
                "127.0.0.1", peer.port, TlsPolicy(ca_pem=authority.pem), RelayLogin("me", "pw"), allow_private=True
            )
            probe = await probe_smtp(end, sender="me@corp.example", provider="outlook", name="work")
        assert (probe.failure, names(probe)[-1]) == (failure, "login"), probe.logs
        assert probe.said == reply.replace("5.7.139 ", "").replace("5.7.8 ", "").replace("5.7.9 ", "")
        assert [verb for turn in peer.verbs() for verb in turn].count("AUTH") == 1

    asyncio.run(go())
