"""Mail that leaves through an inbox's own account: which does, what is done when that cannot, and who is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.delivery.accounts import Account
from gateway.delivery.ports import AccountUnavailable
from gateway.delivery.routes import Route, RouteKind, RouteLimits, Routes, Rule
from gateway.model.errors import SenderNotAuthorized
from gateway.outbound.failure import Failure
from gateway.outbound.login import Mechanism, RelayLogin
from gateway.outbound.sent_copy import SentCopy, SentPolicy
from gateway.outbound.tls import Security, TlsPolicy
from gateway.submit.errors import NoRoute
from tests.faults.smtp_accounts import ADDRESS, MESSAGE_ID, account, with_account
from tests.faults.smtp_kit import USER, certificates, envelope_of, principal, run
from tests.faults.smtp_peer import Peer, peer
from tests.faults.smtp_relay import DROP, Relay, relay
from tests.faults.smtp_store import House, house
from tests.support.queue import claim_due

CONNECTOR = Route("connector", RouteKind.CONNECTOR)


async def submit(it: House, *recipients: str, sender: str = ADDRESS, number: int = 0) -> None:
    mark = MESSAGE_ID.replace("orig", f"orig{number}") if number else MESSAGE_ID
    octets = f"From: {sender}\r\nTo: eve@elsewhere.net\r\nMessage-ID: {mark}\r\n\r\nbody\r\n".encode()
    to = recipients or ("eve@elsewhere.net",)
    arrival = it.submissions.begin(envelope_of(principal(inbox_id=it.ann), sender, to))
    await arrival.write(octets)
    await arrival.finish()


async def _are(it: House, *states: str) -> bool:
    return await it.states() == list(states)


async def _tried(it: House, times: int = 1) -> bool:
    """All were tried so often, and none is under way."""
    people = [person for entry in await it.queue() for person in entry.recipients]
    return all(person.attempts >= times for person in people) and not {"queued", "sending"} & set(await it.states())


def rule(number: int, sender: str, recipient: str, route: Route) -> Rule:
    return Rule(number, sender, recipient, route)


def test_who_leaves_through_the_account(tmp_path: Path) -> None:
    """Its own address and +details of it; everything else by the relay; a rule for anybody goes before."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as ours, peer(Peer()) as theirs, peer(Peer()) as special:
            inside = it.relay("inside", special.port)
            it.routes = Routes(it.relay("relay", ours.port), [rule(1, "*", "inside.net", inside)])
            keeper = await with_account(it, theirs)
            async with it.runner() as runner:
                await submit(it, sender=USER, number=1)
                await submit(it, number=2)
                await submit(it, sender="ann+list@account.test", number=3)
                await submit(it, "a@inside.net", number=4)
                await it.until(lambda: _are(it, *["sent"] * 4))
                assert "connector:work" in {hop["name"] for hop in runner.next_hops()}
            assert [got.mail for got in ours.got] == [f"MAIL FROM:<{USER}>"]
            assert [got.mail for got in theirs.got] == [f"MAIL FROM:<{ADDRESS}>", "MAIL FROM:<ann+list@account.test>"]
            assert [got.mail for got in special.got] == [f"MAIL FROM:<{ADDRESS}>"]
            assert [report.mail_from for report in keeper.reports] == [ADDRESS, "ann+list@account.test"]
            assert len(await it.mail(it.ann, "Sent")) == 4

    run(main())


