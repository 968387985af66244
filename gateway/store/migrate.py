"""Bring a store's schema to the current version: Alembic migrations, forward only, under a lock.

The SQLite file is the caller's alone (it holds the data directory's lock); on PostgreSQL an advisory lock keeps a
second node waiting until the first has migrated.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from gateway.model.errors import ConfigError, Unavailable

from . import driver, sqlite
from .urls import Target, parse_url

ADVISORY_LOCK: Final = 0x6761746577617901  # any number nobody else in the database uses
SCRIPTS: Final = Path(__file__).parent / "migrations"


async def migrate(url: str) -> None:
    """Create the schema or bring it up to date. Does nothing when it is current.

    Raises ConfigError for a bad URL or a store of a newer version, Unavailable when the database cannot be opened.
    """
    await asyncio.to_thread(_migrate, parse_url(url))


def _migrate(target: Target) -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    if target.dialect == "sqlite":
        _make_private(target.path)
    engine = make_engine(target)
    try:
        with engine.connect() as connection:
            if target.dialect == "postgresql":
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
                connection.commit()
            _refuse_newer(connection, config)
            if target.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # all or nothing; the driver opens none for DDL
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except DBAPIError as error:
        raise Unavailable(f"The database cannot be opened or migrated: {_reason(error)}") from error
    finally:
        engine.dispose()  # the advisory lock goes with the connection


def _make_private(path: Path) -> None:
    """A store is its owner's alone, whatever the umask is. SQLite gives its -wal and -shm the same mode.

    The file is only opened here when it is new: closing a descriptor would drop the locks of open connections.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise Unavailable(f"The store {path} cannot be made: {error.strerror}") from error


def _reason(error: DBAPIError) -> str:
    """What the driver says, on one line; a failed connection names host and user, and no password."""
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


def _refuse_newer(connection: Connection, config: Config) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise ConfigError(
            f"This store has schema {current}, which is newer than this program: install the newer gateway"
        )


def make_engine(target: Target) -> Engine:
    """An SQLAlchemy engine over the same driver and connection settings as the store's own connections."""
    if target.dialect == "sqlite":
        return create_engine(
            "sqlite://",
            module=driver.load(),
            creator=lambda: sqlite.connect(target.path, reading=False),
            poolclass=NullPool,
        )
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(target.conninfo), poolclass=NullPool)
