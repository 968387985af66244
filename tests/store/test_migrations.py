"""A store made by the first schema opens with its mail: what later versions keep is filled in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from gateway.model.ids import InboxId
from gateway.store import listing, mailboxes, migrate, quota
from gateway.store.check import check
from gateway.store.db import open_database
from gateway.store.urls import parse_url
from tests.servers import postgres

from .helpers import NOW, mailbox_id, put

FIRST = "0001"
ROWS = (
    "INSERT INTO pod (uuid, name, created_at) VALUES ('p', 'pod', 1)",
    "INSERT INTO domain (name, pod_id, created_at) VALUES ('example.test', 1, 1)",
    "INSERT INTO inbox (uuid, pod_id, created_at, epoch, modseq, last_uidvalidity) VALUES ('i', 1, 1, 'e', 5, 13)",
    "INSERT INTO address (address, inbox_id, kind) VALUES ('anna@example.test', 1, 'primary')",
    *(
        "INSERT INTO mailbox (inbox_id, name, object_id, uidvalidity, highest_modseq, noselect)"
        f" VALUES (1, '{name}', 'F{number}', {number}, 2, {noselect})"
        for number, name, noselect in ((11, "INBOX", 0), (12, "a", 1), (13, "a/b", 0))
    ),
)


def make_first(url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    engine = migrate.make_engine(parse_url(url))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, FIRST)
        for row in ROWS:
            connection.execute(text(row))
        connection.commit()
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        (tmp_path / "old.db").touch(mode=0o600)
        return f"sqlite:///{tmp_path}/old.db"
    cluster: postgres.Cluster = request.getfixturevalue("cluster")
    cluster.execute("DROP DATABASE IF EXISTS first_schema WITH (FORCE)")
    cluster.execute("CREATE DATABASE first_schema")
    return cluster.url("first_schema")


async def test_a_store_of_the_first_schema_opens(old_url: str, runner: asyncio.Runner) -> None:
    await asyncio.to_thread(make_first, old_url)
    await migrate.migrate(old_url)
    inbox = InboxId(1)
    db = open_database(old_url)
    await db.start()
    try:
        assert await db.read(check) == []
        usage = await db.read(lambda rx: quota.usage(rx, inbox))
        assert (usage.mailboxes, usage.limits) == (2, quota.NO_LIMITS)
        assert {row.name for row in await db.read(lambda rx: listing.mailboxes(rx, inbox))} == {"INBOX", "a", "a/b"}
        before = await db.read(lambda rx: listing.tree_version(rx, inbox))
        await db.write(lambda tx: mailboxes.create(tx, inbox, "a", now=NOW), inboxes=(inbox,))
        assert await db.read(lambda rx: listing.tree_version(rx, inbox)) != before
        box = await mailbox_id(db, inbox)
        await db.write(lambda tx: put(tx, inbox, box), inboxes=(inbox,))
        assert (await db.read(lambda rx: quota.usage(rx, inbox))).mailboxes == 3
        assert await db.read(check) == []
    finally:
        await db.close()
