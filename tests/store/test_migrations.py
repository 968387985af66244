"""A store made by the first schema opens with its mail: what later versions keep is filled in."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from gateway.model.ids import InboxId, MailboxId
from gateway.store import changes, listing, mailboxes, messages, migrate, quota
from gateway.store.check import check
from gateway.store.db import open_database
from gateway.store.statements import Stmt
from gateway.store.upgrade import make_engine
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


def scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    return config


STRAYS = (
    "INSERT INTO webhook (uuid, scope, inbox_id, url, created_at, updated_at) VALUES ('gone', 'inbox', 7, 'u', 1, 1)",
    "INSERT INTO webhook (uuid, scope, url, created_at, updated_at) VALUES ('there', 'all', 'u', 1, 1)",
    *(
        f"INSERT INTO webhook_cursor (webhook_id, inbox_id, modseq, position) VALUES ({webhook}, {inbox}, 1, 'x')"
        for webhook, inbox in ((1, 7), (2, 1), (2, 7), (9, 1))
    ),
    *(
        "INSERT INTO webhook_once (webhook_id, inbox_id, event_id, type, payload, created_at)"
        f" VALUES ({webhook}, {inbox}, '', '', '', 1)"
        for webhook, inbox in ((1, 0), (2, 0), (2, 1), (2, 7))
    ),
    *(
        "INSERT INTO webhook_attempt (webhook_id, inbox_id, event_id, type, at, number, duration_ms)"
        f" VALUES ({webhook}, {inbox}, '', '', 1, 1, 1)"
        for webhook, inbox in ((1, 7), (2, 7))
    ),
    *(
        "INSERT INTO draft_name (inbox_id, name, email_id, created_at) VALUES"
        f" ({inbox}, 'M', 'M', 1)"
        for inbox in (1, 7)
    ),
    *(
        f"INSERT INTO resource_note (kind, ref, owner, client_id) VALUES ('{kind}', '{ref}', 0, '{ref}')"
        for kind, ref in (("inbox", "i"), ("inbox", "gone"), ("pod", "p"), ("pod", "gone"), ("webhook", "gone"))
    ),
    "INSERT INTO passkey (credential, key_id, public_key, sign_count, name, created_at)"
    " VALUES ('c', 77, 'p', 0, '', 1)",
    "INSERT INTO setup_link (token, inbox_id, key_id, with_key, name, expires_at) VALUES ('t', 7, 1, 0, '', 1)",
)
LEFT = {
    "webhook": 1, "webhook_cursor": 1, "webhook_once": 2, "webhook_attempt": 1, "draft_name": 1, "resource_note": 2,
    "passkey": 0, "setup_link": 0,
}  # fmt: skip


def make_first(url: str, revision: str = FIRST, rows: Sequence[str] = ROWS) -> None:
    config = scripts()
    engine = make_engine(parse_url(url))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for row in rows:
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


async def test_flags_and_modseqs_are_moved(old_url: str, runner: asyncio.Runner) -> None:
    """Of what changed before nothing is on record: all messages are looked through for it."""
    await asyncio.to_thread(make_first, old_url)
    engine = make_engine(parse_url(old_url))
    with engine.begin() as connection:
        for uid, modseq, flags in (MESSAGES := ((1, 2, 1), (3, 5, 8), (4, 3, 0))):
            connection.execute(
                text(
                    "INSERT INTO message (mailbox_id, uid, inbox_id, content_id, modseq, internal_date, save_date,"
                    f" flags, size, email_id, thread_id) VALUES (1, {uid}, 1, 7, {modseq}, 0, 0, {flags}, 50, 'M', 'T')"
                )
            )
        connection.execute(text("UPDATE mailbox SET highest_modseq = 5, uidnext = 5 WHERE id = 1"))
    engine.dispose()
    await migrate.migrate(old_url)
    inbox, box = InboxId(1), MailboxId(1)
    db = open_database(old_url)
    await db.start()
    try:
        rows = [(uid, flags, modseq) for uid, modseq, flags in MESSAGES]
        assert await db.read(lambda rx: messages.load(rx, box)) == rows
        since = await db.read(lambda rx: changes.changes_since(rx, inbox, box, 2))
        assert since.flags == rows[1:]
        assert await db.read(lambda rx: changes.changes_since(rx, inbox, box, 2, most=10)) is None
        stored = await db.write(lambda tx: messages.store_flags(tx, inbox, box, [1], "add", 2))
        few = await db.read(lambda rx: changes.changes_since(rx, inbox, box, 5, most=10))
        assert few is not None
        assert few.flags == [(1, 3, stored.modseq)]
        listed = await db.read(lambda rx: listing.mailbox(rx, inbox, "INBOX", deleted=True))
        assert listed is not None
        assert (listed.deleted, listed.deleted_octets) == (1, 50)
    finally:
        await db.close()


async def test_a_migration_that_is_cut_off_leaves_the_store_as_it_was(
    old_url: str, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is one transaction: here it ends where flags were copied and are about to be dropped."""
    await asyncio.to_thread(make_first, old_url)
    drop = op.drop_column

    def cut_off(table: str, column: str) -> None:
        if (table, column) == ("message", "modseq"):
            raise MemoryError
        drop(table, column)

    with monkeypatch.context() as patch:
        patch.setattr(op, "drop_column", cut_off)
        with pytest.raises(MemoryError):
            await migrate.migrate(old_url)
    engine = make_engine(parse_url(old_url))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == FIRST
        assert connection.execute(text("SELECT count(flags) + count(modseq) FROM message")).scalar() == 0
        assert "message_flags" not in inspect(connection).get_table_names()
    engine.dispose()
    await migrate.migrate(old_url)
    db = open_database(old_url)
    await db.start()
    try:
        assert await db.read(check) == []
    finally:
        await db.close()


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


async def test_what_was_left_behind_goes(old_url: str, runner: asyncio.Runner) -> None:
    await asyncio.to_thread(make_first, old_url)
    await asyncio.to_thread(make_first, old_url, "0029", STRAYS)
    await migrate.migrate(old_url)
    db = open_database(old_url)
    await db.start()
    try:
        assert await db.read(check) == []
        for table, count in LEFT.items():
            assert await db.read(lambda rx, t=table: rx.scalar(Stmt(f"SELECT count(*) FROM {t}"))) == count, table  # type: ignore[misc]
    finally:
        await db.close()


def test_the_last_file_is_the_current_version() -> None:
    assert migrate.head() == ScriptDirectory.from_config(scripts()).get_current_head()


CURRENT = """
import asyncio, sys
from gateway.store.migrate import migrate
asyncio.run(migrate(sys.argv[1]))
print(*sorted({"alembic", "sqlalchemy", "psycopg"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_current_store_is_opened_without_what_migrations_need(request: pytest.FixtureRequest, dialect: str) -> None:
    """Importing it takes longer than most commands run."""
    url = request.getfixturevalue(f"{dialect}_url")
    done = subprocess.run([sys.executable, "-c", CURRENT, url], check=True, capture_output=True, text=True)
    assert done.stdout.split() == (["psycopg"] if dialect == "postgresql" else [])
