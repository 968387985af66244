"""Bring a store's schema to the current version; what is current costs a look."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.model.errors import Unavailable

from . import driver, sqlite
from .urls import Target, parse_url

SCRIPTS: Final = Path(__file__).parent / "migrations"
_VERSION: Final = "SELECT version_num FROM alembic_version"


async def migrate(url: str) -> None:
    """Create the schema or bring it up to date. Does nothing when it is current.

    Raises ConfigError for a bad URL or a store of a newer version, Unavailable when the database cannot be opened.
    """
    await asyncio.to_thread(_migrate, parse_url(url))


def head() -> str:
    """The current version: that of the last file, for they are named by it."""
    return max(path.name for path in (SCRIPTS / "versions").glob("m[0-9]*.py"))[1:5]


def _migrate(target: Target) -> None:
    if target.dialect == "sqlite":
        _make_private(target.path)
    if not _is_current(target):
        from .upgrade import upgrade

        upgrade(target)


def _is_current(target: Target) -> bool:
    """Whether nothing is to be done. A database that cannot say so is looked at by `upgrade`."""
    if target.dialect == "sqlite":
        if not target.path.stat().st_size:
            return False
        try:
            with closing(sqlite.connect(target.path, reading=False)) as file:
                return list(file.execute(_VERSION)) == [(head(),)]
        except driver.load().Error:
            return False
    import psycopg  # not for stores on SQLite: it takes a tenth of a second

    try:
        connection = psycopg.connect(target.conninfo)
    except psycopg.Error as error:
        raise unavailable(error) from error  # once is enough to wait for a server that does not answer
    with connection:
        try:
            return connection.execute(_VERSION).fetchall() == [(head(),)]
        except psycopg.Error:
            return False


def unavailable(error: BaseException | None) -> Unavailable:
    """With what the driver says, on one line; a failed connection names host and user, and no password."""
    lines = str(error).strip().splitlines()
    return Unavailable(f"The database cannot be opened or migrated: {lines[0] if lines else type(error).__name__}")


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
