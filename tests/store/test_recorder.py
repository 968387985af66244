"""Outcomes of several attempts in one unit: what one entry does wrong is its own affair."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from gateway.delivery.policy import Decision
from gateway.delivery.recorder import Ended, Recorder
from gateway.model.errors import Unavailable
from gateway.store import counters
from gateway.store.db import Database, Tx
from gateway.store.inboxes import Inbox
from gateway.store.queue import QueueItem, QueueState

from .helpers import NOW, make_inbox, opened
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


class Meeting:
    """A node's database, whose units begin when those of another node have begun too, or cannot."""

    def __init__(self, db: Database, both: threading.Barrier) -> None:
        self._db = db
        self._both = both
        self.runs = 0

    async def write(self, unit: Callable[[Tx], Any], **options: Any) -> Any:
        def met(tx: Tx) -> Any:
            self.runs += 1
            with suppress(threading.BrokenBarrierError):
                self._both.wait(0.5)  # who waits for a lock does not come: the other one goes on without it
            return unit(tx)

        return await self._db.write(met, **options)


class Told:
    """A notice to an inbox, which locks it, as appending does."""

    size = 1

    def __init__(self, inbox: Inbox) -> None:
        self.inbox_id = inbox.id

    def deliver(self, tx: Tx, *_: Any) -> bool:
        counters.draw(tx, self.inbox_id)
        return True


async def test_nodes_that_note_outcomes_of_the_same_inboxes_do_not_deadlock(
    postgresql_url: str, runner: asyncio.Runner
) -> None:
    """Each tells another one of two inboxes: what it locks first must not depend on whom it tells."""
    async with opened(postgresql_url) as one, opened(postgresql_url) as two:
        pair = [await make_inbox(one), await make_inbox(one, "ben@example.test")]
        for inbox in pair:
            for number in range(2):
                await send(one, inbox, f"{number}@x.test")
        items = sorted(await claim(one), key=lambda item: (item.address, item.inbox_id))
        both, meetings = threading.Barrier(2), []
        writers = []
        for db, inbox in zip((one, two), pair, strict=True):

            class Notices:
                async def after(self, ended: Ended, now: int, inbox: Inbox = inbox) -> Told | None:
                    return Told(inbox) if ended.items[0].inbox_id == inbox.id else None

            meetings.append(Meeting(db, both))
            writers.append(recorder(meetings[-1], Notices()))
        await asyncio.gather(
            *(writers[number // 2].write(sent(item)) for number, item in enumerate(items))
        )
        assert [meeting.runs for meeting in meetings] == [1, 1], "none was undone and run again"
