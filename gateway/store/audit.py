"""Who did what: one row for each thing that somebody changed, or tried to, by a command, over HTTP or by a login.

A row has no secret and no mail. It is written in the unit of the change where that is one unit of the store, so that
neither is there without the other; else right after it (`access.audit`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .db import Rx, Tx
from .statements import Stmt
from .texts import made_storable

MOST_TEXT: Final = 500
"""Characters of what may come from a peer."""

_INSERT = Stmt(
    "INSERT INTO audit (at, who, key_id, pod_id, via, what, target, outcome, source)"
    " VALUES (:at, :who, :key, :pod, :via, :what, :target, :outcome, :source)"
)
_COLUMNS: Final = "a.id, a.at, a.who, k.key_id, a.via, a.what, a.target, a.outcome, a.source"
_FROM: Final = " FROM audit a LEFT JOIN api_key k ON k.id = a.key_id"
_FILTER: Final = (
    " AND (:who = '' OR a.who = :who OR k.key_id = :who) AND (:via = '' OR a.via = :via)"
    " AND (:what = '' OR a.what = :what) AND (:failed = 0 OR a.outcome <> 'ok')"
)
_LATEST = Stmt(f"SELECT {_COLUMNS}{_FROM} WHERE a.id > 0{_FILTER} ORDER BY a.id DESC LIMIT :most")
_AFTER = Stmt(f"SELECT {_COLUMNS}{_FROM} WHERE a.id > :after{_FILTER} ORDER BY a.id LIMIT :most")
_LAST = Stmt("SELECT max(id) FROM audit")
_PRUNE = Stmt(
    "DELETE FROM audit WHERE id IN (SELECT a.id FROM audit a WHERE a.at <= :before ORDER BY a.at LIMIT :most)"
)


@dataclass(frozen=True, slots=True)
class NewEntry:
    """`at`: Unix seconds. `key_id`: the row of the key that asked, `pod_id` its pod; 0: none.

    `via`: control, http or login. `what`: an operation, or method and route. `target`: on which thing. `outcome`: ok,
    or the kind of error. `source`: IP address, or "".
    """

    at: int
    who: str
    via: str
    what: str
    target: str
    outcome: str
    source: str = ""
    key_id: int = 0
    pod_id: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `key`: the part of the key's text that is no secret; None without a key, or when it is forgotten."""

    id: int
    at: int
    who: str
    key: str | None
    via: str
    what: str
    target: str
    outcome: str
    source: str


@dataclass(frozen=True, slots=True)
class Filter:
    """"": any. `who`: as it stands in a row, or the public part of a key."""

    who: str = ""
    via: str = ""
    what: str = ""
    failed: bool = False


def insert(tx: Tx, entries: Iterable[NewEntry]) -> None:
    for entry in entries:
        tx.run(
            _INSERT, at=entry.at, who=_text(entry.who), key=entry.key_id, pod=entry.pod_id, via=entry.via,
            what=_text(entry.what), target=_text(entry.target), outcome=entry.outcome, source=_text(entry.source),
        )  # fmt: skip


def _text(text: str) -> str:
    return made_storable(text)[:MOST_TEXT]


def latest(rx: Rx, wanted: Filter, limit: int) -> list[Entry]:
    """The last ones, the oldest first."""
    return [Entry(*row) for row in reversed(rx.all(_LATEST, most=limit, **_values(wanted)))]


def after(rx: Rx, wanted: Filter, number: int, limit: int) -> list[Entry]:
    """Those above a number, the oldest first."""
    return [Entry(*row) for row in rx.all(_AFTER, after=number, most=limit, **_values(wanted))]


def _values(wanted: Filter) -> dict[str, str | int]:
    return {"who": wanted.who, "via": wanted.via, "what": wanted.what, "failed": int(wanted.failed)}


def last(rx: Rx) -> int:
    """The highest number, 0 where there is none."""
    return int(rx.scalar(_LAST) or 0)


def prune(tx: Tx, before: int, limit: int) -> int:
    """Forget what was at or before `before` (Unix seconds); how many, at most `limit`."""
    return tx.run(_PRUNE, before=before, most=limit)
