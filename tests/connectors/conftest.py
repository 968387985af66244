"""Connectors against upstream servers, with a real store: on SQLite and, where the store decides, on PostgreSQL too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from gateway.store.db import Database, StoreSettings, open_database
from tests.store.conftest import pytest_pyfunc_call, runner, sqlite_template, sqlite_url
from tests.store.helpers import assert_consistent

__all__ = ["pytest_pyfunc_call", "runner", "sqlite_template", "sqlite_url"]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """URL of a migrated, empty store: SQLite, unless the test asks for both (`both`)."""
    found: str = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return found


both = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def db(url: str, runner: asyncio.Runner) -> Iterator[Database]:
    """A started store; whatever the test did, the consistency check must find nothing."""
    database = open_database(url, StoreSettings(mail_poll_seconds=0.5, revocation_poll_seconds=0.2))
    runner.run(database.start())
    try:
        yield database
        runner.run(assert_consistent(database))
    finally:
        runner.run(database.close())
