"""Events of some connectors in pages: what a key sees of them, by number or by place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.store.db import Rx
from gateway.store.statements import Stmt

from . import events
from .events import Event, EventKind
from .rows import ConnectorId

_FITS: Final = (
    "e.connector_id IN :LIST(connectors) AND (CAST(:kind AS text) IS NULL OR e.kind = :kind)"
    " AND (CAST(:status AS text) IS NULL OR e.status = :status) AND (:unseen = 0 OR e.seen = 0)"
    " AND e.at >= :since AND e.at < :before_at AND e.id < :before"
)
_NEWEST = Stmt(f"SELECT e.id FROM connector_event e WHERE {_FITS} ORDER BY e.id DESC LIMIT :most OFFSET :skipped")
_OLDEST = Stmt(f"SELECT e.id FROM connector_event e WHERE {_FITS} ORDER BY e.id LIMIT :most OFFSET :skipped")
_COUNT = Stmt(f"SELECT count(*) FROM connector_event e WHERE {_FITS}")
_EVER: Final = 2**62


@dataclass(frozen=True, slots=True)
class EventFilter:
    """`since`, `before_at`: Unix seconds, from the one on, up to the other; `before`: only numbers below it."""

    connectors: Sequence[ConnectorId]
    kind: EventKind | None = None
    failed: bool = False
    unseen: bool = False
    since: int = 0
    before_at: int = _EVER
    before: int = _EVER

    def binds(self) -> dict[str, Any]:
        return {
            "connectors": list(self.connectors), "kind": None if self.kind is None else self.kind.value,
            "status": "FAILED" if self.failed else None, "unseen": int(self.unseen), "since": self.since,
            "before_at": self.before_at, "before": self.before,
        }  # fmt: skip


def page(
    rx: Rx, wanted: EventFilter, *, limit: int, skipped: int = 0, oldest_first: bool = False
) -> list[Event]:
    """Those that fit, the newest first unless otherwise wanted, after the first `skipped`."""
    statement = _OLDEST if oldest_first else _NEWEST
    rows = rx.all(statement, most=limit, skipped=skipped, **wanted.binds())
    return [events.get(rx, row[0]) for row in rows]


def count(rx: Rx, wanted: EventFilter) -> int:
    return int(rx.scalar(_COUNT, **wanted.binds()) or 0)
