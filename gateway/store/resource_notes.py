"""What programs note about things that they make: an id of their own, by which a repeated creation is known, and
metadata, which mean nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.model.errors import CannotChange

from .db import Rx, Tx
from .statements import Stmt
from .texts import storable

Kind = Literal["inbox", "pod", "webhook"]
Value = str | float | bool

_COLUMNS: Final = "ref, client_id, metadata"
_OF = Stmt(f"SELECT {_COLUMNS} FROM resource_note WHERE kind = :kind AND ref IN :TEXTS(refs)")
_BY_CLIENT = Stmt(
    f"SELECT {_COLUMNS} FROM resource_note WHERE kind = :kind AND owner = :owner AND client_id = :client_id"
)
_PUT = Stmt(
    "INSERT INTO resource_note (kind, ref, owner, client_id, metadata)"
    " VALUES (:kind, :ref, :owner, :client_id, :metadata)"
    " ON CONFLICT (kind, owner, client_id) DO NOTHING"
)
_METADATA = Stmt(
    "INSERT INTO resource_note (kind, ref, owner, metadata) VALUES (:kind, :ref, :owner, :metadata)"
    " ON CONFLICT (kind, ref) DO UPDATE SET metadata = excluded.metadata"
)
_REMOVE = Stmt("DELETE FROM resource_note WHERE kind = :kind AND ref = :ref")


@dataclass(frozen=True, slots=True)
class Note:
    """`ref`: the uuid of what it is about."""

    ref: str
    client_id: str | None = None
    metadata: Mapping[str, Value] = field(default_factory=dict)


def notes(rx: Rx, kind: Kind, refs: Sequence[str]) -> dict[str, Note]:
    """Those that there are, by `ref`."""
    return {row[0]: _note(row) for row in rx.all(_OF, kind=kind, refs=list(refs))} if refs else {}


def by_client(rx: Rx, kind: Kind, owner: int, client_id: str) -> Note | None:
    """What was made under this id; it may be gone meanwhile. `owner`: pod of the key that made it, or 0."""
    if not storable(client_id):
        return None
    row = rx.one(_BY_CLIENT, kind=kind, owner=owner, client_id=client_id)
    return None if row is None else _note(row)


def put(tx: Tx, kind: Kind, owner: int, note: Note) -> None:
    """About something new. CannotChange: another unit, under way at the same time, took the id."""
    values = json.dumps(dict(note.metadata)) if note.metadata else None
    remove(tx, kind, note.ref)
    if tx.run(_PUT, kind=kind, ref=note.ref, owner=owner, client_id=note.client_id, metadata=values) == 0:
        raise CannotChange("A request with this client_id is under way")


def set_metadata(tx: Tx, kind: Kind, owner: int, ref: str, metadata: Mapping[str, Value]) -> None:
    """All of them."""
    tx.run(_METADATA, kind=kind, ref=ref, owner=owner, metadata=json.dumps(dict(metadata)) if metadata else None)


def remove(tx: Tx, kind: Kind, ref: str) -> None:
    tx.run(_REMOVE, kind=kind, ref=ref)


def _note(row: tuple[Any, ...]) -> Note:
    return Note(row[0], row[1], json.loads(row[2]) if row[2] else {})
