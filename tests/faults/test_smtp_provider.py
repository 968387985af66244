"""Sending through a provider that somebody else has written: logins of all kinds, and its Sent after a lost answer."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.delivery.accounts import Account
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.failure import Failure
from gateway.outbound.login import Mechanism, RelayLogin
from gateway.outbound.smtp_transport import SmtpConnection, TransportFailed
from gateway.outbound.tls import Security, TlsPolicy
from gateway.outbound.verdict import Verdict
from tests.faults.smtp_accounts import ADDRESS, Keeper, are, submit, tried, with_account
from tests.faults.smtp_kit import certificates, run
from tests.faults.smtp_peer import FAST, Peer, mail
from tests.faults.smtp_store import house
from tests.support.upstream.account import PASSWORD, TOKEN, USER
from tests.support.upstream.account import Account as TheirAccount
from tests.support.upstream.faults import Drop, Refuse
from tests.support.upstream.server import FakeUpstream
from tests.support.upstream.smtp import FakeSubmission


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
@pytest.mark.parametrize(
    "mechanism", [Mechanism.PLAIN, Mechanism.LOGIN, Mechanism.XOAUTH2, Mechanism.OAUTHBEARER, Mechanism.AUTO]
)
def test_logins(tmp_path: Path, mechanism: Mechanism, security: Security) -> None:
    tls = certificates(tmp_path)
    token = mechanism.takes_token

    async def main() -> None:
        starttls = security is Security.STARTTLS
        async with FakeUpstream() as upstream, FakeSubmission(
            upstream, context=tls.server, starttls=starttls
        ) as server:
            right = RelayLogin(USER, TOKEN if token else PASSWORD, mechanism)
            policy = TlsPolicy(security, tls.ca_file)
            endpoint = Endpoint(server.host, server.port, policy, right, allow_private=True, timeouts=FAST)
            connection = await SmtpConnection.open(endpoint)
            [outcome] = await connection.send(replace(mail("eve@elsewhere.net"), mail_from=USER))
            await connection.close()
            assert outcome.verdict is Verdict.SENT
            assert [taken.user for taken in server.taken] == [USER]
            with pytest.raises(TransportFailed) as failed:
                await SmtpConnection.open(replace(endpoint, login=replace(right, secret="wrong")))
            outcome = failed.value.outcome
            assert (outcome.verdict, outcome.code) == (Verdict.LOGIN, 535)
            assert outcome.failure is (Failure.AUTH_OAUTH if token else Failure.AUTH_REJECTED)
            assert ("status 401" in outcome.text) is token
            assert server.violations == []

    run(main())


@dataclass
class LooksInSent(Keeper):
    """Answers by what lies in the provider's Sent."""

    theirs: TheirAccount | None = None

    async def was_sent(self, account: Account, message_id: bytes, since: int) -> bool | None:
        self.asked.append((account.name, message_id, since))
        assert self.theirs is not None
        there = [place.mail.octets for place in self.theirs.mailbox(self.theirs.sent).places.values()]
        return any(b"<" + message_id + b">" in octets for octets in there)


@pytest.mark.parametrize("when", ["before", "after", "told"])
@pytest.mark.parametrize("policy", ["resend", "hold"])
def test_an_answer_that_never_came_leaves_one_copy(tmp_path: Path, when: str, policy: str) -> None:
    """It had not been taken, had been taken, or had been taken and said so to nobody: once it goes, and once only."""
    tls = certificates(tmp_path)

    async def main() -> None:
        drop = Drop("DOT", when="after" if when == "told" else when)
        async with house(tmp_path) as it, FakeUpstream() as upstream, FakeSubmission(
            upstream, files_sent=True, context=tls.server, faults=[drop]
        ) as server:
            plain = await with_account(it, Peer(port=server.port))
            keeper = LooksInSent(plain.table, theirs=upstream.account)
            login = RelayLogin(USER, PASSWORD, Mechanism.PLAIN)
            policy_of = TlsPolicy(Security.TLS, tls.ca_file)
            keeper.servers["work"] = [
                Endpoint(server.host, server.port, policy_of, login, allow_private=True, timeouts=FAST)
            ]
            it.accounts = keeper
            async with it.runner(unknown_outcome=policy):
                await submit(it)
                await it.until(lambda: tried(it))
                it.now += 1_000
                await it.until(lambda: are(it, "sent"))
            sent = upstream.account.mailbox(upstream.account.sent)
            assert len(sent.places) == 1
            assert len(server.taken) == 1
            assert len(keeper.asked) == 1
            assert server.violations == []

    run(main())


