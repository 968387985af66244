"""Making a schema and bringing it up to date: Alembic migrations, forward only, under a lock.

The SQLite file is the caller's alone (it holds the data directory's lock); on PostgreSQL an advisory lock keeps a
second node waiting until the first has migrated. Alembic, SQLAlchemy and psycopg take longer to import than most
commands take to run, so `store.migrate` comes here only when there is something to do.
"""

from __future__ import annotations

from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from gateway.model.errors import ConfigError

from . import driver, sqlite
from .migrate import SCRIPTS, unavailable
from .urls import Target

ADVISORY_LOCK: Final = 0x6761746577617901  # any number nobody else in the database uses


def upgrade(target: Target) -> None:
    """Errors as `store.migrate`'s."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
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
        raise unavailable(error.orig) from error
    finally:
        engine.dispose()  # the advisory lock goes with the connection


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
