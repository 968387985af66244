"""What holds for every test."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from gateway.store.migrate import migrate
from tests.servers import postgres

# A test proves correctness, never a time: a loaded machine must not fail it.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")

IN_CI = bool(os.environ.get("CI"))
TEMPLATE = "store_template"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def missing() -> object:
    """`missing("mbsync")`: skip by name on a laptop, fail where CI is set."""

    def report(what: str) -> None:
        text = f"{what} is missing"
        if IN_CI:
            pytest.fail(text)
        pytest.skip(text)

    return report


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server for the session, with a migrated template database."""
    try:
        started = postgres.start()
    except postgres.Missing as missing:
        if IN_CI:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    try:
        started.execute(f"CREATE DATABASE {TEMPLATE}")
        asyncio.run(migrate(started.url(TEMPLATE)))
        yield started
    finally:
        started.stop()


@pytest.fixture
def postgresql_url(cluster: postgres.Cluster) -> Iterator[str]:
    """A migrated, empty PostgreSQL store."""
    name = f"t{next(_numbers)}"
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield cluster.url(name)
    cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")
