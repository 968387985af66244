"""Outcomes of several attempts in one unit: what one entry does wrong is its own affair."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.delivery.policy import Decision
from gateway.delivery.recorder import Ended, Recorder
from gateway.model.errors import Unavailable
from gateway.store.db import Database, Tx
from gateway.store.queue import QueueItem, QueueState

from .helpers import NOW, make_inbox
from .queue_kit import claim, send, states


class Counted:
    """The database of a recorder: counts units, and fails those it is told to."""

    def __init__(self, db: Database, fails: Callable[[int], BaseException | None] = lambda number: None) -> None:
        self._db = db
        self._fails = fails
        self.units = 0

    async def write(self, unit: Callable[[Tx], Any], **options: Any) -> Any:
        self.units += 1
        if error := self._fails(self.units):
            raise error
        return await self._db.write(unit, **options)


class NoNotices:
    async def after(self, ended: Ended, now: int) -> None:
        return None


def sent(item: QueueItem) -> Ended:
    return Ended([item], [Decision(QueueState.SENT, 250, "2.0.0", "ok")], "mx.test", b"")


def recorder(db: Any, notices: Any = None) -> Recorder:
    return Recorder(db, notices or NoNotices(), owner="me", clock=lambda: float(NOW))


async def test_what_ends_meanwhile_is_written_together(db: Database) -> None:
    inbox = await make_inbox(db)
    ids = [await send(db, inbox, f"{number}@x.test") for number in range(30)]
    items = await claim(db)
    counted = Counted(db)
    writer = recorder(counted)
    await asyncio.gather(*(writer.write(sent(item)) for item in items))
    assert [await states(db, each) for each in ids] == [["sent"]] * 30
    assert counted.units <= 3


async def test_an_outage_is_everybodys_and_a_defect_is_one_entrys(db: Database) -> None:
    inbox = await make_inbox(db)
    ids = [await send(db, inbox, f"{number}@x.test") for number in range(3)]
    items = await claim(db)
    away = recorder(Counted(db, lambda number: Unavailable("away")))
    for outcome in await asyncio.gather(*(away.write(sent(item)) for item in items), return_exceptions=True):
        assert isinstance(outcome, Unavailable)

    class Wrong:
        """A notice whose unit fails."""

        inbox_id, size = inbox.id, 1

        def deliver(self, *_: Any) -> bool:
            raise ZeroDivisionError

    class OneIsWrong:
        async def after(self, ended: Ended, now: int) -> Wrong | None:
            return Wrong() if ended.items[0].address == "1@x.test" else None

    writer = recorder(db, OneIsWrong())
    outcomes = await asyncio.gather(*(writer.write(sent(item)) for item in items), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), ZeroDivisionError, type(None)]
    assert [await states(db, each) for each in ids] == [["sent"], ["sending"], ["sent"]]


async def test_nothing_is_lost_by_waiting_for_the_end(db: Database) -> None:
    inbox = await make_inbox(db)
    one = await send(db, inbox, "a@x.test")
    [item] = await claim(db)
    writer = recorder(db)
    await writer.drained(1)
    task = asyncio.create_task(writer.write(sent(item)))
    await asyncio.sleep(0)
    await writer.drained(30)
    assert await states(db, one) == ["sent"]
    await task


@pytest.mark.parametrize("state", [QueueState.SENT, QueueState.BOUNCED])
async def test_a_lost_lease_writes_nothing(db: Database, state: QueueState) -> None:
    inbox = await make_inbox(db)
    one = await send(db, inbox, "a@x.test")
    [item] = await claim(db, owner="another")
    await recorder(db).write(Ended([item], [Decision(state, 250, None, "ok")], None, b""))
    assert await states(db, one) == ["sending"]
