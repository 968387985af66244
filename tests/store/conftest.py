"""One suite on both databases: `db` is a started store on SQLite and on a real PostgreSQL, checked after each test.

`async def` tests run on the loop of the `runner` fixture, on which `db` was started.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.db import Database, StoreSettings, open_database
from gateway.store.migrate import migrate

from .helpers import assert_consistent


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutine tests on the `runner` fixture."""
    runner = pyfuncitem.funcargs.get("runner")
    if runner is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated, empty SQLite store."""
    path = tmp_path / "gateway.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """URL of a migrated, empty store, once on each database."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def db(url: str, runner: asyncio.Runner) -> Iterator[Database]:
    """A started store on each database; whatever the test did, the consistency check must find nothing."""
    database = open_database(url, StoreSettings(mail_poll_seconds=0.5, revocation_poll_seconds=0.2))
    runner.run(database.start())
    try:
        yield database
        runner.run(assert_consistent(database))
    finally:
        runner.run(database.close())
