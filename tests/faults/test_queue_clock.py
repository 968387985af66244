"""Clocks that jump, and rules that scheduled drafts go by, on the whole way."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from gateway.delivery.routes import Route, RouteKind, Routes, Rule
from gateway.store import content, drafts, messages, queue_claim, submissions
from gateway.store.db import Tx
from gateway.store.holds import draft_id
from tests.faults.smtp_kit import USER, run
from tests.faults.smtp_relay import Relay, relay
from tests.faults.smtp_store import House, house
from tests.faults.test_queue_sharing import ended, submit, url
from tests.store.helpers import staged, submission

__all__ = ["url"]
HOUR = 3_600


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_jumps_doubles_nothing_that_was_claimed(tmp_path: Path, url: str, jump: int) -> None:
    """A machine that slept: all leases are over at once, of what is under way and of what waits for its turn."""

    async def main() -> None:
        peer = Relay(hold=asyncio.Event())
        async with house(tmp_path, url) as it, relay(peer):
            it.use_relay(peer.port)
            for number in range(20):
                await submit(it, number, f"{number}@elsewhere.net")
            async with it.runner(connections=1, per_destination=1, lease_s=900):
                await peer.at_dot.wait()
                it.now += jump
                await submit(it, 20, "20@elsewhere.net")
                await it.until(lambda: _renewed(it))
                assert peer.hold is not None
                peer.hold.set()
                it.now += max(0, -jump)
                await it.until(lambda: ended(it, "sent", 21))
            assert set(Counter(to for mail in peer.taken for to in mail.recipients).values()) == {1}
            entries = await it.queue()
            assert "interrupted" not in {event.state for entry in entries for event in entry.attempts}
            await it.sound()

    async def _renewed(it: House) -> bool:
        leases = [each.lease_until for entry in await it.queue() for each in entry.recipients]
        return all(lease is None or lease > it.now for lease in leases)

    run(main())


def test_what_another_process_took_meanwhile_is_not_begun(tmp_path: Path, url: str) -> None:
    """Our leases ended while the clock jumped, and somebody has the rows now."""

    async def main() -> None:
        peer = Relay(hold=asyncio.Event())
        async with house(tmp_path, url) as it, relay(peer):
            it.use_relay(peer.port)
            for number in range(3):
                await submit(it, number, f"{number}@elsewhere.net")
            async with it.runner(connections=1, per_destination=1, lease_s=900, poll_s=60.0):
                await peer.at_dot.wait()
                claimed = [each for entry in await it.queue() for each in entry.recipients if each.state == "sending"]
                assert len(claimed) == 3
                rows = [each.id for each in claimed if each.address != "0@elsewhere.net"]
                it.now += HOUR
                await it.db.write(lambda tx: queue_claim.claim(tx, rows, int(it.now), 9_000, "other"))
                assert peer.hold is not None
                peer.hold.set()
                await it.until(lambda: ended(it, "sent", 1))
                await submit(it, 3, "3@elsewhere.net")
                await it.until(lambda: ended(it, "sent", 2))
            assert [to for mail in peer.taken for to in mail.recipients] == ["0@elsewhere.net", "3@elsewhere.net"]

    run(main())


def test_the_clock_lets_nothing_past_a_rule_that_holds(tmp_path: Path, url: str) -> None:
    """That a draft waited for its time is nobody's consent."""

    async def main() -> None:
        async with house(tmp_path, url) as it, relay() as peer:
            it.routes = Routes(
                it.relay("relay", peer.port), [Rule(1, "*", "elsewhere.net", Route("hold", RouteKind.HOLD))]
            )
            made, name = staged(b"Subject: x\r\n\r\nbody", message_id=b"1@x"), draft_id()
            new = submission(
                it.ann, USER, made, ["eve@elsewhere.net"], draft=name, release_at=int(it.now), hold_reason="scheduled"
            )

            def keep(tx: Tx) -> None:
                now = int(it.now)
                content.complete(tx, made, now)
                box = drafts.place(tx, it.ann, now)
                messages.append(tx, box, it.ann, made, internal_date=now, now=now, email_id=name)
                number = submissions.enqueue(tx, new, now)
                drafts.release(tx, number, now, "its time has come")

            await it.db.write(keep, inboxes=(it.ann,))
            async with it.runner():
                await it.until(lambda: ended(it, "held", 1))
            [[recipient]] = [entry.recipients for entry in await it.queue()]
            assert recipient.hold_reason == "route"
            assert peer.taken == []

    run(main())
