"""The operations of the queue on a store: what they pick, what they spare, what they tell."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.control.operations import Context, run
from gateway.ingest.writer import Ingest
from gateway.model.errors import InvalidRequest, NotFound
from gateway.store.db import Database

from .helpers import NOW, make_inbox
from .queue_kit import claim, end, send


class NoStream:
    async def receive(self) -> None:
        return None

    async def send(self, frame: Any) -> None:
        raise AssertionError("no operation of the queue says anything before its result")


async def call(db: Database, op: str, **params: Any) -> Any:
    context = Context(db, Ingest(db, now=lambda: float(NOW)), lambda: float(NOW + 1), 1000)
    return await run(context, NoStream(), op, params)


async def found(db: Database, **filters: Any) -> list[str]:
    return [row["recipient"] for row in await call(db, "queue.list", **filters)]


async def test_what_waits_for_consent_or_its_time_is_released_only_when_named(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "operator@x.test", held="operator")
    await send(db, inbox, "approval@x.test", held="approval")
    later = await send(db, inbox, "scheduled@x.test", held="scheduled", release_at=NOW + 500)
    assert later
    [row] = await call(db, "queue.list", reason="scheduled")
    assert (row["next_attempt_at"], row["why"]) == ("2023-11-14T22:21:40Z", "a draft that is sent at its time")
    assert await call(db, "queue.release") == 1
    assert await found(db, state="queued") == ["operator@x.test"]
    assert await call(db, "queue.retry") == 1
    assert await found(db, state="held") == ["approval@x.test", "scheduled@x.test"]
    assert await call(db, "queue.release", reason="approval") == 1
    assert await call(db, "queue.release", submission=row["id"]) == 1
    assert await found(db, state="held") == []


async def test_changes_take_filters(db: Database) -> None:
    anna, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    await send(db, anna, "a@x.test", "b@y.test")
    await send(db, ben, "c@x.test")
    assert await call(db, "queue.hold", to="x.test") == 2
    assert await found(db, state="held") == ["a@x.test", "c@x.test"]
    assert await call(db, "queue.release", inbox=ben.address) == 1
    assert await call(db, "queue.cancel", sender=anna.address, state="queued") == 1
    assert await found(db) == ["a@x.test", "c@x.test"]
    assert await found(db, limit=1) == ["a@x.test"]
    for wrong, error in (({"state": "lost"}, InvalidRequest), ({"inbox": "x@y.test"}, NotFound)):
        with pytest.raises(error):
            await call(db, "queue.list", **wrong)
    with pytest.raises(NotFound):
        await call(db, "queue.hold", submission="0000")


async def test_many_are_changed_in_pieces(db: Database) -> None:
    inbox = await make_inbox(db)
    for number in range(12):
        await send(db, inbox, *(f"{number}-{each}@x.test" for each in range(100)))
    assert await call(db, "queue.hold") == 1200
    assert await call(db, "queue.release") == 1200
    assert await call(db, "queue.cancel") == 1200
    assert await call(db, "queue.stats") == {
        "recipients": 0, "states": {"queued": 0, "sending": 0, "deferred": 0, "held": 0}, "due": 0, "oldest_at": None,
        "destinations": [], "next_hops": None,
    }  # fmt: skip


async def test_show_tells_the_whole_story(db: Database) -> None:
    inbox = await make_inbox(db)
    await send(db, inbox, "a@x.test")
    [row] = await call(db, "queue.list")
    [item] = await claim(db)
    await end(db, item, "deferred", at=NOW + 300)
    await call(db, "queue.hold", submission=row["id"])
    await call(db, "queue.cancel", submission=row["id"])
    shown = await call(db, "queue.show", submission=row["id"])
    assert shown["finished_at"] == "2023-11-14T22:13:21Z"
    assert [(event["event"], event["text"]) for event in shown["history"]] == [
        ("accepted", f"{shown['size']} octets"), ("deferred", "ok \N{REPLACEMENT CHARACTER}"),
        ("held", "the administrator"), ("cancelled", "the administrator"),
    ]  # fmt: skip
