"""An account that refuses our login, cannot be reached, or may have taken what nobody heard of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.delivery.accounts import Account
from gateway.delivery.ports import AccountGone, AccountUnavailable
from gateway.delivery.routes import RouteLimits, Routes, Rule
from gateway.model.errors import Unavailable
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.failure import Failure
from gateway.outbound.login import Mechanism, RelayLogin
from gateway.outbound.sent_copy import AccountCopy
from gateway.outbound.tls import Security, TlsPolicy
from gateway.store import queue_account, queue_admin
from gateway.store.db import Tx
from gateway.submit.errors import NoRoute
from tests.faults.smtp_accounts import ADDRESS, account, are, submit, tried, with_account
from tests.faults.smtp_kit import USER, certificates, run
from tests.faults.smtp_peer import Peer, peer
from tests.faults.smtp_relay import DROP, Relay, relay
from tests.faults.smtp_store import House, house
from tests.support.queue import claim_due

LOST = {"final-dot": DROP}


@pytest.mark.parametrize("how", ["refused", "no-token"])
def test_mail_waits_while_the_account_refuses_our_login(tmp_path: Path, how: str) -> None:
    """Not at the relay, not back to its sender; and the account is not asked for each message."""

    tls = certificates(tmp_path)

    async def main() -> None:
        server = Relay(tls=tls.server)
        server.extensions.append("AUTH PLAIN")
        async with house(tmp_path) as it, peer(Peer()) as ours, relay(server, implicit_tls=True) as theirs:
            it.use_relay(ours.port)
            keeper = await with_account(it, theirs)
            login = RelayLogin(ADDRESS, "canary", Mechanism.PLAIN)
            policy = TlsPolicy(Security.TLS, tls.ca_file)
            keeper.servers["work"] = [Peer(port=theirs.port).endpoint(tls=policy, login=login)]
            if how == "no-token":
                keeper.failure = AccountUnavailable(Failure.AUTH_OAUTH, "Log in anew: the grant was revoked")
            if how == "refused":
                theirs.scripts.extend([{"auth": "535 5.7.8 Bad password"}] * 10)
            async with it.runner() as runner:
                await submit(it, number=1)
                await it.until(lambda: tried(it))
                await submit(it, number=2)
                await submit(it, sender=USER, number=3)
                await it.until(lambda: are(it, "deferred", "queued", "sent"))
                [hop] = [hop for hop in runner.next_hops() if hop["name"] == "connector:work"]
                assert hop["breaker"] == "open"
            assert await it.mail(it.ann) == []
            [first, second, _] = await it.queue()
            words = {"refused": "Bad password", "no-token": "Log in anew: the grant"}[how]
            assert words in (first.recipients[0].text or b"").decode()
            assert second.recipients[0].attempts == 0
            report = keeper.reports[0]
            assert len(keeper.reports) == 1
            assert (report.sent, report.copy, report.fallback) == (False, AccountCopy.NONE, False)
            assert report.failure is {"refused": Failure.AUTH_REJECTED, "no-token": Failure.AUTH_OAUTH}[how]
            # Somebody mends it: what waits goes at once.
            keeper.failure = None
            theirs.scripts.clear()
            async with it.runner():
                keeper.change(account(it.ann, version=1))
                it.now += 100
                await it.until(lambda: are(it, "sent", "sent", "sent"))
            assert len(theirs.taken) == 2

    run(main())


def test_an_account_that_is_switched_off_takes_nothing_and_what_it_had_taken_waits(tmp_path: Path) -> None:
    """Not by the relay: others would not believe it. Mail for inboxes here goes as ever."""

    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as ours, peer(Peer()) as theirs:
            it.use_relay(ours.port)
            keeper = await with_account(it, theirs)
            await submit(it, number=1)
            keeper.change(account(it.ann, paused="work is switched off"))
            with pytest.raises(NoRoute, match="work is switched off"):
                await submit(it, number=2)
            await submit(it, "bob@example.org", number=3)
            async with it.runner() as runner:
                await it.until(lambda: are(it, "deferred", "sent"))
                [first, second] = await it.queue()
                assert (first.recipients[0].state, first.recipients[0].text) == ("deferred", b"work is switched off")
                assert second.recipients[0].state == "sent"
                it.now += 61  # its own time has come, and that of its next hop not yet, or no better
                keeper.change(account(it.ann, version=1))
                await it.until(lambda: are(it, "sent", "sent"))
                assert runner.why(it.ann, ADDRESS, "eve@elsewhere.net") is None
            assert (len(ours.got), len(theirs.got)) == (0, 1)

    run(main())


@pytest.mark.parametrize(("fallback", "relay", "back"), [
    (False, True, True), (True, True, False), (True, False, True), (False, False, True),
])  # fmt: skip
def test_mail_of_an_account_that_is_removed_is_returned_or_goes_by_its_fallback(
    tmp_path: Path, fallback: bool, relay: bool, back: bool
) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as ours, peer(Peer()) as theirs:
            if relay:
                it.use_relay(ours.port)
            keeper = await with_account(it, theirs)
            keeper.failure = AccountUnavailable(Failure.AUTH_OAUTH, "revoked")
            async with it.runner():
                await submit(it, number=1)
                await it.until(lambda: tried(it))
                await submit(it, number=2)
                # In the unit that removes it, and a moment before anybody else hears of that.
                now = int(it.now)
                count = await it.db.write(
                    lambda tx: queue_account.account_gone(tx, it.ann, ADDRESS, "work", now, fallback=fallback)
                )
                assert count == 2
                keeper.failure = AccountGone(Failure.DENIED, "The account is no longer connected")
                keeper.change()
                await it.until(lambda: are(it, *["bounced" if back else "sent"] * 2))
            assert (len(ours.got), len(theirs.got)) == (0 if back else 2, 0)
            told = await it.mail(it.ann)
            assert len(told) == (2 if back else 0)
            for entry in await it.queue():
                events = [(attempt.state, attempt.text) for attempt in entry.attempts]
                assert ("account gone", b"Account work, which was to send it, was removed") in events
            for bounce in told:
                assert b"Account work was removed before it could send this" in b" ".join(bounce.octets.split())

    run(main())


@pytest.mark.parametrize("again", ["the account", "a rule"])
def test_what_a_removed_account_had_to_send_goes_another_way_where_somebody_made_one(
    tmp_path: Path, again: str
) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as ours, peer(Peer()) as theirs:
            keeper = await with_account(it, theirs)
            await submit(it)
            await it.db.write(lambda tx: queue_account.account_gone(tx, it.ann, ADDRESS, "work", 1, fallback=False))
            keeper.change(*[account(it.ann, id=2)] * (again == "the account"))
            if again == "a rule":
                it.routes = Routes(None, [Rule(1, "*", "*", it.relay("other", ours.port))])
            async with it.runner():
                await it.until(lambda: are(it, "sent"))
            assert len(ours.got) + len(theirs.got) == 1

    run(main())


def test_an_account_that_is_gone_before_the_table_says_so_is_asked_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            keeper = await with_account(it, theirs)
            await submit(it)
            await it.db.write(lambda tx: queue_account.account_gone(tx, it.ann, ADDRESS, "work", 1, fallback=False))

            async def gone(account: Account, *, renew: bool = False) -> Sequence[Endpoint]:
                keeper.renewals.append(renew)
                keeper.change()
                raise AccountGone(Failure.DENIED, "The account is no longer connected")

            keeper.endpoints = gone  # type: ignore[method-assign]
            async with it.runner():
                await it.until(lambda: are(it, "bounced"))
            assert len(keeper.renewals) == 1

    run(main())


def test_a_change_of_the_account_opens_its_breaker_in_the_running_queue(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            keeper = await with_account(it, theirs)
            keeper.failure = AccountUnavailable(Failure.AUTH_OAUTH, "revoked")
            async with it.runner() as runner:
                await submit(it, number=1)
                await it.until(lambda: tried(it))
                await submit(it, number=2)
                assert "is not asked until" in (runner.why(it.ann, ADDRESS, "eve@elsewhere.net") or "")
                keeper.failure = None
                keeper.change(account(it.ann, version=1))
                await it.until(lambda: are(it, "deferred", "sent"))
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
                    await it.until(lambda: are(it, *["sent"] * number))  # noqa: B023 - awaited here
            assert len(ours.got) == 3
            assert len(keeper.renewals) == (0 if how == "paused" else 1)
            by_relay = [report for report in keeper.reports if report.fallback]
            assert len(by_relay) == 3
            assert {report.copy for report in by_relay} == {AccountCopy.APPEND}, "nobody else files it there"
            failed = [report for report in keeper.reports if not report.fallback]
            assert [(report.sent, report.failure) for report in failed] == (
                [] if how == "paused" else [(False, Failure.AUTH_OAUTH)]
            )
            keeper.failure = None
            async with it.runner():
                keeper.change(account(it.ann, use_fallback=True, version=1))
                await submit(it, number=4)
                await it.until(lambda: are(it, *["sent"] * 4))
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
                await it.until(lambda: are(it, *["sent"] * 10))
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
                await it.until(lambda: tried(it))
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
                    await it.until(lambda: tried(it))
            assert await it.states() == ["deferred", "deferred"]
            assert {report.failure for report in keeper.reports} == {Failure.REFUSED, Failure.TIMEOUT}
            assert ours.got == []

    run(main())


def test_a_keeper_whose_store_is_away_is_asked_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            keeper = await with_account(it, theirs)
            keeper.failure = Unavailable("The database does not answer")
            async with it.runner() as runner:
                await submit(it)
                await it.until(lambda: tried(it))
                assert {hop["breaker"] for hop in runner.next_hops()} == {"closed"}, "no server was asked"
                keeper.failure = None
                it.now += 100
                await it.until(lambda: are(it, "sent"))

    run(main())


def test_a_stop_while_the_account_is_asked_leaves_no_new_doubt(tmp_path: Path) -> None:
    """One recipient is in doubt, one was never tried: the second one goes, whatever the policy."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as theirs:
            keeper = await with_account(it, theirs)
            theirs.scripts.extend([{"rcpt2": "451 4.7.1 later", **LOST}])
            async with it.runner(unknown_outcome="hold"):
                await submit(it, "eve@elsewhere.net", "joe@elsewhere.net")
                await it.until(lambda: tried(it))
            assert len(theirs.unsure) == 1
            keeper.hangs = asyncio.Event()
            it.now += 1_000
            async with it.runner(unknown_outcome="hold", stop_s=0.01):
                await asyncio.wait_for(keeper.hangs.wait(), 20)
            assert await it.states() == ["deferred", "deferred"]
            keeper.hangs, keeper.was = None, [True]
            async with it.runner(unknown_outcome="hold"):
                await it.until(lambda: are(it, "sent", "sent"))
            assert [mail.recipients for mail in theirs.taken] == [["joe@elsewhere.net"]]

    run(main())


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
                await it.until(lambda: tried(it))
                assert keeper.asked == []
                it.now += 1_000
                await it.until(lambda: are(it, "held" if found is None and policy == "hold" else "sent"))
            assert keeper.asked == [("work", b"orig@account.test", 1_800_000_000)]
            assert len(theirs.unsure) == 1
            again = found is False or (found is None and policy == "resend")
            assert len(theirs.taken) == int(again)
            [entry] = await it.queue()
            assert "unknown" in [str(each.state) for each in entry.attempts]
            if found:
                assert "in the account's Sent" in (entry.recipients[0].text or b"").decode()
                assert [report.copy for report in keeper.reports] == [AccountCopy.NONE, AccountCopy.FILED]
            if found is None and policy == "hold":  # whoever lets it go wants it sent
                await it.db.write(lambda tx: _release(tx, entry.recipients[0].id, int(it.now)))
                async with it.runner(unknown_outcome=policy):
                    await it.until(lambda: are(it, "sent"))
                assert len(theirs.taken) == 1

    run(main())


