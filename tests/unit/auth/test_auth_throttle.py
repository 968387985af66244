"""Throttling against a plain model, its memory bound, and the connection counters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.throttle import DAY, MINUTE, ConnectionLimits, LoginThrottle, ThrottlePolicy, source_of
from gateway.model.errors import LimitReached
from gateway.model.ids import InboxId


@pytest.mark.parametrize(("peer", "source"), [
    ("192.0.2.7", "192.0.2.7"),
    ("::ffff:192.0.2.7", "192.0.2.7"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
    ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
    ("fe80::1%eth0", "fe80::/64"),
    ("unix", "unix"),
    ("", ""),
])
def test_the_source_that_is_throttled(peer: str, source: str) -> None:
    assert source_of(peer) == source


def test_ten_a_minute() -> None:
    throttle = LoginThrottle()
    for second in range(10):
        assert throttle.wait("a", second) == 0
        throttle.fail("a", second)
    assert throttle.wait("a", 10) == MINUTE - 10
    assert throttle.wait("b", 10) == 0, "another source is untouched"
    assert throttle.wait("a", 59.5) == 0.5
    assert throttle.wait("a", 60) == 0
    throttle.fail("a", 60)
    assert throttle.wait("a", 60) == 1, "the second failure is a minute old at 61"


def test_fifty_a_day_then_a_growing_delay() -> None:
    throttle = LoginThrottle(ThrottlePolicy(per_minute=10, per_day=50, first_delay=30, longest_delay=3600))
    now = 0.0
    for _ in range(50):
        now += 10
        assert throttle.wait("a", now) == 0
        throttle.fail("a", now)
    waits = []
    for _ in range(10):
        wait = throttle.wait("a", now)
        waits.append(wait)
        now += wait
        assert throttle.wait("a", now) == 0
        throttle.fail("a", now)
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert throttle.wait("a", 10 + DAY) == 0, "a day after its first failure the source starts afresh"
    throttle.fail("a", 10 + DAY)
    assert throttle.wait("a", 10 + DAY) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 400)), max_size=120))
def test_admitted_failures_never_exceed_the_policy(steps: list[tuple[str, float]]) -> None:
    policy = ThrottlePolicy(per_minute=3, per_day=7, first_delay=20, longest_delay=500)
    throttle = LoginThrottle(policy)
    now = 0.0
    admitted: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for source, step in steps:
        now += step
        before = admitted[source]
        if throttle.wait(source, now) > 0:
            # A source is closed only for a reason the policy names.
            recent = sum(1 for at in before if at > now - MINUTE)
            today = sum(1 for at in before if at > now - DAY)
            assert recent >= policy.per_minute or today >= policy.per_day
            continue
        throttle.fail(source, now)
        before.append(now)
        # Tolerance: now - MINUTE is rounded differently from at + MINUTE.
        assert sum(1 for at in before if at > now - MINUTE + 1e-6) <= policy.per_minute
    for times in admitted.values():
        # 7, then delays of 20, 40, 80, 160, 320, 500 …: at most so many in the first day.
        first_day = [at for at in times if at < times[0] + DAY] if times else []
        assert len(first_day) <= policy.per_day + 6 + DAY / policy.longest_delay


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(-100, 100)), max_size=200))
def test_memory_is_bounded_and_a_jumping_clock_never_closes_for_ever(steps: list[tuple[int, float]]) -> None:
    policy = ThrottlePolicy(per_minute=2, per_day=4, first_delay=5, longest_delay=100, sources=8)
    throttle = LoginThrottle(policy)
    now = 1000.0
    for source, step in steps:
        now += step
        throttle.fail(str(source), now)
        assert len(throttle) <= 8
        assert 0 <= throttle.wait(str(source), now) <= 100


def test_a_reloaded_policy_holds_at_once() -> None:
    throttle = LoginThrottle(ThrottlePolicy(per_minute=10))
    for _ in range(5):
        throttle.fail("a", 0)
    throttle.policy = ThrottlePolicy(per_minute=3)
    assert throttle.wait("a", 1) == MINUTE - 1
    throttle.policy = ThrottlePolicy(per_minute=20)
    throttle.fail("a", 1)
    assert throttle.wait("a", 1) == 0


def test_connections_by_source() -> None:
    limits = ConnectionLimits(per_source=2, per_inbox=1)
    limits.open("a")
    limits.open("a")
    limits.open("b")
    with pytest.raises(LimitReached):
        limits.open("a")
    assert limits.connections == 3
    limits.close("a")
    limits.open("a")
    for source in "aab":
        limits.close(source)
    assert limits.connections == 0
    assert not limits._sources, "nothing is kept of sources that left"


def test_sessions_by_inbox() -> None:
    limits = ConnectionLimits(per_inbox=1)
    limits.enter(InboxId(1))
    with pytest.raises(LimitReached, match="inbox"):
        limits.enter(InboxId(1))
    limits.enter(InboxId(2))
    assert limits.sessions == 2
    limits.leave(InboxId(1))
    limits.enter(InboxId(1))
    limits.leave(InboxId(1))
    limits.leave(InboxId(2))
    assert limits.sessions == 0
    assert not limits._inboxes
