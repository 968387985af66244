"""What connectors did: each sync and each mail sent through an account, with its log, kept for a set time.

Logs are transcripts that were redacted before they came here. They are capped, and compressed where that pays.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from gateway.model.errors import NotFound
from gateway.store.db import Rx, Tx
from gateway.store.statements import Stmt
from gateway.store.texts import made_storable

from .rows import ConnectorId

MAX_LOG: Final = 256 * 1024
"""Octets of a log that are kept: of a longer one its beginning and its end."""
MAX_MESSAGE: Final = 2_000  # characters
MAX_IDS: Final = 1_000
"""EMAILIDs that an event names; `detail` has their number."""
_PACK: Final = 1_024  # octets from which on compressing pays
_CUT: Final = "\n[…]\n".encode()

_COLUMNS: Final = (
    "SELECT e.id, e.connector_id, e.kind, e.status, e.at, e.run, e.failure, e.size, e.message, e.detail, e.seen"
    " FROM connector_event e"
)
_INSERT: Final = (
    "INSERT INTO connector_event (connector_id, kind, status, at, run, failure, size, message, detail, packed, log)"
    " SELECT id, CAST(:kind AS text), CAST(:status AS text), CAST(:now AS bigint), CAST(:run AS text),"
    " CAST(:failure AS text), CAST(:size AS bigint), CAST(:message AS text), CAST(:detail AS text),"
    " CAST(:packed AS smallint), {log} FROM connector WHERE id = :connector AND removed_at IS NULL RETURNING id"
)
_ADD = Stmt(sqlite=_INSERT.format(log=":log"), postgresql=_INSERT.format(log="CAST(:log AS bytea)"))
_FITS: Final = (
    "(CAST(:kind AS text) IS NULL OR e.kind = :kind) AND (CAST(:status AS text) IS NULL OR e.status = :status)"
    " AND (CAST(:unseen AS integer) = 0 OR e.seen = 0)"
)
_NEWEST = Stmt(f"{_COLUMNS} WHERE e.id < :before AND {_FITS} ORDER BY e.id DESC LIMIT :most")
_NEWEST_OF = Stmt(
    f"{_COLUMNS} WHERE e.connector_id = :connector AND e.id < :before AND {_FITS} ORDER BY e.id DESC LIMIT :most"
)
_SINCE = Stmt(f"{_COLUMNS} WHERE e.id > :after AND {_FITS} ORDER BY e.id LIMIT :most")
_SINCE_OF = Stmt(
    f"{_COLUMNS} WHERE e.connector_id = :connector AND e.id > :after AND {_FITS} ORDER BY e.id LIMIT :most"
)
_ONE = Stmt(f"{_COLUMNS} WHERE e.id = :event")
_LOG = Stmt("SELECT packed, log FROM connector_event WHERE id = :event")
_LAST = Stmt("SELECT max(id) FROM connector_event")
_SEEN = Stmt("UPDATE connector_event SET seen = 1 WHERE id IN :LIST(events) AND seen = 0")
_DELETE_OLD = Stmt(
    "DELETE FROM connector_event WHERE id IN"
    " (SELECT e.id FROM connector_event e WHERE e.at <= :before ORDER BY e.at LIMIT :most)"
)
_EVER: Final = 2**62


class EventKind(StrEnum):
    SEND = "SEND"
    SYNC = "SYNC"


class EventStatus(StrEnum):
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """`run`: UUID of the sync. `failure`: its class. `size`: octets sent or fetched. `detail`: counts and EMAILIDs, as
    JSON takes them."""

    kind: EventKind
    status: EventStatus
    message: str | None = None
    failure: str | None = None
    size: int | None = None
    run: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    log: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One event without its log (`log_of`). `at`: Unix seconds."""

    id: int
    connector_id: ConnectorId
    kind: EventKind
    status: EventStatus
    at: int
    run: str | None
    failure: str | None
    size: int | None
    message: str | None
    detail: Mapping[str, Any]
    seen: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events; None: all. `connector_id` None: of all connectors."""

    connector_id: ConnectorId | None = None
    kind: EventKind | None = None
    status: EventStatus | None = None
    unseen: bool = False


ALL: Final = Filter()


def add(tx: Tx, connector_id: ConnectorId, new: NewEvent, *, now: int) -> int:
    """Write down what happened; its number. Whoever saw it may say so, without a lease. NotFound."""
    packed, log = _packed(new.log)
    number = tx.scalar(
        _ADD, connector=connector_id, kind=new.kind.value, status=new.status.value, now=now, run=new.run,
        failure=new.failure, size=new.size, packed=packed, log=log, detail=json.dumps(_short(new.detail)),
        message=None if new.message is None else made_storable(new.message)[:MAX_MESSAGE],
    )  # fmt: skip
    if number is None:
        raise NotFound("No such connector")
    return int(number)


def newest(rx: Rx, wanted: Filter = ALL, *, before: int | None = None, limit: int = 100) -> list[Event]:
    """The newest first; go on with `before` = the last one's id."""
    values = _values(wanted, before=_EVER if before is None else before, most=limit)
    if wanted.connector_id is None:
        return [_event(row) for row in rx.all(_NEWEST, **values)]
    return [_event(row) for row in rx.all(_NEWEST_OF, connector=wanted.connector_id, **values)]


