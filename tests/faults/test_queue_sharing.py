"""The queue under load and trouble: who hangs delays nobody else, senders take turns, several processes share it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.delivery.agenda import NextHop
from gateway.delivery.attempt import Attempts, Job
from gateway.delivery.routes import Route, RouteKind, RouteLimits, Routes, Rule
from gateway.delivery.schedule import Schedule
from gateway.delivery.scout import Scout
from gateway.model.ids import InboxId
from gateway.ops.metrics import PrometheusMetrics
from gateway.store import queue_admin
from gateway.store.db import Tx
from gateway.store.queue_claim import Due
from gateway.store.statements import Stmt
from tests.faults.smtp_kit import USER, envelope_of, principal, run
from tests.faults.smtp_relay import DROP, Relay, relay
from tests.faults.smtp_store import House, house

BOB = "bob@example.org"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Of a store: SQLite's is made by `house` itself."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))


async def submit(it: House, number: int, *recipients: str, sender: str = USER, **envelope: Any) -> None:
    who = principal(inbox_id=it.ann if sender == USER else it.bob, inbox_address=sender)
    arrival = it.submissions.begin(envelope_of(who, sender, recipients or ("eve@elsewhere.net",), **envelope))
    await arrival.write(f"From: {sender}\r\nMessage-ID: <{number}@x>\r\nSubject: {number}\r\n\r\nbody\r\n".encode())
    await arrival.finish()


def to(domain: str, route: Route) -> Rule:
    return Rule(1, "*", domain, route)


async def ended(it: House, state: str, count: int) -> bool:
    return Counter(await it.states())[state] == count


@pytest.mark.parametrize("stage", ["greeting", "mail", "rcpt", "data", "final-dot"])
def test_a_next_hop_that_hangs_delays_no_other(tmp_path: Path, stage: str) -> None:
    """It has mail enough for all places, and never answers: mail for another one, which came later, flows."""

    async def main() -> None:
        stuck = Relay(stall_at=stage)
        async with house(tmp_path) as it, relay(stuck), relay() as flowing:
            slow = it.relay("slow", stuck.port)
            it.routes = Routes(it.relay("other", flowing.port), [to("slow.net", slow)])
            for number in range(30):
                await submit(it, number, f"{number}@slow.net")
            async with it.runner(connections=3, per_destination=3, stop_s=0.01):
                await stuck.stalled.wait()
                for number in range(30, 50):
                    await submit(it, number, f"{number}@quick.net")
                await it.until(lambda: ended(it, "sent", 20))
                assert stuck.connections <= 3
            stuck.released.set()

    run(main())


def test_a_sender_with_much_mail_takes_turns_with_one_that_has_little(tmp_path: Path) -> None:
    async def main() -> None:
        peer = Relay(hold=asyncio.Event())
        async with house(tmp_path) as it, relay(peer):
            it.use_relay(peer.port)
            for number in range(60):
                await submit(it, number)
            async with it.runner(connections=1) as runner:
                await peer.at_dot.wait()
                await submit(it, 100, sender=BOB)
                await submit(it, 101, sender=BOB)
                await it.until(lambda: _known(runner))
                assert peer.hold is not None
                peer.hold.set()
                await it.until(lambda: ended(it, "sent", 62))
            order = [mail.mail_from for mail in peer.taken]
            assert order.count(BOB) == 2
            assert order.index(BOB) < 12, "after what was claimed before it came, and its turn"
            assert order.index(BOB, order.index(BOB) + 1) < 14

    async def _known(runner: Any) -> bool:
        [hop] = runner.next_hops()
        return bool(hop["waiting"] + hop["ready"] + hop["active"] == 62)

    run(main())


def test_two_processes_share_a_queue(tmp_path: Path, postgresql_url: str) -> None:
    """Each recipient goes once, whoever claims it; what one holds the other does not take."""

    async def main() -> None:
        async with house(tmp_path, postgresql_url) as it, relay() as one, relay() as two:
            it.use_relay(one.port)
            for number in range(60):
                await submit(it, number, f"{number}@elsewhere.net", f"{number}@other.net")
            async with it.runner(connections=2, recipients=1):
                it.use_relay(two.port)
                async with it.runner(connections=2, recipients=1):
                    await it.until(lambda: ended(it, "sent", 120))
            taken = Counter(to for mail in [*one.taken, *two.taken] for to in mail.recipients)
            assert len(taken) == 120
            assert set(taken.values()) == {1}
            assert one.taken
            assert two.taken

    run(main())


def test_an_open_breaker_keeps_mail_where_it_is_and_one_probe_lets_all_go(tmp_path: Path, url: str) -> None:
    async def main() -> None:
        async with house(tmp_path, url) as it, relay() as peer:
            it.use_relay(peer.port)
            for number in range(30):
                await submit(it, number)
            peer.scripts.extend([{"greeting": "421 4.3.2 no"}] * 1000)
            async with it.runner(connections=2) as runner:
                await it.until(lambda: _open(runner))
                await it.until(lambda: _at_rest(it))
                tried = peer.connections
                assert tried <= 2
                await it.until(lambda: _wait(runner, 30 - tried))  # the plan knows it a moment after the store
                [hop] = runner.next_hops()
                assert (hop["breaker"], hop["active"], hop["waiting"]) == ("open", 0, 30 - tried)
                assert "421" in hop["reason"]
                said = runner.why(it.ann, USER, "eve@elsewhere.net")
                assert said is not None
                assert "421 4.3.2 no" in said
                it.now += 6
                await it.until(lambda: _probed(peer, tried + 1))
                await it.until(lambda: _open(runner))
                await it.until(lambda: _at_rest(it))
                assert peer.connections == tried + 1, "one probe"
                peer.scripts.clear()
                it.now += 16
                await it.until(lambda: ended(it, "sent", 30 - tried - 1))
                it.now += 1000
                await it.until(lambda: ended(it, "sent", 30))
                assert runner.next_hops()[0]["breaker"] == "closed"
                assert runner.why(it.ann, USER, "eve@elsewhere.net") is None
            assert len(peer.taken) == 30

    async def _open(runner: Any) -> bool:
        return [hop["breaker"] for hop in runner.next_hops()] == ["open"]

    async def _at_rest(it: House) -> bool:
        return "sending" not in await it.states()

    async def _wait(runner: Any, recipients: int) -> bool:
        return [hop["waiting"] for hop in runner.next_hops()] == [recipients]

    async def _probed(peer: Relay, connections: int) -> bool:
        return peer.connections >= connections

    run(main())


def test_what_waits_behind_an_open_breaker_is_returned_at_the_end_of_its_life(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            for number in range(8):
                await submit(it, number)
            peer.scripts.extend([{"greeting": "554 5.3.2 go away"}] * 1000)
            plan = Schedule(first=1_000_000.0, longest=1_000_000.0, lifetime=500)
            async with it.runner(connections=1, schedule=plan, survey_s=0.05):
                await it.until(lambda: _some(it, "deferred"))
                it.now += 500
                await it.until(lambda: ended(it, "bounced", 8))
            assert peer.connections <= 4, "they were not tried one by one"
            bounces = await it.mail(it.ann)
            assert len(bounces) == 8
            assert all(b"Status: 4.4.7" in mail.octets and b"go away" in mail.octets for mail in bounces)

    async def _some(it: House, state: str) -> bool:
        return state in await it.states()

    run(main())


def test_a_relay_is_handed_no_more_a_minute_than_it_takes(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.routes = Routes(it.relay("relay", peer.port, limits=RouteLimits(per_minute=12)))
            for number in range(8):
                await submit(it, number)
            async with it.runner() as runner:
                await it.until(lambda: ended(it, "sent", 2))
                assert "12 messages a minute" in (runner.why(it.ann, USER, "eve@elsewhere.net") or "")
                it.now += 5
                await it.until(lambda: ended(it, "sent", 3))
                it.now += 5
                await it.until(lambda: ended(it, "sent", 4))
                assert Counter(await it.states()) == {"sent": 4, "queued": 4}
                while not await ended(it, "sent", 8):
                    it.now += 5
                    await asyncio.sleep(0.01)  # the runner looks at the clock by itself

    run(main())


def test_a_reload_sends_what_waits_another_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(1)  # nobody listens there
            for number in range(10):
                await submit(it, number)
            async with it.runner(connections=1) as runner:
                await it.until(lambda: _tried(it))
                it.use_relay(peer.port)
                runner.routes = it.routes
                await it.until(lambda: ended(it, "sent", 9))
                it.now += 100
                await it.until(lambda: ended(it, "sent", 10))

    async def _tried(it: House) -> bool:
        return await ended(it, "deferred", 1)

    run(main())


def test_a_reload_as_an_attempt_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was claimed for the old way, and would have been next, is not tried that way."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(1)
            first = it.routes
            for number in range(10):
                await submit(it, number)
            async with it.runner(connections=1) as runner:
                make = Attempts.make

                async def reloaded(self: Attempts, hop: NextHop[Job], job: Job) -> None:
                    await make(self, hop, job)
                    if runner.routes is first:
                        it.use_relay(peer.port)
                        runner.routes = it.routes

                monkeypatch.setattr(Attempts, "make", reloaded)
                await it.until(lambda: ended(it, "sent", 9))
                assert await ended(it, "deferred", 1)

    run(main())


def test_a_reload_while_the_queue_is_looked_through(tmp_path: Path) -> None:
    """What that look finds is for the old routes: it is made again."""

    async def main() -> None:
        async with house(tmp_path) as it:
            it.use_relay(1)
            await submit(it, 0)
            met: list[Due] = []

            def hop_of(due: Due) -> str:
                if not met:
                    scout.forget()
                met.append(due)
                return "relay"

            scout = Scout(it.db, hop_of)
            await scout.everything(int(it.now))
            assert not scout.looked
            await scout.everything(int(it.now))
            assert scout.looked
            assert len(met) == 2

    run(main())


def test_what_a_rule_holds_goes_when_somebody_lets_it_go(tmp_path: Path, url: str) -> None:
    async def main() -> None:
        async with house(tmp_path, url) as it, relay() as peer:
            it.routes = Routes(it.relay("relay", peer.port), [to("held.net", Route("hold", RouteKind.HOLD))])
            await submit(it, 1, "a@held.net", "b@elsewhere.net")
            async with it.runner():
                await it.until(lambda: ended(it, "sent", 1))
                await it.until(lambda: ended(it, "held", 1))
                [entry] = await it.queue()
                assert entry.recipients[0].hold_reason == "route"
                numbers = await it.rows()
                await it.db.write(lambda tx: queue_admin.release(tx, numbers, int(it.now), "Ann"))
                await it.until(lambda: ended(it, "sent", 2))
            assert sorted(to for mail in peer.taken for to in mail.recipients) == ["a@held.net", "b@elsewhere.net"]

    run(main())


def test_mail_waits_for_its_release_time_and_may_be_cancelled_till_then(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            await _scheduled(it, it.ann, "a@elsewhere.net")
            await _scheduled(it, it.ann, "b@elsewhere.net")
            async with it.runner(schedule=Schedule(first=60, lifetime=600)):
                await submit(it, 1, "now@elsewhere.net")
                await it.until(lambda: ended(it, "sent", 1))
                first, _, _ = await it.rows()
                await it.db.write(lambda tx: queue_admin.cancel(tx, [first], int(it.now)))
                peer.scripts.append({"mail": "451 4.3.0 not now"})
                it.now += 1000
                await it.until(lambda: ended(it, "deferred", 1))  # its life begins with its release, not before
                it.now += 100
                await it.until(lambda: ended(it, "sent", 2))
            assert [mail.recipients for mail in peer.taken] == [["now@elsewhere.net"], ["b@elsewhere.net"]]

    async def _scheduled(it: House, inbox: InboxId, address: str) -> None:
        who = principal(inbox_id=inbox)
        arrival = it.submissions.begin(envelope_of(who, USER, (address,)))
        await arrival.write(f"From: {USER}\r\nMessage-ID: <{address}>\r\n\r\nbody\r\n".encode())
        await arrival.finish()
        release = Stmt("UPDATE submission SET release_at = :at WHERE id = (SELECT max(id) FROM submission)")
        due = Stmt(
            "UPDATE queue_recipient SET next_attempt = :at WHERE id = (SELECT max(id) FROM queue_recipient)"
        )

        def unit(tx: Tx) -> None:
            tx.run(release, at=int(it.now) + 1000)
            tx.run(due, at=int(it.now) + 1000)

        await it.db.write(unit)

    run(main())


def test_what_may_come_twice_is_counted(tmp_path: Path) -> None:
    async def main() -> None:
        metrics = PrometheusMetrics(strict=True, process=False)
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.append({"final-dot": DROP})
            async with it.runner(metrics=metrics):
                await submit(it, 1)
                await it.until(lambda: ended(it, "deferred", 1))
                it.now += 1000
                await it.until(lambda: ended(it, "sent", 1))
            assert (len(peer.unsure), len(peer.taken)) == (1, 1)
            [entry] = await it.queue()
            first, second = entry.attempts
            assert (first.state, second.state) == ("deferred", "sent")
            assert b"it may have been delivered" in (first.text or b"")
        assert "gateway_delivery_repeated_total 1.0" in metrics.page().decode()

    run(main())


def test_thousands_in_one_submission_go_in_transactions_of_fifty(tmp_path: Path, url: str) -> None:
    async def main() -> None:
        async with house(tmp_path, url) as it, relay() as peer:
            it.use_relay(peer.port)
            await submit(it, 1, *(f"{number}@elsewhere.net" for number in range(1000)))
            async with it.runner():
                await it.until(lambda: ended(it, "sent", 1000))
            assert [len(mail.recipients) for mail in peer.taken] == [50] * 20
            assert len({to for mail in peer.taken for to in mail.recipients}) == 1000
            [entry] = await it.queue()
            assert entry.submission.finished_at is not None

    run(main())
