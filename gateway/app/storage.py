"""Opening the store for this process: directory, lock, schema, engine, in that order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.config import Config
from gateway.maintain.backup import Manifest, backup
from gateway.maintain.restore import RestoreReport, restore
from gateway.store.db import Database, open_database
from gateway.store.migrate import migrate
from gateway.store.urls import parse_url

from .datadir import MASTER_KEY, DataDirLock, hand_over, prepare, refuse_network_file_system, refuse_other_mode
from .settings import store_settings


def is_sqlite(config: Config) -> bool:
    return parse_url(config.database_url).dialect == "sqlite"


def store_is_missing(config: Config) -> bool:
    """Whether nothing has made the SQLite file yet; a PostgreSQL database tells only when it is asked."""
    target = parse_url(config.database_url)
    return target.dialect == "sqlite" and not target.path.exists()


@asynccontextmanager
async def held_data_dir(config: Config, *, test: bool = False) -> AsyncIterator[None]:
    """The data directory is ours alone meanwhile. Busy when another process has it, ConfigError when it is test mode's
    and we are not (or the other way round)."""
    data_dir = prepare(config.store.data_dir)
    refuse_other_mode(data_dir, test=test)
    if is_sqlite(config):
        refuse_network_file_system(data_dir)
    with DataDirLock(data_dir):
        try:
            yield
        finally:
            hand_over(data_dir)


@asynccontextmanager
async def opened_store(config: Config, *, serving: bool = False) -> AsyncIterator[Database]:
    """The store, its schema current, started on the running loop; closed at the end.

    `serving`: with its reader processes, which a single command does not need.
    For SQLite the caller holds the data directory. ConfigError, Unavailable.
    """
    await migrate(config.database_url)
    db = open_database(config.database_url, store_settings(config, serving=serving))
    await db.start()
    try:
        yield db
    finally:
        await db.close()


async def backup_store(config: Config, destination: Path, *, now: int, with_master_key: bool) -> Manifest:
    """Copy the store to `destination`, beside a running server too. Errors as `maintain.backup.backup`."""
    key = config.store.data_dir / MASTER_KEY if with_master_key else None
    return await backup(config.database_url, destination, now=now, master_key=key)


async def restore_store(config: Config, source: Path, *, now: int) -> RestoreReport:
    """Put a backup where no store is. Busy when a server holds the data directory."""
    async with held_data_dir(config):
        return await restore(source, config.database_url, now=now, master_key=config.store.data_dir / MASTER_KEY)