def since(rx: Rx, after: int, wanted: Filter = ALL, *, limit: int = 100) -> list[Event]:
    """Those with a number above `after`, the oldest first: what follows what was shown already."""
    values = _values(wanted, after=after, most=limit)
    if wanted.connector_id is None:
        return [_event(row) for row in rx.all(_SINCE, **values)]
    return [_event(row) for row in rx.all(_SINCE_OF, connector=wanted.connector_id, **values)]


def last(rx: Rx) -> int:
    """The highest number there is; 0: there is none."""
    return rx.scalar(_LAST) or 0


def get(rx: Rx, event_id: int) -> Event:
    """NotFound."""
    row = rx.one(_ONE, event=event_id)
    if row is None:
        raise NotFound("No such event")
    return _event(row)


def log_of(rx: Rx, event_id: int) -> str | None:
    """The log of an event; None: it has none. NotFound."""
    row = rx.one(_LOG, event=event_id)
    if row is None:
        raise NotFound("No such event")
    packed, log = row
    if log is None:
        return None
    return (zlib.decompress(log) if packed else bytes(log)).decode("utf-8", "replace")


def mark_seen(tx: Tx, event_ids: Sequence[int]) -> int:
    """Somebody has seen them; how many that changes."""
    return tx.run(_SEEN, events=list(event_ids))


def prune(tx: Tx, before: int, limit: int) -> int:
    """Forget about `limit` events of `before` (Unix seconds) or earlier; how many."""
    return tx.run(_DELETE_OLD, before=before, most=limit)


def _values(wanted: Filter, **others: int) -> dict[str, Any]:
    kind = None if wanted.kind is None else wanted.kind.value
    status = None if wanted.status is None else wanted.status.value
    return {"kind": kind, "status": status, "unseen": int(wanted.unseen), **others}


def _short(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Lists have an end: a first sync names a hundred thousand messages."""
    return {name: value[:MAX_IDS] if isinstance(value, list) else value for name, value in detail.items()}


def _packed(log: str | None) -> tuple[int, bytes | None]:
    if log is None:
        return 0, None
    octets = log.encode("utf-8", "replace")
    if len(octets) > MAX_LOG:
        half = (MAX_LOG - len(_CUT)) // 2
        octets = octets[:half] + _CUT + octets[-half:]
    return (1, zlib.compress(octets, 6)) if len(octets) >= _PACK else (0, octets)


def _event(row: tuple[Any, ...]) -> Event:
    number, connector, kind, status, at, run, failure, size, message, detail, seen = row
    return Event(
        number, ConnectorId(connector), EventKind(kind), EventStatus(status), at, run, failure, size, message,
        json.loads(detail), bool(seen),
    )  # fmt: skip
