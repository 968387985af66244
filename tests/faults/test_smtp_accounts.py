"""Mail that leaves through an inbox's own account: which does, what comes back, and who is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.delivery.accounts import Account
from gateway.delivery.routes import Route, RouteKind, RouteLimits, Routes, Rule
from gateway.model.errors import SenderNotAuthorized
from gateway.outbound.sent_copy import AccountCopy, SentPolicy
from gateway.submit.errors import NoRoute
from tests.faults.smtp_accounts import ADDRESS, account, are, submit, with_account
from tests.faults.smtp_kit import USER, principal, run
from tests.faults.smtp_peer import Peer, peer
from tests.faults.smtp_store import house

CONNECTOR = Route("connector", RouteKind.CONNECTOR)


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
                await it.until(lambda: are(it, *["sent"] * 4))
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
                await it.until(lambda: are(it, "held", "sent"))
            assert theirs.got == []

    run(main())


def test_a_rule_sends_anybody_through_the_account_of_his_inbox(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, peer(Peer()) as theirs:
            it.routes = Routes(None, [rule(1, "*", "*", CONNECTOR)])
            keeper = await with_account(it, theirs)
            async with it.runner():
                await submit(it, sender=USER)
                await it.until(lambda: are(it, "sent"))
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
                await it.until(lambda: are(it, "sent", "bounced"))
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
                await it.until(lambda: are(it, "sent"))
            [entry] = await it.queue()
            [report] = keeper.reports
            assert (report.account_id, report.inbox_id, report.submission) == (1, it.ann, entry.submission.uuid)
            assert (report.message_id, report.size) == (b"orig@account.test", entry.submission.size)
            assert (report.sent, report.fallback, report.remote) == (True, False, "127.0.0.1")
            assert report.copy is AccountCopy.PROBE
            assert report.log == ("127.0.0.1: peer ESMTP", "<eve@elsewhere.net>: sent 250 2.0.0 taken")
            # A server that says it is Gmail's files what it takes; one that is asked never to be touched is not.
            theirs.replies["greeting"] = ["220 smtp.gmail.com ESMTP x - gsmtp"] * 2
            async with it.runner():
                await submit(it, number=1)
                await it.until(lambda: are(it, "sent", "sent"))
            assert keeper.reports[1].copy is AccountCopy.FILED
            keeper.change(account(it.ann, sent_policy=SentPolicy.NEVER))
            async with it.runner():
                await submit(it, number=2)
                await it.until(lambda: are(it, "sent", "sent", "sent"))
            assert keeper.reports[2].copy is AccountCopy.NONE

    run(main())


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
                await it.until(lambda: are(it, *["sent"] * 3))
                [hop] = runner.next_hops()
                assert (hop["name"], hop["places"], hop["rate"]) == ("connector:work#1", 3, 30)

    run(main())
