"""What holds for every test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import settings

from tests.servers import places, postgres
from tests.servers.dovecot import Dovecot, running_dovecot
from tests.servers.process import PeerMissing
from tests.servers.stores import Stores
from tests.support import forked, soak

# A test proves correctness, never a time: a loaded machine must not fail it.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")

# Images of Python often say that no bytecode is to be kept: then each of the hundreds of processes that tests start
# would compile the product for itself, which is a third of what a start costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

IN_CI = bool(os.environ.get("CI"))

if not soak.SOAK:
    places.use_memory()

# Processes of the product are forked from one that has imported it; the long run starts each as users do.
forked.enabled = forked.POSSIBLE and not soak.SOAK


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
def dovecot(missing: Callable[[str], None]) -> Iterator[Dovecot]:
    """A Dovecot for the session: any user may log in with its password, so each test has users of its own."""
    try:
        with running_dovecot() as server:
            yield server
    except PeerMissing as absent:
        missing(str(absent))


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server for the session."""
    try:
        started = postgres.start()
    except postgres.Missing as missing:
        if IN_CI:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def postgresql_stores(cluster: postgres.Cluster) -> Iterator[Stores]:
    with closing(Stores(cluster)) as stores:
        yield stores


@pytest.fixture
def postgresql_url(cluster: postgres.Cluster, postgresql_stores: Stores) -> Iterator[str]:
    """A migrated, empty PostgreSQL store."""
    name = postgresql_stores.take()
    yield cluster.url(name)
    postgresql_stores.give_back(name)


_LONG = ("faults", "clients", "connectors", "differential", "properties", "web")
"""Where files take long, mostly by waiting: begun last, one of them would keep the run from ending."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name not in _LONG)