def _release(tx: Tx, row: int, now: int) -> int:
    return queue_admin.release(tx, [row], now, "somebody")


def test_a_copy_that_another_transaction_left_proves_nothing(tmp_path: Path) -> None:
    """One recipient was sent before, under the same Message-ID: the account is not even asked."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as theirs:
            keeper = await with_account(it, theirs)
            theirs.scripts.extend([{"rcpt2": "451 4.7.1 later"}, LOST])
            async with it.runner(unknown_outcome="hold"):
                await submit(it, "eve@elsewhere.net", "joe@elsewhere.net")
                await it.until(lambda: are(it, "sent", "deferred"))
                it.now += 1_000
                await it.until(lambda: _tried_unknown(it))
                it.now += 1_000
                await it.until(lambda: are(it, "sent", "held"))
            assert keeper.asked == []

    run(main())


async def _tried_unknown(it: House) -> bool:
    [entry] = await it.queue()
    return "unknown" in [str(each.state) for each in entry.attempts] and await are(it, "sent", "deferred")


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
                await it.until(lambda: are(it, "sent"))
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
                await it.until(lambda: tried(it))
                it.now += 1_000
                await it.until(lambda: are(it, "held"))
            assert len(keeper.asked) == 1
            assert theirs.taken == []

    run(main())


def test_a_doubt_outlives_the_account(tmp_path: Path) -> None:
    """It was to be asked; it is gone when the message's turn comes, and the relay cannot tell."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as theirs, peer(Peer()) as ours:
            keeper = await with_account(it, theirs)
            it.use_relay(ours.port)
            theirs.scripts.append(LOST)
            async with it.runner(unknown_outcome="hold"):
                await submit(it)
                await it.until(lambda: tried(it))
                assert await it.states() == ["deferred"]
                keeper.change()
                it.now += 1_000
                await it.until(lambda: are(it, "held"))
                await it.db.write(lambda tx: _release(tx, 1, int(it.now)))
                await it.until(lambda: are(it, "sent"))
            assert len(ours.got) == 1

    run(main())
