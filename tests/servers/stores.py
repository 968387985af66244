"""Migrated, empty PostgreSQL databases for tests, which are emptied between two tests and not made anew.

To make and drop one costs a server 300 ms of CPU, for it copies some 300 files and logs them; to empty one costs 10,
over a connection that has been kept: a new one looks up all that it needs of the catalogue, which takes 20 more. One
that is no more what it was (another schema, statistics, connections that do not end, much that was written) is dropped
instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any, Final, LiteralString

import psycopg

from gateway.store.migrate import migrate

from .postgres import Cluster
from .process import wait_for

TEMPLATE: Final = "store_template"
WORN_OCTETS: Final = 8 << 20
"""Nothing vacuums: what was deleted takes room, until the database has grown by as much as it takes empty."""

SHAPE: Final = """
SELECT md5(concat(
  (SELECT string_agg(concat_ws(' ', oid, relname, relkind, relchecks, relhastriggers, reltuples), ',' ORDER BY oid)
    FROM pg_class WHERE oid >= 16384),
  (SELECT string_agg(a::text, ',' ORDER BY attrelid, attnum) FROM pg_attribute a WHERE attrelid >= 16384),
  (SELECT string_agg(d::text, ',' ORDER BY oid) FROM pg_attrdef d),
  (SELECT string_agg(c::text, ',' ORDER BY oid) FROM pg_constraint c WHERE oid >= 16384),
  (SELECT string_agg(i::text, ',' ORDER BY indexrelid) FROM pg_index i WHERE indexrelid >= 16384),
  (SELECT string_agg(t::text, ',' ORDER BY oid) FROM pg_trigger t WHERE oid >= 16384),
  (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_proc WHERE oid >= 16384),
  (SELECT string_agg(s::text, ',') FROM pg_db_role_setting s)))"""
"""A digest of the schema, with what the planner knows of the tables: nothing, unless a test had them analysed."""
OTHERS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
USED: Final = """
SELECT c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
  AND pg_relation_size(c.oid) > 0 ORDER BY c.relname"""
RESTARTED: Final = """
SELECT setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL"""


class Stores:
    """The databases of one cluster: `take` one, and `give_back` what was taken."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._numbers = itertools.count()
        self._free: list[str] = []
        self._kept: dict[str, psycopg.Connection[Any]] = {}
        cluster.execute(f"CREATE DATABASE {TEMPLATE}")
        asyncio.run(migrate(cluster.url(TEMPLATE)))
        with psycopg.connect(cluster.url(TEMPLATE), autocommit=True) as connection:
            self._shape = _shape(connection)
            self._octets = _octets(connection)
            self._rows = {
                table: connection.execute(f'SELECT * FROM "{table}"').fetchall()
                for (table,) in connection.execute(USED).fetchall()
            }
            assert not connection.execute(RESTARTED).fetchall(), "a migration drew a number; to empty must keep that"

    def take(self) -> str:
        """The name of a database that is as the migrations leave it; nobody else has it."""
        if self._free:
            return self._free.pop()
        name = f"t{next(self._numbers)}"
        self._cluster.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return name

    def give_back(self, name: str) -> None:
        """Emptied for the next one, or dropped."""
        if self._emptied(name):
            self._free.append(name)
            return
        if name in self._kept:
            self._kept.pop(name).close()
        self._cluster.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def close(self) -> None:
        """End what connections are kept."""
        for connection in self._kept.values():
            connection.close()

    def _emptied(self, name: str) -> bool:
        try:
            connection = self._connection(name)
            # A connection that was closed is gone a little later; one that was left is not.
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: not _number(connection, OTHERS), "the end of connections", 1.0, 0.002)
            worn = _octets(connection) > self._octets + WORN_OCTETS
            if worn or _number(connection, OTHERS) or _shape(connection) != self._shape:
                return False
            self._empty(connection)
        except psycopg.OperationalError:
            return False  # the test dropped it, or ended the connection
        return True

    def _connection(self, name: str) -> psycopg.Connection[Any]:
        if name not in self._kept:
            self._kept[name] = psycopg.connect(self._cluster.url(name), autocommit=True)
        return self._kept[name]

    def _empty(self, connection: psycopg.Connection[Any]) -> None:
        tables = {table for (table,) in connection.execute(USED).fetchall()} | set(self._rows)
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")  # no foreign keys, no triggers
            connection.execute("; ".join(f'DELETE FROM "{table}"' for table in sorted(tables)))
            for table, rows in self._rows.items():
                for row in rows:
                    places = ", ".join(["%s"] * len(row))
                    connection.execute(f'INSERT INTO "{table}" VALUES ({places})', row)
            connection.execute(RESTARTED)


def _shape(connection: psycopg.Connection[Any]) -> str:
    (found,) = connection.execute(SHAPE).fetchone() or ("",)
    return str(found)


def _octets(connection: psycopg.Connection[Any]) -> int:
    return _number(connection, "SELECT pg_database_size(current_database())")


def _number(connection: psycopg.Connection[Any], query: LiteralString) -> int:
    (found,) = connection.execute(query).fetchone() or (0,)
    return int(found)
