"""Statements over a list of UIDs that stay cheap while PostgreSQL has no statistics, as while the first mail comes in.

It then tests the list on each row of the folder; bounded by the least and the greatest, for UIDs of one window lie
together, it looks at few. SQLite looks each UID up by key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.store.statements import Stmt


def among(text: str, column: str = "uid") -> Stmt:
    """`text` with `{uids}` where `column` is tested; what it binds beside its own is `binds`."""
    listed = f"{column} IN :LIST(uids)"
    return Stmt(
        sqlite=text.replace("{uids}", listed),
        postgresql=text.replace("{uids}", f"{column} BETWEEN :low AND :high AND {listed}"),
    )


def binds(uids: Sequence[int]) -> dict[str, Any]:
    """For a list that may be empty."""
    return {"uids": list(uids), "low": min(uids, default=1), "high": max(uids, default=0)}
