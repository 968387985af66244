"""Live sessions end when their key or inbox does, and only then; each exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest

from gateway.auth.lookup import Refusal
from gateway.auth.sessions import REASONS, LiveSessions, Pair
from gateway.auth.throttle import ConnectionLimits
from gateway.model.errors import LimitReached, Unavailable
from gateway.model.ids import InboxId, KeyId
from gateway.model.permissions import Principal
from gateway.store.db import Wake, WakeKind
from tests.unit.auth.auth_fakes import PRINCIPAL, FakeClock, FakeDatabase


class Timers:
    """`call_later` that tests fire."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.set: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, function: Callable[[], None]) -> Any:
        entry = (self.clock.now + delay, function)
        self.set.append(entry)
        timers = self.set

        class Timer:
            def cancel(self) -> None:
                if entry in timers:
                    timers.remove(entry)

        return Timer()

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        while due := [entry for entry in self.set if entry[0] <= self.clock.now]:
            self.set.remove(due[0])
            due[0][1]()


class World:
    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.clock = FakeClock()
        self.timers = Timers(self.clock)
        self.db = FakeDatabase()
        self.bad: dict[Pair, Refusal] = {}
        self.asked: list[set[Pair]] = []
        self.ended: list[tuple[str, str]] = []
        self.live = LiveSessions(
            self.db, self.clock, limits=limits, call_later=self.timers.call_later, review=self.review  # type: ignore[arg-type]
        )
        self.live.start()

    def review(self, _rx: Any, pairs: Collection[Pair], _now: float) -> dict[Pair, Refusal]:
        self.asked.append(set(pairs))
        return {pair: self.bad[pair] for pair in pairs if pair in self.bad}

    def add(self, name: str, key: int = 5, inbox: int = 7, expires: int | None = None) -> Any:
        return self.live.add(who(key, inbox, expires), lambda reason: self.ended.append((name, reason)))

    def wake(self, kind: WakeKind, inbox: int | None = None) -> None:
        for listener in self.db.listeners:
            listener(Wake(kind, None if inbox is None else InboxId(inbox)))

    async def settle(self) -> None:
        while self.live._task is not None:
            await asyncio.gather(self.live._task)
            await asyncio.sleep(0)


def who(key: int = 5, inbox: int = 7, expires: int | None = None) -> Principal:
    return replace(PRINCIPAL, key_id=KeyId(key), inbox_id=InboxId(inbox), expires_at=expires)


def test_a_revoked_key_ends_all_its_sessions_and_no_other() -> None:
    async def run() -> None:
        world = World()
        world.add("a", key=5)
        world.add("b", key=5, inbox=8)
        world.add("c", key=6)
        world.bad = {(KeyId(5), InboxId(7)): Refusal.REVOKED, (KeyId(5), InboxId(8)): Refusal.REVOKED}
        world.wake(WakeKind.KEYS)
        await world.settle()
        assert sorted(world.ended) == [("a", REASONS[Refusal.REVOKED]), ("b", REASONS[Refusal.REVOKED])]
        assert len(world.live) == 1
        assert world.db.reads == 1, "one read for all of them"
        world.wake(WakeKind.KEYS)
        await world.settle()
        assert len(world.ended) == 2, "each is ended once"

    asyncio.run(run())


def test_an_inbox_wake_asks_only_for_sessions_of_that_inbox() -> None:
    async def run() -> None:
        world = World()
        world.add("a", inbox=7)
        world.add("b", inbox=8)
        world.bad = {(KeyId(5), InboxId(7)): Refusal.UNKNOWN_INBOX}
        world.wake(WakeKind.INBOX, 7)
        await world.settle()
        assert world.asked == [{(KeyId(5), InboxId(7))}]
        assert world.ended == [("a", REASONS[Refusal.UNKNOWN_INBOX])]
        world.wake(WakeKind.INBOX, 9)
        await world.settle()
        assert len(world.asked) == 1, "a new inbox concerns nobody"
        world.wake(WakeKind.INBOX)
        await world.settle()
        assert len(world.asked) == 2, "after an outage every session is looked at"

    asyncio.run(run())


@pytest.mark.parametrize("kind", [WakeKind.MAIL, WakeKind.QUEUE])
def test_other_wakes_cost_nothing(kind: WakeKind) -> None:
    async def run() -> None:
        world = World()
        world.add("a")
        world.wake(kind, 7)
        await world.settle()
        assert world.asked == []

    asyncio.run(run())