@pytest.mark.parametrize(
    ("fault", "state", "failure"),
    [
        (Refuse("MAIL", "432 4.3.2 Concurrent connections limit exceeded"), "deferred", Failure.THROTTLED),
        (Refuse("DOT", "554 5.2.252 SendAsDenied"), "bounced", None),
        (Refuse("AUTH", "454 4.7.0 Too many login attempts"), "deferred", Failure.THROTTLED),
        (Refuse("AUTH", "535 5.7.139 SmtpClientAuthentication is disabled"), "deferred", Failure.SMTP_AUTH_DISABLED),
        (Refuse("GREETING", "421 4.3.2 Too busy"), "deferred", Failure.UNAVAILABLE),
        (Drop("EHLO"), "deferred", Failure.LOST),
    ],
)  # fmt: skip
def test_what_a_provider_says_of_an_account(
    tmp_path: Path, fault: Refuse | Drop, state: str, failure: Failure | None
) -> None:
    tls = certificates(tmp_path)

    async def main() -> None:
        async with house(tmp_path) as it, FakeUpstream() as upstream, FakeSubmission(
            upstream, context=tls.server, faults=[fault]
        ) as server:
            keeper = await with_account(it, Peer(port=server.port))
            login = RelayLogin(USER, PASSWORD, Mechanism.PLAIN)
            policy = TlsPolicy(Security.TLS, tls.ca_file)
            keeper.servers["work"] = [
                Endpoint(server.host, server.port, policy, login, allow_private=True, timeouts=FAST)
            ]
            async with it.runner():
                await submit(it)
                await it.until(lambda: tried(it))
            assert await it.states() == [state]
            [report] = keeper.reports
            assert report.failure is failure
            assert base64.b64encode(PASSWORD.encode()).decode() not in "".join(report.log)
            assert len(await it.mail(it.ann)) == (1 if state == "bounced" else 0)
            if state == "bounced":
                assert ADDRESS.encode() in (await it.mail(it.ann))[0].octets

    run(main())


def test_an_access_token_that_is_refused_is_renewed_once(tmp_path: Path) -> None:
    """The next one is shown at once; a token that stays the same is not shown twice."""
    tls = certificates(tmp_path)

    async def main() -> None:
        async with house(tmp_path) as it, FakeUpstream() as upstream, FakeSubmission(
            upstream, context=tls.server
        ) as server:
            keeper = await with_account(it, Peer(port=server.port))
            policy = TlsPolicy(Security.TLS, tls.ca_file)
            keeper.servers["work"] = [Endpoint(server.host, server.port, policy, allow_private=True, timeouts=FAST)]
            keeper.user, keeper.tokens = USER, ["old", TOKEN]
            async with it.runner():
                await submit(it)
                await it.until(lambda: are(it, "sent"))
            assert keeper.renewals == [False, True]
            assert len(server.commands("AUTH")) == 2
            [entry] = await it.queue()
            assert entry.recipients[0].attempts == 1
            keeper.tokens = ["revoked"]
            async with it.runner():
                await submit(it, number=1)
                await it.until(lambda: are(it, "sent", "deferred"))
            assert keeper.renewals == [False, True, False, True]
            assert len(server.commands("AUTH")) == 3
            assert keeper.reports[-1].failure is Failure.AUTH_OAUTH
            assert server.violations == []

    run(main())
