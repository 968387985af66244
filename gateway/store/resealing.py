"""Changing the master key: from then on the new one seals, and what the old one has sealed is sealed anew.

Every step is durable and may be the last before a crash: the new key is in its file before the store names it, the
store names both keys until nothing needs the old one, and the same command again goes on where it stood. Rows are done
in small units, so that mail flows meanwhile. The old key stays in the file, for backups of before need it, unless it is
to be forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from sqlalchemy import LargeBinary, Table

from gateway.model.errors import ConfigError, InvalidRequest

from .db import Database, Rx, Tx
from .schema import metadata
from .sealing import MasterKey, MissingKey, Place, Sealer, Unsealable, key_id_of
from .statements import Stmt
from .vault import KeysChanged, Vault, key_ids, set_key_ids

PAGE: Final = 100
"""Rows of one unit: some 10 ms of the writer."""
_ENDINGS: Final = ("_sealed", "_secret")


_NO_KEYS = Stmt("DELETE FROM meta WHERE key = 'master_keys'")


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column whose values `sealing` made; `identity` is the column that `Place.row` holds."""

    table: str
    column: str
    identity: str

    def place(self, row: str) -> Place:
        return Place(self.table, row, self.column)


@dataclass(frozen=True, slots=True)
class Rotated:
    """`key_id`: what seals now. `resealed`: secrets. `damaged`: those that no key opens, left as they were."""

    key_id: str
    resealed: int
    damaged: tuple[str, ...]
    forgotten: bool


@cache
def sealed_columns() -> tuple[SealedColumn, ...]:
    """All there are: octets under a name that ends in `_sealed` or `_secret`."""
    return tuple(
        SealedColumn(table.name, column.name, _identity(table))
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary) and column.name.endswith(_ENDINGS)
    )


def _identity(table: Table) -> str:
    return "uuid" if "uuid" in table.columns else next(iter(table.primary_key.columns)).name


async def rotate(
    db: Database, vault: Vault, *, forget: bool = False, progress: Callable[[int], None] = lambda count: None
) -> Rotated:
    """Seal everything with a new key, or end what an earlier call began. `progress`: secrets done so far.

    With a key file the new key is drawn; keys that the administrator gives must begin with the new one. ConfigError
    when there is none, MissingKey, KeysChanged when another process does the same.
    """
    await vault.sealer()
    before = await db.read(key_ids)
    if len(before) == 1:
        before = await _begin(db, vault, before)
    vault.forget()
    ring = await asyncio.to_thread(vault.source.read) or ()
    done, damaged = 0, list[str]()
    for column in sealed_columns():
        after = ""
        while True:
            page = await _page(vault, column, after)
            done += page.resealed
            damaged += page.damaged
            progress(done)
            if page.last is None:
                break
            after = page.last
    active = before[0]
    await db.write(lambda tx: _end(tx, before, damaged))
    vault.forget()
    forgotten = forget and not damaged
    if forgotten:
        # Those of now: a key that another rotation adds from here on is not ours to forget.
        await asyncio.to_thread(vault.source.drop, frozenset(key.id for key in ring if key.id != active))
    await vault.sealer()
    return Rotated(active, done, tuple(damaged), forgotten)


async def abandon(db: Database, vault: Vault) -> int:
    """Give up all sealed secrets, for the key that opens them is lost for good: people enter them anew. How many.

    InvalidRequest while the key is there.
    """
    try:
        await vault.sealer()
    except MissingKey:
        pass
    else:
        raise InvalidRequest("The master key is there and opens what is stored: nothing has to be given up")

    def unit(tx: Tx) -> int:
        count = 0
        for column in sealed_columns():
            count += tx.run(_emptied(column))
        tx.run(_NO_KEYS)
        return count

    count = await db.write(unit)
    vault.forget()
    return count


@cache
def _emptied(column: SealedColumn) -> Stmt:
    """A row that is nothing without its secret goes."""
    if not metadata.tables[column.table].columns[column.column].nullable:
        return Stmt(f"DELETE FROM {column.table}")
    return Stmt(f"UPDATE {column.table} SET {column.column} = NULL WHERE {column.column} IS NOT NULL")


async def _begin(db: Database, vault: Vault, before: list[str]) -> list[str]:
    ring = await asyncio.to_thread(vault.source.read)
    if ring is None:
        raise ConfigError(f"{vault.source.where} is missing")
    if ring.first.id == before[0]:
        ring = await asyncio.to_thread(vault.source.add, MasterKey.draw())
    after = [ring.first.id, *before]
    await db.write(lambda tx: set_key_ids(tx, before, after))
    return after


def _end(tx: Tx, before: list[str], damaged: list[str]) -> None:
    """Only the new key is needed, if that is so: another node may have sealed with the old one until it was told."""
    for column in sealed_columns():
        rows = tx.all(_statements(column)[2], key=bytes.fromhex(before[0]), most=len(damaged) + 1)
        if any(_named(column, row[0]) not in damaged for row in rows):
            raise KeysChanged("Something was sealed with the old key meanwhile: rotate again")
    set_key_ids(tx, before, before[:1])


@dataclass(frozen=True, slots=True)
class _Page:
    resealed: int
    damaged: list[str]
    last: str | None


async def _page(vault: Vault, column: SealedColumn, after: str) -> _Page:
    def unit(tx: Tx, sealer: Sealer) -> _Page:
        rows = _rows(tx, column, after)
        changed, damaged = 0, []
        for row, sealed in rows:
            if key_id_of(sealed) == sealer.key_id:
                continue
            try:
                fresh = sealer.seal(sealer.open(sealed, column.place(row)), column.place(row))
            except Unsealable:
                damaged.append(_named(column, row))
                continue
            changed += tx.run(_statements(column)[1], row=row, before=sealed, after=fresh)
        return _Page(changed, damaged, rows[-1][0] if len(rows) == PAGE else None)

    return await vault.write(unit)


def _rows(rx: Rx, column: SealedColumn, after: str) -> list[tuple[str, bytes]]:
    return [(row[0], bytes(row[1])) for row in rx.all(_statements(column)[0], after=after, most=PAGE)]


def _named(column: SealedColumn, row: str) -> str:
    return f"{column.table}.{column.column} of {row}"


@cache
def _statements(column: SealedColumn) -> tuple[Stmt, Stmt, Stmt]:
    """A page of them, one sealed anew, and those of other keys."""
    table, name, identity = column.table, column.column, column.identity
    return (
        Stmt(
            f"SELECT {identity}, {name} FROM {table} WHERE {identity} > :after AND {name} IS NOT NULL"
            f" ORDER BY {identity} LIMIT :most"
        ),
        Stmt(f"UPDATE {table} SET {name} = :after WHERE {identity} = :row AND {name} = :before"),
        # Octets 2 to 9 of a sealed secret name its key.
        Stmt(f"SELECT {identity} FROM {table} WHERE {name} IS NOT NULL AND substr({name}, 2, 8) <> :key LIMIT :most"),
    )
