"""PostgreSQL's databases go from test to test (`tests/servers/stores`): nothing of one test is there in the next."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from gateway.store.db import open_database
from tests.servers.postgres import Cluster
from tests.servers.stores import Stores

from .helpers import fill, mailbox_id, make_inbox

TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
SEQUENCES = "SELECT seqrelid::regclass::text, pg_sequence_last_value(seqrelid) FROM pg_sequence"


def contents(url: str) -> dict[str, Any]:
    """All rows of all tables, and where the sequences are."""
    with psycopg.connect(url) as connection:
        tables = [name for (name,) in connection.execute(TABLES).fetchall()]
        found: dict[str, Any] = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}
        return found | dict(connection.execute(SEQUENCES).fetchall())


async def test_what_was_written_is_gone(
    cluster: Cluster, postgresql_stores: Stores, runner: asyncio.Runner
) -> None:
    name = postgresql_stores.take()
    url = cluster.url(name)
    before = contents(url)
    assert [table for table, rows in before.items() if rows] == ["alembic_version", "meta"]
    db = open_database(url)
    await db.start()
    inbox = await make_inbox(db)
    await fill(db, inbox.id, await mailbox_id(db, inbox.id), 3)
    await db.close()
    assert len(contents(url)["message"]) == 3
    postgresql_stores.give_back(name)
    assert postgresql_stores.take() == name
    assert contents(url) == before
    postgresql_stores.give_back(name)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE pod ADD COLUMN more bigint", "CREATE TABLE further (id bigint)", "ANALYZE pod",
        "ALTER TABLE pod ALTER COLUMN name SET DEFAULT 'x'", "CREATE INDEX further ON pod (name)",
        "CREATE FUNCTION further() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "INSERT INTO meta SELECT n::text, md5(n::text) FROM generate_series(1, 150000) n",
    ],
)
def test_what_was_changed_is_dropped(cluster: Cluster, postgresql_stores: Stores, statement: str) -> None:
    name = postgresql_stores.take()
    cluster.execute(statement, name)
    postgresql_stores.give_back(name)
    other = postgresql_stores.take()
    assert other != name
    postgresql_stores.give_back(other)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(cluster.url(name))


def test_one_whose_connections_stay_is_dropped(cluster: Cluster, postgresql_stores: Stores) -> None:
    name = postgresql_stores.take()
    with psycopg.connect(cluster.url(name)) as left:
        postgresql_stores.give_back(name)
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
