"""Events, pollers' cursors and messages that cannot be had."""

from __future__ import annotations

import pytest

from gateway.model.errors import InvalidName, NotFound
from gateway.store.connectors import cursors, events, poison
from gateway.store.connectors.events import Event, EventKind, EventStatus, Filter, NewEvent
from gateway.store.connectors.rows import Changed, ConnectorId
from gateway.store.db import Database
from tests.store.helpers import NOW

from .kit import VALIDITY, Account, arrival, make_account


async def add(account: Account, kind: str = "SYNC", status: str = "SUCCESS", now: int = NOW, **facts: object) -> int:
    new = NewEvent(EventKind(kind), EventStatus(status), **facts)  # type: ignore[arg-type]
    number: int = await account.write(lambda tx: events.add(tx, account.row.id, new, now=now))
    return number


async def test_an_event_comes_back_as_it_was_written(db: Database) -> None:
    account = await make_account(db)
    number = await add(
        account, "SEND", "FAILED", failure="throttled", size=77, run="r-1", message="later\x00",
        detail={"count": 2, "email_ids": ["M1", "M2"]}, log="A1 LOGIN ***\n",
    )  # fmt: skip
    found = await db.read(lambda rx: events.get(rx, number))
    assert found == Event(
        number, account.row.id, EventKind.SEND, EventStatus.FAILED, NOW, "r-1", "throttled", 77, "later\ufffd",
        {"count": 2, "email_ids": ["M1", "M2"]}, False,
    )  # fmt: skip
    assert await db.read(lambda rx: events.log_of(rx, number)) == "A1 LOGIN ***\n"
    assert await db.read(lambda rx: events.log_of(rx, number)) is not None
    plain = await add(account)
    assert await db.read(lambda rx: events.log_of(rx, plain)) is None
    for look in (events.get, events.log_of):
        with pytest.raises(NotFound):
            await db.read(lambda rx, look=look: look(rx, plain + 9))
    with pytest.raises(NotFound):
        await db.write(
            lambda tx: events.add(
                tx, ConnectorId(account.row.id + 9), NewEvent(EventKind.SYNC, EventStatus.SUCCESS), now=NOW
            )
        )


async def test_long_logs_keep_both_ends(db: Database) -> None:
    account = await make_account(db)
    log = "first é\n" + "x" * events.MAX_LOG * 2 + "\nlast é"
    number = await add(account, log=log, message="m" * 9_999, detail={"email_ids": [f"M{n}" for n in range(5_000)]})
    kept = await db.read(lambda rx: events.log_of(rx, number))
    assert kept is not None
    assert kept.startswith("first é\nxx")
    assert kept.endswith("xx\nlast é")
    assert len(kept.encode()) <= events.MAX_LOG
    found = await db.read(lambda rx: events.get(rx, number))
    assert len(found.message or "") == events.MAX_MESSAGE
    assert len(found.detail["email_ids"]) == events.MAX_IDS


async def test_lists_filters_and_following(db: Database) -> None:
    account = await make_account(db)
    ids = [
        await add(account, kind, status)
        for kind, status in (("SYNC", "SUCCESS"), ("SEND", "FAILED"), ("SYNC", "FAILED"), ("SEND", "SUCCESS"))
    ]
    number = account.row.id

    async def newest(wanted: Filter, **options: int) -> list[int]:
        return [each.id for each in await db.read(lambda rx: events.newest(rx, wanted, **options))]

    assert await newest(Filter(), limit=2) == [ids[3], ids[2]]
    assert await newest(Filter(number), before=ids[2]) == [ids[1], ids[0]]
    assert await newest(Filter(number, EventKind.SEND)) == [ids[3], ids[1]]
    assert await newest(Filter(status=EventStatus.FAILED)) == [ids[2], ids[1]]
    assert await newest(Filter(ConnectorId(number + 9))) == []
    assert await db.read(events.last) == ids[3]
    followed = await db.read(lambda rx: events.since(rx, ids[1], Filter(number)))
    assert [each.id for each in followed] == ids[2:]
    assert [each.id for each in await db.read(lambda rx: events.since(rx, 0, limit=3))] == ids[:3]
    assert await db.write(lambda tx: events.mark_seen(tx, [ids[0], ids[0], 999])) == 1
    assert await newest(Filter(number, unseen=True)) == [ids[3], ids[2], ids[1]]
    assert await db.write(lambda tx: events.mark_seen(tx, ids[1:3])) == 2
    assert await newest(Filter(unseen=True)) == [ids[3]]


async def test_old_ones_are_forgotten(db: Database) -> None:
    account = await make_account(db)
    ids = [await add(account, now=NOW + number) for number in range(6)]
    assert await db.write(lambda tx: events.prune(tx, NOW + 1, 100)) == 2
    while await db.write(lambda tx: events.prune(tx, NOW + 3, 1)):
        pass
    assert [each.id for each in await db.read(events.newest)] == [ids[5], ids[4]]
    assert await add(account) > ids[5]  # numbers are never used again


async def test_pollers_take_turns_by_version(db: Database) -> None:
    account = await make_account(db)
    number = account.row.id

    async def move(uid: int, version: int, name: str = "poll") -> cursors.PollCursor:
        return await db.write(
            lambda tx: cursors.advance(tx, number, name, b"INBOX", VALIDITY, uid, version=version, now=NOW)
        )

    assert await db.read(lambda rx: cursors.get(rx, number, "poll")) is None
    first = await move(5, 0)
    assert (first.uid, first.version) == (5, 1)
    with pytest.raises(Changed):
        await move(6, 0)
    second = await move(9, first.version)
    with pytest.raises(Changed):
        await move(7, first.version)
    assert await db.read(lambda rx: cursors.cursors(rx, number)) == [second]
    with pytest.raises(InvalidName):
        await move(1, 0, "a\nb")
    with pytest.raises(NotFound):
        await db.write(
            lambda tx: cursors.advance(tx, ConnectorId(number + 9), "p", b"", 1, 1, version=0, now=NOW)
        )
    await db.write(lambda tx: cursors.remove(tx, number, "poll"))
    with pytest.raises(NotFound):
        await db.write(lambda tx: cursors.remove(tx, number, "poll"))


async def test_poison_is_counted_and_cured_by_its_import(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder()
    box = await account.box("INBOX")

    async def note(uid: int) -> int:
        found: int = await account.write(
            lambda tx: poison.note(tx, account.claim, folder.id, VALIDITY, uid, "NIL\x00", next_try=NOW + 9, now=NOW)
        )
        return found

    assert [await note(4), await note(4), await note(6)] == [1, 2, 1]
    found = await db.read(lambda rx: poison.page(rx, folder.id, VALIDITY))
    assert [(each.uid, each.tries, each.reason, each.next_try) for each in found] == [
        (4, 2, "NIL\ufffd", NOW + 9), (6, 1, "NIL\ufffd", NOW + 9),
    ]  # fmt: skip
    await account.bring(folder, [arrival(4, box)])
    assert [each.uid for each in await db.read(lambda rx: poison.page(rx, folder.id, VALIDITY))] == [6]
    await account.write(lambda tx: poison.forget(tx, account.claim, folder.id, VALIDITY, [6], now=NOW))
    assert await db.read(lambda rx: poison.page(rx, folder.id, VALIDITY)) == []
