"""One host of many accounts: a ramp, an outage, the way back. And what one account may use."""

from __future__ import annotations

from gateway.connectors.plan.budget import DAY, AccountLimits, OctetBudget
from gateway.connectors.plan.destination import LEAST_ACCOUNTS, WINDOW_S, Destination, DestinationLimits
from gateway.outbound.breaker import BreakerState

LIMITS = DestinationLimits(logins_per_minute=60, burst=2)


def opened(destination: Destination, at: float = 0.0) -> None:
    for account in range(LEAST_ACCOUNTS):
        destination.failed(account, at, "it is away", 0.5)
    assert destination.state(at) is BreakerState.OPEN


def test_a_start_is_a_ramp() -> None:
    destination = Destination(LIMITS)
    for _ in range(2):
        assert destination.wait(0.0) == 0.0
        destination.begin(0.0)
    assert destination.wait(0.0) == 1.0
    assert destination.wait(1.0) == 0.0


def test_no_more_connections_than_allowed() -> None:
    destination = Destination(DestinationLimits(0, 0, connections=1))
    assert destination.wait(0.0) == 0.0
    destination.begin(0.0)
    assert destination.wait(0.0) is None
    destination.ended()
    assert destination.wait(0.0) == 0.0
    assert destination.idle


def test_few_that_fail_are_their_own_trouble() -> None:
    destination = Destination(LIMITS)
    for _ in range(100):
        destination.failed(1, 0.0, "away", 0.5)
    assert destination.state(0.0) is BreakerState.CLOSED


def test_many_that_fail_beside_more_that_work_do_not_stop_the_others() -> None:
    destination = Destination(LIMITS)
    for account in range(100, 110):
        destination.succeeded(account, 0.0)
    for account in range(8):
        destination.failed(account, 0.0, "away", 0.5)
    assert destination.state(0.0) is BreakerState.CLOSED


def test_half_of_at_least_five_stop_all_and_one_account_asks_for_them() -> None:
    destination = Destination(LIMITS)
    opened(destination)
    wait = destination.wait(0.0)
    assert wait is not None
    assert wait >= 60.0
    destination.begin(wait)
    assert destination.wait(wait) is None, "one asks"
    assert destination.succeeded(1, wait)
    destination.ended()
    assert destination.state(wait) is BreakerState.CLOSED


def test_a_probe_that_fails_waits_longer() -> None:
    destination = Destination(LIMITS)
    opened(destination)
    destination.begin(100.0)
    assert destination.failed(1, 100.0, "still away", 0.5)
    wait = destination.wait(100.0)
    assert wait is not None
    assert wait >= 100.0


def test_a_probe_that_asked_nothing_lets_another_one_go() -> None:
    destination = Destination(LIMITS)
    opened(destination)
    destination.begin(100.0)
    destination.abandoned()
    assert destination.wait(100.0) == 0.0


def test_failures_of_long_ago_do_not_count() -> None:
    destination = Destination(LIMITS)
    for account in range(LEAST_ACCOUNTS - 1):
        destination.failed(account, 0.0, "away", 0.5)
    assert not destination.failed(9, WINDOW_S, "away", 0.5)
    assert destination.state(WINDOW_S) is BreakerState.CLOSED


def test_older_mail_leaves_room_for_new_mail() -> None:
    budget = OctetBudget(AccountLimits(octets_per_day=100, backfill_share=0.7))
    assert budget.wait(0.0, backfill=True) == 0.0
    budget.used(70, 0.0)
    assert budget.wait(10.0, backfill=True) == DAY - 10.0
    assert budget.wait(10.0, backfill=False) == 0.0
    budget.used(30, 10.0)
    assert budget.wait(10.0, backfill=False) == DAY - 10.0
    assert budget.wait(DAY, backfill=True) == 0.0


def test_no_limit_of_octets() -> None:
    budget = OctetBudget(AccountLimits())
    budget.used(1 << 50, 0.0)
    assert budget.wait(0.0, backfill=True) == 0.0
