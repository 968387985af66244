"""The SQLite driver: pysqlite3, or the interpreter's own sqlite3 where its library is a fixed one.

SQLite 3.7.0 to 3.51.2 can lose committed transactions: a checkpoint that races the write that resets the WAL
marks frames as copied that are not. The releases below have the correction.
"""

from __future__ import annotations

import sqlite3 as system_sqlite
from types import ModuleType
from typing import Any, Final

from gateway.model.errors import ConfigError

FIRST_FIXED: Final = (3, 51, 3)
BACKPORTS: Final = ((3, 50, 7), (3, 44, 6))
"""First fixed release of each maintained older branch."""


def is_fixed(version: tuple[int, ...]) -> bool:
    """Whether SQLite `version` keeps committed transactions in WAL mode."""
    if version >= FIRST_FIXED:
        return True
    return any(version[:2] == first[:2] and version >= first for first in BACKPORTS)


def choose(candidates: list[ModuleType]) -> ModuleType:
    """The first driver whose SQLite is fixed; ConfigError names what was found and what to do."""
    found = []
    for module in candidates:
        if is_fixed(module.sqlite_version_info):
            return module
        found.append(f"{module.__name__.split('.', maxsplit=1)[0]} has SQLite {module.sqlite_version}")
    raise ConfigError(
        f"This SQLite can lose committed mail (WAL-reset bug): {'; '.join(found)}. Needed is 3.51.3 or newer, "
        "3.50.7 or 3.44.6. Install the pysqlite3 package (pip install 'pysqlite3>=0.6.1') or a Python that is linked "
        "to a fixed SQLite"
    )


def load() -> Any:
    """The DB-API module to use. Raises ConfigError as `choose`."""
    candidates: list[ModuleType] = []
    try:
        from pysqlite3 import dbapi2 as bundled
    except ImportError:  # no wheel for this platform: the system's own may do
        pass
    else:
        candidates.append(bundled)
    return choose([*candidates, system_sqlite])
