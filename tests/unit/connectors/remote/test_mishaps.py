"""Which failures of actions are news."""

from __future__ import annotations

from gateway.connectors.remote import mishaps
from gateway.connectors.remote.mishaps import AGAIN_S, Mishaps
from gateway.outbound.failure import Failure
from gateway.store.connectors.rows import ConnectorId

ONE, OTHER = ConnectorId(1), ConnectorId(2)


def test_the_same_again_is_none_for_a_while() -> None:
    now = 1000.0
    some = Mishaps(lambda: now)
    assert some.is_news(ONE, "new", Failure.REFUSED)
    assert not some.is_news(ONE, "new", Failure.REFUSED)
    assert some.is_news(ONE, "new", Failure.TIMEOUT)
    assert some.is_news(ONE, "move", Failure.REFUSED)
    assert some.is_news(OTHER, "new", Failure.REFUSED)
    now += AGAIN_S - 1
    assert not some.is_news(ONE, "new", Failure.REFUSED)
    now += 1
    assert some.is_news(ONE, "new", Failure.REFUSED)
    assert not some.is_news(ONE, "new", Failure.REFUSED)


def test_what_is_old_is_forgotten_and_there_is_a_limit() -> None:
    now = 0.0
    some = Mishaps(lambda: now)
    for number in range(mishaps.MOST + 10):
        some.is_news(ConnectorId(number), "new", Failure.REFUSED)
    assert len(some._told) == mishaps.MOST
    now += AGAIN_S
    some.is_news(ONE, "move", Failure.REFUSED)
    assert len(some._told) == 1