def test_rules_of_all_kinds_go_before_the_account(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            hold, discard = Route("hold", RouteKind.HOLD), Route("discard", RouteKind.DISCARD)
            it.routes = Routes(None, [rule(1, "*", "*", hold), rule(2, "*", "away.net", discard)])
            await with_account(it, theirs)
            async with it.runner():
                await submit(it, "eve@elsewhere.net", "eve@away.net")
                await it.until(lambda: _are(it, "held", "sent"))
            assert theirs.got == []

    run(main())


def test_a_rule_sends_anybody_through_the_account_of_his_inbox(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            it.routes = Routes(None, [rule(1, "*", "*", CONNECTOR)])
            keeper = await with_account(it, theirs)
            async with it.runner():
                await submit(it, sender=USER)
                await it.until(lambda: _are(it, "sent"))
            assert [got.mail for got in theirs.got] == [f"MAIL FROM:<{USER}>"]
            assert [report.account_id for report in keeper.reports] == [1]
            # Bob's inbox has none; and it is refused before anything is kept.
            with pytest.raises(NoRoute, match="This inbox has no connector"):
                await it.submissions.check_recipient(principal(inbox_id=it.bob), "bob@example.org", "x@elsewhere.net")

    run(main())


def test_only_its_own_inbox_sends_with_an_external_address(tmp_path: Path) -> None:
    """And mail to it is nobody's here: it goes out, without a relay through the account alone."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            await with_account(it, theirs)
            ann, bob = principal(inbox_id=it.ann), principal(inbox_id=it.bob)
            await it.submissions.check_sender(ann, ADDRESS)
            await it.submissions.check_recipient(ann, ADDRESS, ADDRESS)
            with pytest.raises(NoRoute):
                await it.submissions.check_recipient(ann, USER, ADDRESS)
            with pytest.raises(SenderNotAuthorized):
                await it.submissions.check_sender(bob, ADDRESS)

    run(main())


def test_what_is_refused_comes_back_to_the_inbox(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer(replies={"RCPT": ["250 ok", "550 5.1.1 nobody"]})) as theirs:
            keeper = await with_account(it, theirs)
            async with it.runner():
                await submit(it, "eve@elsewhere.net", "nobody@elsewhere.net")
                await it.until(lambda: _are(it, "sent", "bounced"))
            [bounce] = await it.mail(it.ann)
            assert b"<nobody@elsewhere.net>" in bounce.octets
            assert f"To: {ADDRESS}".encode() in bounce.octets or ADDRESS.encode() in bounce.octets
            [report] = keeper.reports
            assert (report.sent, report.failure) == (True, None)
            assert [(end.address, str(end.state), end.code) for end in report.recipients] == [
                ("eve@elsewhere.net", "sent", 250), ("nobody@elsewhere.net", "bounced", 550),
            ]  # fmt: skip

    run(main())


def test_what_its_keeper_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            keeper = await with_account(it, theirs)
            async with it.runner():
                await submit(it)
                await it.until(lambda: _are(it, "sent"))
            [entry] = await it.queue()
            [report] = keeper.reports
            assert (report.account_id, report.inbox_id, report.submission) == (1, it.ann, entry.submission.uuid)
            assert (report.message_id, report.size) == (b"orig@account.test", entry.submission.size)
            assert (report.sent, report.fallback, report.remote) == (True, False, "127.0.0.1")
            assert report.copy is SentCopy.PROBE
            assert report.log == ("127.0.0.1: peer ESMTP", "<eve@elsewhere.net>: sent 250 2.0.0 taken")
            # A server that says it is Gmail's files what it takes; one that is asked never to be touched is not.
            theirs.replies["greeting"] = ["220 smtp.gmail.com ESMTP x - gsmtp"] * 2
            async with it.runner():
                await submit(it, number=1)
                await it.until(lambda: _are(it, "sent", "sent"))
            assert keeper.reports[1].copy is SentCopy.FILED
            keeper.change(account(it.ann, sent_policy=SentPolicy.NEVER))
            async with it.runner():
                await submit(it, number=2)
                await it.until(lambda: _are(it, "sent", "sent", "sent"))
            assert keeper.reports[2].copy is SentCopy.NONE

    run(main())


@pytest.mark.parametrize("how", ["refused", "no-token", "paused"])
def test_mail_waits_while_the_account_refuses_our_login(tmp_path: Path, how: str) -> None:
    """Not at the relay, not back to its sender; and the account is not asked for each message."""

    tls = certificates(tmp_path)

    async def main() -> None:
        server = Relay(tls=tls.server)
        server.extensions.append("AUTH PLAIN")
        async with house(tmp_path) as it, peer(Peer()) as ours, relay(server, implicit_tls=True) as theirs:
            it.use_relay(ours.port)
            keeper = await with_account(it, theirs, paused="Log in anew" if how == "paused" else "")
            login = RelayLogin(ADDRESS, "canary", Mechanism.PLAIN)
            policy = TlsPolicy(Security.TLS, tls.ca_file)
            keeper.servers["work"] = [Peer(port=theirs.port).endpoint(tls=policy, login=login)]
            if how == "no-token":
                keeper.failure = AccountUnavailable(Failure.AUTH_OAUTH, "Log in anew: the grant was revoked")
            if how == "refused":
                theirs.scripts.extend([{"auth": "535 5.7.8 Bad password"}] * 10)
            async with it.runner() as runner:
                await submit(it, number=1)
                await it.until(lambda: _tried(it))
                await submit(it, number=2)
                await submit(it, sender=USER, number=3)
                await it.until(lambda: _are(it, "deferred", "queued", "sent"))
                [hop] = [hop for hop in runner.next_hops() if hop["name"] == "connector:work"]
                assert hop["breaker"] == "open"
            assert await it.mail(it.ann) == []
            [first, second, _] = await it.queue()
            words = {"refused": "Bad password", "no-token": "Log in anew: the grant", "paused": "Log in anew"}[how]
            assert words in (first.recipients[0].text or b"").decode()
            assert second.recipients[0].attempts == 0
            report = keeper.reports[0]
            assert len(keeper.reports) == 1
            assert (report.sent, report.copy, report.fallback) == (False, SentCopy.NONE, False)
            assert report.failure is {
                "refused": Failure.AUTH_REJECTED, "no-token": Failure.AUTH_OAUTH, "paused": None,
            }[how]  # fmt: skip
            # Somebody mends it: what waits goes at once.
            keeper.failure = None
            theirs.scripts.clear()
            async with it.runner():
                keeper.change(account(it.ann, version=1))
                it.now += 100
                await it.until(lambda: _are(it, "sent", "sent", "sent"))
            assert len(theirs.taken) == 2

    run(main())


def test_a_change_of_the_account_opens_its_breaker_in_the_running_queue(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            keeper = await with_account(it, theirs)
            keeper.failure = AccountUnavailable(Failure.AUTH_OAUTH, "revoked")
            async with it.runner() as runner:
                await submit(it, number=1)
                await it.until(lambda: _tried(it))
                await submit(it, number=2)
                assert "is not asked until" in (runner.why(it.ann, ADDRESS, "eve@elsewhere.net") or "")
                keeper.failure = None
                keeper.change(account(it.ann, version=1))
                await it.until(lambda: _are(it, "deferred", "sent"))
                assert runner.why(it.ann, ADDRESS, "eve@elsewhere.net") is None

    run(main())


@pytest.mark.parametrize("how", ["no-token", "paused"])
def test_with_a_fallback_the_relay_takes_over_at_once(tmp_path: Path, how: str) -> None:
    """The account is asked once, not for each message; when its login holds again mail goes through it again."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as ours, peer(Peer()) as theirs:
            it.use_relay(ours.port)
            keeper = await with_account(it, theirs, use_fallback=True, paused="Log in" if how == "paused" else "")
            if how == "no-token":
                keeper.failure = AccountUnavailable(Failure.AUTH_OAUTH, "revoked")
            async with it.runner():
                for number in range(1, 4):
                    await submit(it, number=number)
                    await it.until(lambda: _are(it, *["sent"] * number))  # noqa: B023 - awaited here
            assert len(ours.got) == 3
            assert len(keeper.renewals) == (0 if how == "paused" else 1)
            by_relay = [report for report in keeper.reports if report.fallback]
            assert len(by_relay) == 3
            assert {report.copy for report in by_relay} == {SentCopy.APPEND}, "nobody else files it there"
            failed = [report for report in keeper.reports if not report.fallback]
            assert [(report.sent, report.failure) for report in failed] == (
                [] if how == "paused" else [(False, Failure.AUTH_OAUTH)]
            )
            keeper.failure = None
            async with it.runner():
                keeper.change(account(it.ann, use_fallback=True, version=1))
                await submit(it, number=4)
                await it.until(lambda: _are(it, *["sent"] * 4))
            assert len(theirs.got) == 1
            assert await it.mail(it.ann) == []

    run(main())


def test_what_waits_for_an_account_that_falls_out_goes_by_the_relay(tmp_path: Path) -> None:
    """A queue of ten, planned for the account when its login was still good."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as ours, peer(Peer()) as theirs:
            it.use_relay(ours.port)
            keeper = await with_account(it, theirs, use_fallback=True, limits=RouteLimits(1))
            keeper.failure = AccountUnavailable(Failure.AUTH_REJECTED, "no")
            for number in range(1, 11):
                await submit(it, number=number)
            async with it.runner():
                await it.until(lambda: _are(it, *["sent"] * 10))
            assert len(ours.got) == 10
            assert len(keeper.renewals) == 1

    run(main())


def test_a_fallback_without_a_relay_is_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            keeper = await with_account(it, theirs, use_fallback=True)
            keeper.failure = AccountUnavailable(Failure.AUTH_REJECTED, "no")
            async with it.runner():
                await submit(it)
                await it.until(lambda: _tried(it))
                assert await it.states() == ["deferred"]
            assert len(keeper.renewals) == 1

    run(main())


def test_an_account_that_cannot_be_reached_is_waited_for(tmp_path: Path) -> None:
    """A fallback is for a login that is refused: an outage of an hour is no reason for mail that others may refuse."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as ours, peer(Peer()) as theirs:
            it.use_relay(ours.port)
            keeper = await with_account(it, theirs, use_fallback=True)
            for failure in (None, AccountUnavailable(Failure.TIMEOUT, "the token's endpoint does not answer")):
                keeper.failure = failure
                keeper.servers["work"] = [Peer(port=1).endpoint()]
                async with it.runner():
                    await submit(it, number=1 if failure else 2)
                    await it.until(lambda: _tried(it))
            assert await it.states() == ["deferred", "deferred"]
            assert {report.failure for report in keeper.reports} == {Failure.REFUSED, Failure.TIMEOUT}
            assert ours.got == []

    run(main())


def test_an_access_token_that_is_refused_is_renewed_once(tmp_path: Path) -> None:
    tls = certificates(tmp_path)

    async def main() -> None:
        async with house(tmp_path) as it, relay(Relay(tls=tls.server), implicit_tls=True) as theirs:
            keeper = await with_account(it, theirs)
            policy = TlsPolicy(Security.TLS, tls.ca_file)
            keeper.servers["work"] = [Peer(port=theirs.port).endpoint(tls=policy)]
            theirs.extensions.append("AUTH XOAUTH2")
            theirs.scripts.extend([{"auth": "535 5.7.8 expired"}])
            keeper.tokens = ["old", "new"]
            async with it.runner():
                await submit(it)
                # The relay's script is one a transaction: the refused login ends its connection.
                await asyncio.wait_for(_refused_once(theirs), 10)
                await it.until(lambda: _are(it, "sent"))
            assert keeper.renewals == [False, True]
            assert [line for line in theirs.commands if "Bearer" in line] == [
                f"user={ADDRESS}\x01auth=Bearer {token}\x01\x01" for token in ("old", "new")
            ]
            # The same token again is not shown twice.
            keeper.tokens = ["new"]
            theirs.scripts.extend([{"auth": "535 5.7.8 revoked"}] * 5)
            it.now += 10_000
            before = theirs.connections
            async with it.runner():
                await submit(it, number=1)
                await it.until(lambda: _tried(it))
            assert theirs.connections == before + 1
            assert keeper.reports[-1].failure is Failure.AUTH_OAUTH

    run(main())


async def _refused_once(server: Relay) -> None:
    while not any("Bearer old" in line for line in server.commands):  # noqa: ASYNC110 - it stands in a list
        await asyncio.sleep(0.005)
    server.scripts.clear()


LOST = {"final-dot": DROP}


@pytest.mark.parametrize("policy", ["resend", "hold"])
@pytest.mark.parametrize("found", [True, False, None])
def test_before_anything_is_repeated_the_account_is_asked(tmp_path: Path, policy: str, found: bool | None) -> None:
    """In Sent: it went. Not there: it goes again, whatever the policy is for outcomes that nobody knows."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as theirs:
            keeper = await with_account(it, theirs)
            keeper.was = [found, None]
            theirs.scripts.append(LOST)
            async with it.runner(unknown_outcome=policy):
                await submit(it)
                await it.until(lambda: _tried(it))
                assert keeper.asked == []
                it.now += 1_000
                await it.until(lambda: _are(it, "held" if found is None and policy == "hold" else "sent"))
            assert keeper.asked == [("work", b"orig@account.test", 1_800_000_000)]
            assert len(theirs.unsure) == 1
            again = found is False or (found is None and policy == "resend")
            assert len(theirs.taken) == int(again)
            [entry] = await it.queue()
            assert "unknown" in [str(each.state) for each in entry.attempts]
            if found:
                assert "in the account's Sent" in (entry.recipients[0].text or b"").decode()
                assert [report.copy for report in keeper.reports] == [SentCopy.NONE, SentCopy.FILED]
            if found is None and policy == "hold":  # whoever lets it go wants it sent
                await it.db.write(lambda tx: _release(tx, entry.recipients[0].id, int(it.now)))
                async with it.runner(unknown_outcome=policy):
                    await it.until(lambda: _are(it, "sent"))
                assert len(theirs.taken) == 1

    run(main())


def _release(tx: object, row: int, now: int) -> int:
    from gateway.store import queue_admin

    return queue_admin.release(tx, [row], now, "somebody")  # type: ignore[arg-type]


def test_a_copy_that_another_transaction_left_proves_nothing(tmp_path: Path) -> None:
    """One recipient was sent before, under the same Message-ID: the account is not even asked."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as theirs:
            keeper = await with_account(it, theirs)
            theirs.scripts.extend([{"rcpt2": "451 4.7.1 later"}, LOST])
            async with it.runner(unknown_outcome="hold"):
                await submit(it, "eve@elsewhere.net", "joe@elsewhere.net")
                await it.until(lambda: _are(it, "sent", "deferred"))
                it.now += 1_000
                await it.until(lambda: _tried_unknown(it))
                it.now += 1_000
                await it.until(lambda: _are(it, "sent", "held"))
            assert keeper.asked == []

    run(main())


async def _tried_unknown(it: House) -> bool:
    [entry] = await it.queue()
    return "unknown" in [str(each.state) for each in entry.attempts] and await _are(it, "sent", "deferred")


def test_limits_and_names_of_accounts(tmp_path: Path) -> None:
    """Two inboxes with accounts of one name have next hops of their own, each with its own rate."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            keeper = await with_account(it, theirs)
            keeper.change(
                account(it.ann, limits=RouteLimits(3, 30)),
                Account(2, "work", it.bob, ("bob@account.test",), limits=RouteLimits(1)),
            )
            async with it.runner() as runner:
                for number in range(1, 4):
                    await submit(it, number=number)
                await it.until(lambda: _are(it, *["sent"] * 3))
                [hop] = runner.next_hops()
                assert (hop["name"], hop["places"], hop["rate"]) == ("connector:work#1", 3, 30)

    run(main())


@pytest.mark.parametrize("found", [True, False])
def test_after_a_crash_the_account_is_asked_too(tmp_path: Path, found: bool) -> None:
    """A process that died between the final dot and the outcome leaves a lease that lapses."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            keeper = await with_account(it, theirs)
            keeper.was = [found]
            await submit(it)
            await it.db.write(lambda tx: claim_due(tx, int(it.now), 10, owner="dead"))
            async with it.runner(unknown_outcome="hold"):
                await it.until(lambda: _are(it, "sent"))
            assert [name for name, _, _ in keeper.asked] == ["work"]
            assert len(theirs.got) == (0 if found else 1)

    run(main())


def test_while_the_keeper_cannot_tell_the_policy_decides(tmp_path: Path) -> None:
    """It does not answer, or the relay may have been the one that took the message."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as theirs:
            keeper = await with_account(it, theirs, use_fallback=True)
            keeper.was = [False]
            it.use_relay(theirs.port)
            theirs.scripts.append(LOST)
            async with it.runner(unknown_outcome="hold"):
                await submit(it)
                await it.until(lambda: _tried(it))
                it.now += 1_000
                await it.until(lambda: _are(it, "held"))
            assert len(keeper.asked) == 1
            assert theirs.taken == []

    run(main())
