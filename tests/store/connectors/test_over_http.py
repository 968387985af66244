"""What the HTTP side asks of the store: events in pages, who began a login, a message by how its EMAILID begins."""

from __future__ import annotations

from functools import partial

from gateway.model.ids import KeyId
from gateway.store import email_prefix, messages
from gateway.store.connectors import accounts, event_pages, events, oauth_owners
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.event_pages import EventFilter
from gateway.store.connectors.events import EventKind, EventStatus, NewEvent
from gateway.store.connectors.oauth_owners import LoginOwner
from gateway.store.db import Database, Tx
from gateway.store.rows import Columns
from gateway.web.mailslurp import ids
from tests.store.helpers import NOW, fill, mailbox_id, make_inbox

from .kit import make_account


async def test_events_come_in_pages(db: Database) -> None:
    mine = await make_account(db)
    new = NewConnector(mine.inbox.pod_id, "else", "else@elsewhere.test", inbox_id=mine.inbox.id)
    other = await db.write(lambda tx: accounts.create(tx, new, now=NOW))
    for number in range(6):
        kind, status = ("SYNC", "FAILED") if number % 3 == 0 else ("SEND", "SUCCESS")
        event = NewEvent(EventKind(kind), EventStatus(status))
        for row in (mine.row, other):
            await db.write(partial(events.add, connector_id=row.id, new=event, now=NOW + number))
    wanted = EventFilter([mine.row.id])

    async def page(wanted: EventFilter, limit: int = 100, **more: int) -> list[int]:
        found = await db.read(lambda rx: event_pages.page(rx, wanted, limit=limit, **more))  # type: ignore[arg-type]
        assert {event.connector_id for event in found} <= {mine.row.id, other.id}
        return [event.at - NOW for event in found]

    assert await page(wanted) == [5, 4, 3, 2, 1, 0]
    assert await page(wanted, 2, skipped=1) == [4, 3]
    assert await page(wanted, 2, oldest_first=True) == [0, 1]
    assert await db.read(lambda rx: event_pages.count(rx, wanted)) == 6
    assert await page(EventFilter([mine.row.id], EventKind.SYNC)) == [3, 0]
    assert await page(EventFilter([mine.row.id], failed=True, since=NOW + 1)) == [3]
    assert await page(EventFilter([mine.row.id], before_at=NOW + 2)) == [1, 0]
    assert await page(EventFilter([mine.row.id, other.id])) == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    assert await page(EventFilter([])) == []
    newest = (await db.read(lambda rx: event_pages.page(rx, wanted, limit=1)))[0].id
    await db.write(lambda tx: events.mark_seen(tx, [newest]))
    assert await page(EventFilter([mine.row.id], unseen=True)) == [4, 3, 2, 1, 0]
    assert await page(EventFilter([mine.row.id], before=newest)) == [4, 3, 2, 1, 0]


async def test_a_login_has_an_owner_until_it_is_over(db: Database) -> None:
    owner = LoginOwner(KeyId(7), "c-1")
    await db.write(lambda tx: oauth_owners.keep(tx, "state", owner, expires=NOW + 900, now=NOW))
    assert await db.read(lambda rx: oauth_owners.find(rx, "state", NOW)) == owner
    assert await db.read(lambda rx: oauth_owners.find(rx, "other", NOW)) is None
    assert await db.read(lambda rx: oauth_owners.find(rx, "state", NOW + 900)) is None

    def later(tx: Tx) -> None:
        oauth_owners.keep(tx, "second", LoginOwner(KeyId(8), "c-2"), expires=NOW + 1800, now=NOW + 900)

    await db.write(later)  # which forgets what has expired
    assert await db.read(lambda rx: oauth_owners.find(rx, "state", NOW)) is None
    await db.write(lambda tx: oauth_owners.drop(tx, "second"))
    assert await db.read(lambda rx: oauth_owners.find(rx, "second", NOW)) is None


async def test_a_message_is_found_by_how_its_emailid_begins(db: Database) -> None:
    inbox = await make_inbox(db)
    other = await make_inbox(db, "bert@mail.test")
    mailbox = await mailbox_id(db, inbox.id)
    uids = await fill(db, inbox.id, mailbox, 20)
    rows = await db.read(lambda rx: messages.fetch_rows(rx, mailbox, uids, Columns.EMAIL_ID))
    for _, email_id in rows:
        key = ids.message_key(ids.message_uuid(inbox.id, email_id))
        assert key is not None
        number, begins = key
        assert number == inbox.id
        assert await db.read(partial(email_prefix.email_id_of, inbox_id=inbox.id, begins=begins)) == email_id
        assert await db.read(partial(email_prefix.email_id_of, inbox_id=other.id, begins=begins)) is None
        swapped = begins.swapcase()
        assert await db.read(partial(email_prefix.email_id_of, inbox_id=inbox.id, begins=swapped)) is None