def test_a_session_that_closed_itself_is_not_ended() -> None:
    async def run() -> None:
        limits = ConnectionLimits(per_inbox=1)
        world = World(limits)
        handle = world.add("a")
        with pytest.raises(LimitReached):
            world.add("b")
        handle.close()
        handle.close()
        assert limits.sessions == 0
        stop = world.live.watch(who(), lambda reason: world.ended.append(("w", reason)))
        stop()
        world.bad = {(KeyId(5), InboxId(7)): Refusal.REVOKED}
        world.wake(WakeKind.KEYS)
        await world.settle()
        assert world.ended == []
        assert limits.sessions == 0

    asyncio.run(run())


def test_a_login_that_races_with_a_revocation_is_looked_at_again() -> None:
    async def run() -> None:
        world = World()
        world.wake(WakeKind.KEYS)  # before the session is added, after its login read the store
        world.bad = {(KeyId(5), InboxId(7)): Refusal.REVOKED}
        world.add("a")
        await world.settle()
        assert world.ended == [("a", REASONS[Refusal.REVOKED])]
        world.bad = {}
        world.clock.now += 61
        world.add("b")
        await world.settle()
        assert len(world.asked) == 1, "without a recent wake-up a login costs no further read"

    asyncio.run(run())


def test_a_wake_during_a_review_leads_to_another() -> None:
    async def run() -> None:
        world = World()
        world.add("a")
        plain = world.review

        def review(rx: Any, pairs: Collection[Pair], now: float) -> dict[Pair, Refusal]:
            found = plain(rx, pairs, now)
            if len(world.asked) == 1:
                world.bad = {(KeyId(5), InboxId(7)): Refusal.REVOKED}
                world.wake(WakeKind.KEYS)
            return found

        world.live._review = review
        world.wake(WakeKind.KEYS)
        await world.settle()
        assert len(world.asked) == 2
        assert [name for name, _ in world.ended] == ["a"]

    asyncio.run(run())


def test_an_outage_delays_the_review(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr("gateway.auth.sessions.RETRY", 0)
        world = World()
        world.add("a")
        world.bad = {(KeyId(5), InboxId(7)): Refusal.REVOKED}
        world.db.failure = Unavailable("away")
        world.wake(WakeKind.KEYS)
        for _ in range(5):
            await asyncio.sleep(0)
        assert world.ended == []
        world.db.failure = None
        await world.settle()
        assert [name for name, _ in world.ended] == ["a"]

    asyncio.run(run())


def test_one_faulty_session_does_not_keep_the_others_open() -> None:
    async def run() -> None:
        world = World()

        def broken(_reason: str) -> None:
            raise ValueError("a defect")

        world.live.add(who(), broken)
        world.add("b")
        world.live.add(who(), broken)
        world.bad = {(KeyId(5), InboxId(7)): Refusal.REVOKED}
        world.wake(WakeKind.KEYS)
        await world.settle()
        assert [name for name, _ in world.ended] == ["b"]
        assert len(world.live) == 0

    asyncio.run(run())


def test_expiry_needs_no_wake() -> None:
    world = World()
    now = int(world.clock.now)
    world.add("late", key=1, expires=now + 100)
    world.add("soon", key=2, expires=now + 10)
    world.add("never", key=3)
    closed = world.add("closed", key=4, expires=now + 10)
    assert len(world.timers.set) == 1, "one timer for the earliest"
    closed.close()
    world.timers.advance(9)
    assert world.ended == []
    world.timers.advance(1)
    assert world.ended == [("soon", REASONS[Refusal.EXPIRED])]
    world.timers.advance(90)
    assert [name for name, _ in world.ended] == ["soon", "late"]
    assert world.timers.set == []
    assert len(world.live) == 1


def test_a_clock_set_back_does_not_expire_early_and_far_expiries_are_looked_at_hourly() -> None:
    world = World()
    world.add("a", expires=int(world.clock.now) + 10_000)
    assert world.timers.set[0][0] == world.clock.now + 3600
    world.timers.advance(3600)
    assert world.ended == []
    world.timers.advance(6400)
    assert [name for name, _ in world.ended] == ["a"]


def test_memory_of_closed_sessions_is_given_back() -> None:
    world = World(ConnectionLimits(per_inbox=10_000))
    for _ in range(1000):
        world.add("a", expires=int(world.clock.now) + 10_000).close()
    assert len(world.live._expiries) < 200
    assert not world.live._pairs


def test_close_stops_listening() -> None:
    async def run() -> None:
        world = World()
        world.add("a", expires=int(world.clock.now) + 10)
        world.wake(WakeKind.KEYS)
        await world.live.close()
        assert world.db.listeners == []
        assert world.timers.set == []
        assert world.live._task is None

    asyncio.run(run())
