"""Connectors against upstream servers, with a real store: on SQLite and, where the store decides, on PostgreSQL too."""

from __future__ import annotations

import pytest

from tests.store.conftest import db, pytest_pyfunc_call, runner, sqlite_template, sqlite_url

__all__ = ["db", "pytest_pyfunc_call", "runner", "sqlite_template", "sqlite_url"]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """URL of a migrated, empty store: SQLite, unless the test asks for both (`both`)."""
    found: str = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return found


both = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
