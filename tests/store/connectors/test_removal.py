"""The end of a connector: nothing of it is left, and nothing of anybody else's is missing."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.maintain.janitor import Janitor
from gateway.maintain.settings import JanitorSettings
from gateway.model.errors import NotFound
from gateway.store import addresses, inboxes, messages
from gateway.store.connectors import accounts, cursors, events, lease, ops, poison, removal
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.rows import ConnectorId, LeaseLost
from gateway.store.db import Database, Tx
from gateway.store.statements import Stmt
from tests.store.helpers import DOMAIN, NOW, make_inbox, put

from .kit import ACCOUNT, VALIDITY, Account, arrival, make_account

TABLES = (
    "connector", "remote_folder", "remote_message", "remote_place", "local_source", "remote_poison", "pending_op",
    "connector_event", "poll_cursor",
)  # fmt: skip


async def counts(db: Database) -> dict[str, int]:
    return {table: await db.read(lambda rx, t=table: rx.scalar(Stmt(f"SELECT count(*) FROM {t}"))) for table in TABLES}


async def filled(db: Database, **options: Any) -> Account:
    """Something in each table."""
    account = await make_account(db, **options)
    folder = await account.folder()
    box = await account.box("INBOX")
    await account.bring(folder, [arrival(uid, box) for uid in range(1, 8)])
    claim = account.claim

    def unit(tx: Tx) -> None:
        poison.note(tx, claim, folder.id, VALIDITY, 99, "NIL", next_try=NOW + 1, now=NOW)
        ops.plan(tx, claim, "k", "append", {}, now=NOW)
        events.add(tx, account.row.id, events.NewEvent(events.EventKind.SYNC, events.EventStatus.FAILED), now=NOW)
        cursors.advance(tx, account.row.id, "poll", b"INBOX", VALIDITY, 5, version=0, now=NOW)

    await account.write(unit)
    assert all((await counts(db)).values())
    return account


async def sweep(db: Database, limit: int = 3) -> int:
    units = 0
    for connector_id, _ in await db.read(removal.removed):
        while not await db.write(lambda tx, number=connector_id: removal.sweep(tx, number, limit)):
            units += 1
    return units


async def test_a_removed_connector_is_gone_at_once_and_its_rows_in_pieces(db: Database) -> None:
    account = await filled(db)
    number = account.row.id
    await account.twice(lambda tx: _remove(tx, number))
    for look in (
        lambda rx: accounts.get(rx, number), lambda rx: accounts.find(rx, "work"),
        lambda rx: accounts.find(rx, account.row.uuid), lambda rx: accounts.find(rx, ACCOUNT),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            await db.read(look)
    assert await db.read(accounts.page) == []
    assert len(await db.read(lambda rx: addresses.addresses(rx, account.inbox.id))) == 1
    with pytest.raises(LeaseLost):
        await account.write(lambda tx: lease.fence(tx, account.claim, NOW))
    again = await db.write(
        lambda tx: accounts.create(
            tx, NewConnector(account.inbox.pod_id, "work", ACCOUNT, inbox_id=account.inbox.id), now=NOW
        )
    )
    assert await sweep(db) > 8  # bounded pieces
    assert await counts(db) == {table: int(table == "connector") for table in TABLES}
    assert (await db.read(lambda rx: accounts.get(rx, again.id))).address == ACCOUNT
    assert len(await account.mail()) == 7


def _remove(tx: Tx, number: ConnectorId) -> None:
    try:
        removal.remove(tx, number, now=NOW)
    except NotFound:
        assert (number, removal.removed(tx)[0][1]) == removal.removed(tx)[0]


async def test_the_address_stays_with_the_next_connector_of_the_account(db: Database) -> None:
    account = await make_account(db)
    other = await db.write(
        lambda tx: accounts.create(
            tx, NewConnector(account.inbox.pod_id, "two", ACCOUNT, inbox_id=account.inbox.id), now=NOW
        )
    )

    async def has() -> bool:
        return ACCOUNT in {each.address for each in await db.read(lambda rx: addresses.addresses(rx, account.inbox.id))}

    await db.write(lambda tx: removal.remove(tx, account.row.id, now=NOW))
    assert await has()
    await db.write(lambda tx: removal.remove(tx, other.id, now=NOW))
    assert not await has()


async def test_an_address_that_was_given_otherwise_stays(db: Database) -> None:
    inbox = await make_inbox(db)
    await db.write(lambda tx: addresses.add_address(tx, inbox.id, ACCOUNT, "external", now=NOW))
    new = NewConnector(inbox.pod_id, "work", ACCOUNT, inbox_id=inbox.id)
    row = await db.write(lambda tx: accounts.create(tx, new, now=NOW))
    await db.write(lambda tx: removal.remove(tx, row.id, now=NOW))
    assert len(await db.read(lambda rx: addresses.addresses(rx, inbox.id))) == 2


async def test_its_mail_goes_only_if_that_is_asked_for(db: Database) -> None:
    account = await filled(db)
    box = await account.box("INBOX")
    await account.write(lambda tx: put(tx, account.inbox.id, box))  # somebody else's
    await account.write(lambda tx: messages.expunge(tx, account.inbox.id, box, [2], only_deleted=False, now=NOW))
    await account.write(lambda tx: accounts.set_enabled(tx, account.row.id, False, now=NOW))
    after: removal.DropCursor | None = removal.START
    units = 0
    while after is not None:
        at = after
        after = await account.write(lambda tx, at=at: removal.drop_mail(tx, account.row.id, at, now=NOW, limit=3))
        units += 1
    assert units == 4
    assert list(await account.mail()) == [8]


async def test_the_janitor_takes_away_what_was_removed(db: Database) -> None:
    account = await filled(db)
    await account.write(lambda tx: removal.remove(tx, account.row.id, now=NOW))
    settings = JanitorSettings(pause_seconds=0, piece_rows=2)
    done = await Janitor(db, settings, lambda: NOW).run_once()
    assert done["removed_connectors"] > 0
    assert not any((await counts(db)).values())
    assert (await Janitor(db, settings, lambda: NOW).run_once())["removed_connectors"] == 0


async def test_the_janitor_forgets_old_events(db: Database) -> None:
    account = await filled(db)
    settings = JanitorSettings(pause_seconds=0)
    early = NOW + settings.connector_event_seconds - 1
    assert (await Janitor(db, settings, lambda: early).run_once())["connector_events"] == 0
    assert (await Janitor(db, settings, lambda: early + 1).run_once())["connector_events"] == 1
    assert (await counts(db))["connector_event"] == 0
    assert (await counts(db))["connector"] == 1
    assert account.row.enabled


async def test_a_purged_inbox_leaves_nothing_of_its_connectors(db: Database) -> None:
    account = await filled(db)
    await make_inbox(db, f"other@{DOMAIN}")
    inbox = account.inbox.id
    await account.write(lambda tx: inboxes.delete_inbox(tx, inbox, NOW))
    while not await account.write(lambda tx: inboxes.purge_inbox(tx, inbox, 3)):
        assert await db.read(lambda rx: rx.scalar(Stmt("SELECT count(*) FROM inbox"))) == 2
    assert not any((await counts(db)).values())
    assert await db.read(lambda rx: inboxes.inbox_by_id(rx, inbox)) is None
