"""How far pollers of new e-mails (`gateway remote`) have come. They read the account itself and need no sync."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.model.errors import InvalidName, NotFound
from gateway.store.db import Rx, Tx
from gateway.store.statements import Stmt

from .rows import Changed, ConnectorId

MAX_NAME: Final = 200  # characters

_CURSOR: Final = (
    "SELECT name, raw, uidvalidity, uid, version, updated_at FROM poll_cursor WHERE connector_id = :connector"
)
_ONE = Stmt(f"{_CURSOR} AND name = :name")
_ALL = Stmt(f"{_CURSOR} ORDER BY name")
_INSERT = Stmt(
    "INSERT INTO poll_cursor (connector_id, name, raw, uidvalidity, uid, updated_at) SELECT id, :name, :raw,"
    " :uidvalidity, :uid, :now FROM connector WHERE id = :connector AND removed_at IS NULL"
    " ON CONFLICT (connector_id, name) DO NOTHING"
)
_SET = Stmt(
    "UPDATE poll_cursor SET raw = :raw, uidvalidity = :uidvalidity, uid = :uid, version = version + 1,"
    " updated_at = :now WHERE connector_id = :connector AND name = :name AND version = :version"
)
_DELETE = Stmt("DELETE FROM poll_cursor WHERE connector_id = :connector AND name = :name")
_CONNECTOR = Stmt("SELECT 1 FROM connector WHERE id = :connector AND removed_at IS NULL")


@dataclass(frozen=True, slots=True)
class PollCursor:
    """Poller `name` has delivered all of folder `raw` up to `uid`."""

    name: str
    raw: bytes
    uidvalidity: int
    uid: int
    version: int
    updated_at: int


def get(rx: Rx, connector_id: ConnectorId, name: str) -> PollCursor | None:
    """None: it never ran, so `advance` with version 0."""
    row = rx.one(_ONE, connector=connector_id, name=name)
    return None if row is None else _cursor(row)


def cursors(rx: Rx, connector_id: ConnectorId) -> list[PollCursor]:
    """All of a connector, by name."""
    return [_cursor(row) for row in rx.all(_ALL, connector=connector_id)]


def advance(
    tx: Tx, connector_id: ConnectorId, name: str, raw: bytes, uidvalidity: int, uid: int, *, version: int, now: int
) -> PollCursor:
    """Everything up to `uid` was delivered. Changed: another poller of this name moved it (`version` is not its own).

    NotFound (the connector), InvalidName.
    """
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidName(f"A poller's name has 1 to {MAX_NAME} printable characters")
    values = {"connector": connector_id, "name": name, "raw": raw, "uidvalidity": uidvalidity, "uid": uid, "now": now}
    done = tx.run(_SET, version=version, **values) if version else tx.run(_INSERT, **values)
    if not done:
        if tx.one(_CONNECTOR, connector=connector_id) is None:
            raise NotFound("No such connector")
        raise Changed("Another poller of this name is at work")
    found = get(tx, connector_id, name)
    assert found is not None
    return found


def remove(tx: Tx, connector_id: ConnectorId, name: str) -> None:
    """NotFound."""
    if tx.run(_DELETE, connector=connector_id, name=name) == 0:
        raise NotFound("There is no poller of that name")


def _cursor(row: tuple[Any, ...]) -> PollCursor:
    return PollCursor(row[0], bytes(row[1]), *row[2:])
