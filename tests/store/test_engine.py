"""What both engines promise: units are atomic and durable one by one, reads see one state, wakes follow commits."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model.errors import ConfigError, InvalidRequest, Unavailable
from gateway.model.ids import InboxId, MailboxId
from gateway.store.db import Database, Rx, Tx, Wake, WakeKind, open_database
from gateway.store.statements import Stmt

PUT = Stmt("INSERT INTO meta (key, value) VALUES (:key, :value)")
BUMP = Stmt(
    "INSERT INTO meta (key, value) VALUES ('n', '1')"
    " ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS integer) + 1 AS text) RETURNING value"
)
KEYS = Stmt("SELECT key FROM meta WHERE key IN :TEXTS(keys) ORDER BY key")
COUNT = Stmt("SELECT count(*) FROM meta WHERE key LIKE 'k%'")
HERE = (InboxId(1),)


def put(key: str) -> object:
    def unit(tx: Tx) -> str:
        tx.do(PUT, key=key, value="v")
        return key

    return unit


async def test_a_failing_unit_undoes_itself_only(db: Database, runner: asyncio.Runner) -> None:
    def failing(tx: Tx) -> None:
        tx.do(PUT, key="bad", value="v")
        raise InvalidRequest("no")

    units = [put("a"), failing, put("b"), failing, put("c")]
    results = await asyncio.gather(*(db.write(unit, inboxes=HERE) for unit in units), return_exceptions=True)
    assert [result if isinstance(result, str) else type(result) for result in results] == [
        "a",
        InvalidRequest,
        "b",
        InvalidRequest,
        "c",
    ]
    assert await db.read(lambda rx: rx.all(KEYS, keys=["a", "b", "bad", "c"])) == [("a",), ("b",), ("c",)]


async def test_a_violated_constraint_fails_one_unit_of_a_group(db: Database, runner: asyncio.Runner) -> None:
    units = [put("a"), put("a"), put("b")]
    results = await asyncio.gather(*(db.write(unit, inboxes=HERE) for unit in units), return_exceptions=True)
    assert sum(isinstance(result, Exception) for result in results) == 1
    assert await db.read(lambda rx: rx.all(KEYS, keys=["a", "b"])) == [("a",), ("b",)]


async def test_concurrent_units_lose_no_update(db: Database, runner: asyncio.Runner) -> None:
    async def many(inbox: int) -> list[int]:
        return [int(await db.write(lambda tx: tx.scalar(BUMP), inboxes=(InboxId(inbox),))) for _ in range(20)]

    drawn = [number for numbers in await asyncio.gather(*(many(inbox) for inbox in range(8))) for number in numbers]
    assert sorted(drawn) == list(range(1, 161))


async def test_run_counts_rows_and_do_is_ordered_before_it(db: Database, runner: asyncio.Runner) -> None:
    def unit(tx: Tx) -> tuple[int, int]:
        for number in range(3):
            tx.do(PUT, key=f"k{number}", value="v")
        return tx.run(Stmt("UPDATE meta SET value = 'w' WHERE key LIKE 'k%'")), tx.scalar(COUNT)

    assert await db.write(unit) == (3, 3)


async def test_a_read_sees_one_state(db: Database, runner: asyncio.Runner) -> None:
    loop = asyncio.get_running_loop()

    def query(rx: Rx) -> tuple[int, int]:
        before = rx.scalar(COUNT)
        asyncio.run_coroutine_threadsafe(db.write(put("k1")), loop).result(10)  # commits between our two looks
        return before, rx.scalar(COUNT)

    assert await db.read(query) == (0, 0)
    assert await db.tiny(lambda rx: rx.scalar(COUNT)) == 1


async def test_a_read_cannot_write(db: Database, runner: asyncio.Runner) -> None:
    def query(rx: Rx) -> None:
        rx.all(Stmt("DELETE FROM meta RETURNING key"))

    await db.write(put("k1"))
    with pytest.raises(Exception, match=r"read-?only"):
        await db.read(query)
    assert await db.read(lambda rx: rx.scalar(COUNT)) == 1


async def test_a_failing_query_leaves_the_reader_usable(db: Database, runner: asyncio.Runner) -> None:
    def failing(rx: Rx) -> None:
        raise InvalidRequest("no")

    for _ in range(4):
        with pytest.raises(InvalidRequest):
            await db.read(failing)
        with pytest.raises(InvalidRequest):
            await db.tiny(failing)
    assert await db.read(lambda rx: rx.scalar(COUNT)) == 0


async def test_wakes_come_after_the_commit_and_only_then(db: Database, runner: asyncio.Runner) -> None:
    seen: list[Wake] = []
    visible: list[asyncio.Task[int]] = []

    def listener(wake: Wake) -> None:
        seen.append(wake)
        visible.append(asyncio.ensure_future(db.read(lambda rx: rx.scalar(COUNT))))

    unsubscribe = db.subscribe(listener)

    def unit(tx: Tx) -> None:
        tx.do(PUT, key="k1", value="v")
        tx.wake(InboxId(1), MailboxId(2))
        tx.wake(InboxId(1), MailboxId(2))
        tx.wake(None, kind=WakeKind.KEYS)
        assert seen == []

    def failing(tx: Tx) -> None:
        tx.wake(InboxId(3))
        raise InvalidRequest("no")

    await db.write(unit)
    with pytest.raises(InvalidRequest):
        await db.write(failing)
    assert seen == [Wake(WakeKind.MAIL, InboxId(1), MailboxId(2)), Wake(WakeKind.KEYS)]
    assert await asyncio.gather(*visible) == [1, 1]
    unsubscribe()
    await db.write(lambda tx: tx.wake(InboxId(9)))
    assert len(seen) == 2


async def test_one_listeners_defect_does_not_silence_the_others(db: Database, runner: asyncio.Runner) -> None:
    seen: list[Wake] = []

    def broken(wake: Wake) -> None:
        raise RuntimeError("listener")

    db.subscribe(broken)
    db.subscribe(seen.append)
    await db.write(lambda tx: tx.wake(InboxId(1)))
    assert seen == [Wake(WakeKind.MAIL, InboxId(1))]


async def test_a_cancelled_caller_does_not_disturb_the_others(db: Database, runner: asyncio.Runner) -> None:
    tasks = [asyncio.ensure_future(db.write(put(f"k{number}"), inboxes=HERE)) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == [f"k{number}" for number in range(1, 20, 2)]
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])


async def test_closing_finishes_what_was_queued(url: str, runner: asyncio.Runner) -> None:
    database = open_database(url)
    await database.start()
    tasks = [asyncio.ensure_future(database.write(put(f"k{number}"), inboxes=HERE)) for number in range(50)]
    await asyncio.sleep(0)
    await database.close()
    assert len(await asyncio.gather(*tasks)) == 50
    for call in (database.write(put("late")), database.read(lambda rx: 1), database.tiny(lambda rx: 1)):
        with pytest.raises(Unavailable):
            await call
    again = open_database(url)
    await again.start()
    assert await again.read(lambda rx: rx.scalar(COUNT)) == 50
    await again.close()


async def test_units_without_inboxes_keep_their_order(db: Database, runner: asyncio.Runner) -> None:
    order: list[int] = []
    await asyncio.gather(*(db.write(lambda tx, n=number: order.append(n)) for number in range(30)))
    assert order == list(range(30))


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///", "gateway.db"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///"):
        open_database(url)
