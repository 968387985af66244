"""The database URL of the configuration, taken apart once for engines and migrations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.model.errors import ConfigError

from .statements import DialectName


@dataclass(frozen=True, slots=True)
class Target:
    """`path` for SQLite, `conninfo` (a libpq URI) for PostgreSQL; the other one is empty."""

    dialect: DialectName
    path: Path
    conninfo: str


def parse_url(url: str) -> Target:
    """ConfigError when the URL is neither `sqlite:///path` nor `postgresql://…`."""
    scheme, separator, rest = url.partition("://")
    if scheme == "sqlite" and separator and rest.startswith("/") and len(rest) > 1:
        return Target("sqlite", Path(rest[1:]), "")
    if scheme in {"postgresql", "postgres"} and separator:
        return Target("postgresql", Path(), f"postgresql://{rest}")
    raise ConfigError("The database URL must be sqlite:///path/gateway.db or postgresql://user@host/name")
