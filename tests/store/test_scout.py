"""Looks through the queue: everything, then what is new, each once."""

from __future__ import annotations

import pytest

from gateway.delivery import scout
from gateway.delivery.lanes import Lanes
from gateway.delivery.scout import MARGIN_S, Scout
from gateway.store import queue_claim
from gateway.store.db import Database

from .helpers import NOW, make_inbox
from .queue_kit import claim, end, send


class Watch:
    """A scout that sorts by domain, with the lanes it fills."""

    def __init__(self, db: Database) -> None:
        self.scout = Scout(db, lambda due: due.address.rpartition("@")[2])
        self.lanes: dict[str, Lanes] = {}

    async def everything(self, now: int) -> dict[str, int]:
        self.lanes = await self.scout.everything(now)
        return self.waiting

    async def news(self, now: int) -> int:
        return await self.scout.news(now, lambda name: self.lanes.setdefault(name, Lanes()))

    async def arrivals(self, now: int) -> int:
        return await self.scout.arrivals(now, lambda name: self.lanes.setdefault(name, Lanes()))

    @property
    def waiting(self) -> dict[str, int]:
        return {name: lanes.waiting for name, lanes in self.lanes.items()}


async def test_a_whole_look_finds_all_that_is_due(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "a@x.test", "b@y.test")
    await send(db, inbox, "c@x.test", held="operator")
    await send(db, inbox, "d@x.test", now=NOW + 10)
    [first, _] = await claim(db)
    await end(db, first, "deferred", at=NOW + 3)
    watch = Watch(db)
    assert (watch.scout.looked, watch.scout.until) == (False, -1)
    assert await watch.everything(NOW + 5) == {"x.test": 1}
    assert (watch.scout.looked, watch.scout.until) == (True, NOW + 5)
    assert await watch.everything(NOW + 60) == {"x.test": 2, "y.test": 1}, "the lease is over"


async def test_more_than_a_page_is_found(db: Database) -> None:
    inbox = await make_inbox(db)
    for number in range(4):
        await send(db, inbox, *(f"{number}-{each}@x.test" for each in range(5)), now=NOW + number % 2)
    before, scout_page = scout.PAGE, 3
    try:
        scout.PAGE = scout_page  # type: ignore[misc]
        watch = Watch(db)
        assert await watch.everything(NOW + 5) == {"x.test": 20}
        numbers = [pick.recipients for pick in watch.lanes["x.test"].take("x", 99, 1)]
        assert len(set(numbers)) == 20
        watch.scout.claimed(number for (number,) in numbers)
        watch.lanes.clear()
        assert await watch.news(NOW + 6) == 20
    finally:
        scout.PAGE = before  # type: ignore[misc]


async def test_news_are_told_once_also_when_their_commit_came_late(db: Database) -> None:
    inbox = await make_inbox(db)
    watch = Watch(db)
    assert await watch.everything(NOW) == {}
    await send(db, inbox, "a@x.test")
    await send(db, inbox, "late@x.test", now=NOW - MARGIN_S + 1)
    await send(db, inbox, "future@x.test", now=NOW + 1)
    assert await watch.news(NOW) == 2
    assert await watch.news(NOW) == 0
    assert await watch.news(NOW + 1) == 1
    assert watch.waiting == {"x.test": 3}


async def test_what_was_claimed_is_news_when_it_is_due_again(db: Database) -> None:
    inbox = await make_inbox(db)
    watch = Watch(db)
    await watch.everything(NOW)
    await send(db, inbox, "a@x.test")
    assert await watch.news(NOW) == 1
    [item] = await claim(db)
    watch.scout.claimed([item.recipient_id])
    assert await watch.news(NOW + 1) == 0
    await end(db, item, "deferred", at=NOW + 2)
    assert await watch.news(NOW + 2) == 1


async def test_what_is_given_back_is_known(db: Database) -> None:
    inbox = await make_inbox(db)
    watch = Watch(db)
    await watch.everything(NOW)
    await send(db, inbox, "a@x.test")
    await watch.news(NOW)
    [item] = await claim(db)
    watch.scout.claimed([item.recipient_id])
    watch.scout.given_back([item.recipient_id], NOW + 1)
    await db.write(lambda tx: queue_claim.unclaim(tx, [item.recipient_id], "me", NOW + 1))
    assert await watch.news(NOW + 1) == 0
    assert await watch.everything(NOW + 100) == {"x.test": 1}


async def test_a_lease_that_ends_is_news_once(db: Database) -> None:
    inbox = await make_inbox(db)
    watch = Watch(db)
    await send(db, inbox, "a@x.test")
    await claim(db)
    await watch.everything(NOW + 1)
    assert await watch.news(NOW + 59) == 0
    assert await watch.news(NOW + 60) == 1
    assert await watch.news(NOW + 61) == 0


async def test_a_clock_set_back_and_forward_misses_nothing(db: Database) -> None:
    inbox = await make_inbox(db)
    watch = Watch(db)
    await send(db, inbox, "a@x.test", now=NOW + 1000)
    await watch.everything(NOW + 500)
    assert await watch.news(NOW) == 0
    assert await watch.news(NOW + 5000) == 1


async def test_arrivals_are_found_by_number_each_once(db: Database) -> None:
    inbox = await make_inbox(db)
    watch = Watch(db)
    assert await watch.arrivals(NOW) == 0
    await send(db, inbox, "a@x.test", "b@y.test")
    assert await watch.everything(NOW) == {"x.test": 1, "y.test": 1}
    assert await watch.arrivals(NOW) == 0, "a whole look knows them"
    await send(db, inbox, "c@x.test", now=NOW + 1)
    await send(db, inbox, "d@x.test", held="operator")
    await send(db, inbox, "e@x.test", now=NOW + 100)
    await send(db, inbox, "f@x.test", now=NOW + 1)
    assert await watch.arrivals(NOW + 1) == 2
    assert (watch.scout.arrived, watch.scout.until) == (NOW + 1, NOW)
    assert watch.waiting == {"x.test": 3, "y.test": 1}
    assert await watch.arrivals(NOW + 1) == 0
    assert await watch.news(NOW + 2) == 0, "the look by time knows them too"
    assert await watch.news(NOW + 100) == 1, "what was put off is not forgotten"


async def test_arrivals_of_more_than_a_page(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "PAGE", 3)
    inbox = await make_inbox(db)
    watch = Watch(db)
    await watch.everything(NOW)
    await send(db, inbox, *(f"{number}@x.test" for number in range(10)))
    assert await watch.arrivals(NOW) == 10
    assert watch.waiting == {"x.test": 10}
