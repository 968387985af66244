"""Searches of the API with the trigram index: the same answers as without it, and few texts are looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.access import listing
from gateway.access.digest import Digests
from gateway.access.listing import Cursor
from gateway.access.messages import list_messages
from gateway.access.query import Query
from gateway.store import trigrams
from gateway.store.trigrams import Index, IndexDamaged, Trigrams

from .helpers import DOMAIN
from .test_access_listing import who
from .trigram_place import Place, always_asked, place

__all__ = ["always_asked", "place"]

ADDRESS = f"anna@{DOMAIN}"


@dataclass
class Kept:
    """Who keeps an index."""

    index: Index | None
    reported: list[Index] = field(default_factory=list)

    def damaged(self, index: Index, /) -> None:
        self.reported.append(index)
        self.index = None


async def listed(place: Place, texts: Trigrams | None, query: Query, limit: int = 3) -> list[str]:
    """Ids of all pages; that they end is part of it."""
    found: list[str] = []
    cursor: Cursor | None = None
    for _ in range(200):
        page = await list_messages(place.db, Digests(), who(), ADDRESS, query, cursor, limit, texts)
        assert page.next is None or page.next != cursor
        found += [message.id for message in page.messages]
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError("no end")


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows' texts were looked at, at a time."""
    seen: list[int] = []
    holding = listing.holding

    def watched(rx: Any, rows: Any, needles: Any) -> Any:
        seen.append(len(rows))
        return holding(rx, rows, needles)

    monkeypatch.setattr(listing, "holding", watched)
    return seen


async def test_it_answers_as_without_the_index(place: Place, looked: list[int]) -> None:
    colours, things = ("green", "red", "red"), ("needle", *["hay"] * 6)
    await place.bring(*(f"number {at} {colours[at % 3]} {things[at % 7]}" for at in range(40)))
    await place.caught_up()
    await place.bring("a red needle that is late", "late hay")  # not in the index
    kept = Kept(place.builder.index)
    for query in (
        Query(text="NEEDLE"), Query(text="needle", rising=True), Query(text="red", mailbox="INBOX"), Query(text="e n"),
        Query(text="needle", subject="mail"), Query(text="ne"), Query(text="nowhere"), Query(text="late", unread=True),
    ):  # fmt: skip
        for limit in (1, 3, 100):
            right = await listed(place, None, query, limit)
            assert await listed(place, kept, query, limit) == right, (query, limit)
    looked.clear()
    assert len(await listed(place, kept, Query(text="needle"), 100)) == 7
    assert sum(looked) == 8, "six that hold it, and what the index does not know"
    assert kept.reported == []


async def test_a_stretch_without_any_is_passed_at_once(
    place: Place, looked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each scan ends somewhere; what it ruled out is not walked again."""
    await place.bring("the needle", *["hay"] * 30)
    await place.caught_up()
    monkeypatch.setattr(listing, "MOST_ROWS", 4)
    monkeypatch.setattr(listing, "LOOKED", 8)
    assert len(await listed(place, Kept(place.builder.index), Query(text="needle"))) == 1
    assert looked == [1]


async def test_the_time_of_a_scan(place: Place, looked: list[int]) -> None:
    """Where it is over, the next scan begins behind what was looked at or ruled out."""
    await place.bring(*["needle and hay"] * 5, *["hay"] * 30)
    await place.caught_up()
    index, seconds = place.builder.index, iter(range(1000))
    cursors, cursor = [], None
    while True:
        page = await place.db.read(
            lambda rx, at=cursor: listing.page(  # type: ignore[misc]
                rx, who(), ADDRESS, Query(text="needle"), at, 2, index, lambda: float(next(seconds))
            )
        )
        cursors.append(cursor := page.next)
        if cursor is None:
            break
    assert len(set(cursors)) == len(cursors)


async def test_a_damaged_index_is_reported_and_done_without(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.bring("needle", "hay")
    await place.caught_up()
    index = place.builder.index
    assert index is not None

    def damaged(*_: Any) -> None:
        raise IndexDamaged("The trigram index is damaged")

    monkeypatch.setattr(trigrams, "may_hold", damaged)
    kept = Kept(index)
    assert len(await listed(place, kept, Query(text="needle"))) == 1
    assert kept.reported == [index]
    with pytest.raises(IndexDamaged):
        await place.db.read(lambda rx: listing.page(rx, who(), ADDRESS, Query(text="needle"), None, 5, index))


async def test_header_fields_are_looked_into(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As quick as asking."""
    await place.bring("needle", "hay")
    await place.caught_up()

    def asked(*_: Any) -> None:
        raise AssertionError("the index is asked")

    monkeypatch.setattr(trigrams, "may_hold", asked)
    assert len(await listed(place, Kept(place.builder.index), Query(subject="mail"))) == 2
