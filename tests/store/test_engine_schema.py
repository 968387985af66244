"""Migrations lead to exactly the schema that the metadata describes; running them again changes nothing."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from gateway.model.errors import ConfigError, Unavailable
from gateway.store.migrate import migrate
from gateway.store.schema import metadata
from gateway.store.upgrade import make_engine
from gateway.store.urls import parse_url
from tests.servers import postgres


def schema_version(url: str) -> str | None:
    engine = make_engine(parse_url(url))
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def sqlite_texts(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    finally:
        connection.close()
    return {
        name: " ".join(sql.split())
        for name, sql in rows
        if not name.startswith("sqlite_") and name != "alembic_version"
    }


def test_sqlite_migrations_make_the_metadata(tmp_path: Path) -> None:
    asyncio.run(migrate(f"sqlite:///{tmp_path}/migrated.db"))
    engine = create_engine(f"sqlite:///{tmp_path}/created.db")
    metadata.create_all(engine)
    engine.dispose()
    migrated, created = sqlite_texts(tmp_path / "migrated.db"), sqlite_texts(tmp_path / "created.db")
    assert migrated.keys() == created.keys()
    for name, sql in created.items():
        assert _parts(migrated[name]) == _parts(sql), name


def _parts(sql: str) -> list[str]:
    """Columns and constraints of CREATE TABLE: their order among constraints and spaces do not matter."""
    return sorted(part.strip(" ()") for part in sql.replace("( ", "(").replace(" )", ")").split(", "))


def test_postgresql_migrations_make_the_metadata(cluster: postgres.Cluster, postgresql_url: str) -> None:
    engine = make_engine(parse_url(postgresql_url))
    try:
        with engine.connect() as connection:
            options = {"compare_type": True, "compare_server_default": True}
            assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    finally:
        engine.dispose()


async def test_migrating_again_changes_nothing(url: str, runner: asyncio.Runner) -> None:
    before = schema_version(url)
    await asyncio.gather(migrate(url), migrate(url)) if url.startswith("postgresql") else await migrate(url)
    assert schema_version(url) == before is not None


async def test_two_nodes_migrate_an_empty_database_at_once(cluster: postgres.Cluster, runner: asyncio.Runner) -> None:
    cluster.execute("CREATE DATABASE two_nodes")
    url = cluster.url("two_nodes")
    await asyncio.gather(*(migrate(url) for _ in range(3)))
    assert schema_version(url) is not None
    cluster.execute("DROP DATABASE two_nodes WITH (FORCE)")


async def test_a_migration_that_fails_leaves_nothing(
    tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade

    def failing(config: Config, revision: str) -> None:
        upgrade(config, revision)
        raise RuntimeError("power cut")

    monkeypatch.setattr(command, "upgrade", failing)
    with pytest.raises(RuntimeError):
        await migrate(f"sqlite:///{tmp_path}/gateway.db")
    assert sqlite_texts(tmp_path / "gateway.db") == {}


async def test_a_newer_store_is_refused(url: str, runner: asyncio.Runner) -> None:
    engine = make_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ConfigError, match="9999"):
        await migrate(url)


async def test_an_unreachable_database_is_unavailable(tmp_path: Path, runner: asyncio.Runner) -> None:
    for url, reason in (
        (f"sqlite:///{tmp_path}/missing/gateway.db", "missing/gateway.db cannot be made: No such file"),
        ("postgresql://nobody:canary@127.0.0.1:1/none", "refused"),
    ):
        with pytest.raises(Unavailable, match=reason) as refusal:
            await migrate(url)
        assert "canary" not in str(refusal.value)


async def test_a_store_is_its_owners_alone(tmp_path: Path, runner: asyncio.Runner) -> None:
    path = tmp_path / "gateway.db"
    before = os.umask(0o022)
    try:
        await migrate(f"sqlite:///{path}")
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)  # as older versions left it
        await migrate(f"sqlite:///{path}")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
