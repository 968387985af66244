"""Worlds for property tests, on both databases or on SQLite alone; a module may give them settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.world import World


@pytest.fixture
def world_settings() -> dict[str, object]:
    """The server's; a module has a fixture of this name for others."""
    return {}


@pytest.fixture(params=["sqlite", "postgresql"])
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    world_settings: dict[str, object],
) -> Iterator[World]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    world = World(tmp_path, url, monkeypatch, **world_settings)
    yield world
    world.close()


@pytest.fixture
def sqlite_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_settings: dict[str, object]
) -> Iterator[World]:
    world = World(tmp_path, "", monkeypatch, **world_settings)
    yield world
    world.close()
