"""Secrets of a store: which master key seals stands in the store itself, so that all nodes hold to one.

`meta.master_keys` names the keys that sealed secrets may need, the one that seals first. A process without one of them
is told so at start, before it seals anything that the others could not open. Each unit that stores a sealed secret asks
for the key that seals in its own transaction (`Vault.write`): a node that has missed a change of keys seals anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from gateway.model.errors import GatewayError

from .db import Database, Rx, Tx
from .master_key import KeySource
from .sealing import KeyRing, MissingKey, Place, Sealer
from .statements import Stmt

T = TypeVar("T")

_KEYS = Stmt("SELECT value FROM meta WHERE key = 'master_keys'")
# Two nodes may seal at once; who changes keys waits until they are done, and they for it.
_KEYS_SHARED: Final = Stmt(
    sqlite="SELECT value FROM meta WHERE key = 'master_keys'",
    postgresql="SELECT value FROM meta WHERE key = 'master_keys' FOR SHARE",
)
_LOCK = Stmt(postgresql="SELECT value FROM meta WHERE key = 'master_keys' FOR UPDATE")
_FIRST = Stmt("INSERT INTO meta (key, value) VALUES ('master_keys', :keys) ON CONFLICT (key) DO NOTHING")
_SET = Stmt("UPDATE meta SET value = :keys WHERE key = 'master_keys'")


class KeysChanged(GatewayError):
    """Another process has changed the master key: read it again."""


def key_ids(rx: Rx) -> list[str]:
    """The keys that this store's secrets may need, the one that seals first; none: nothing was ever sealed."""
    found = rx.scalar(_KEYS)
    return found.split() if found else []


def set_key_ids(tx: Tx, before: list[str], after: list[str]) -> None:
    """KeysChanged when they are not `before` any more."""
    if tx.dialect == "postgresql":
        tx.do(_LOCK)
    if key_ids(tx) != before:
        raise KeysChanged("Somebody else is changing the master key")
    tx.run(_SET, keys=" ".join(after))


def fence(tx: Tx, sealer: Sealer) -> None:
    """KeysChanged unless `sealer` seals with the store's key until this transaction is over."""
    found = tx.scalar(_KEYS_SHARED)
    if not found or found.split()[0] != sealer.key_id:
        raise KeysChanged("The master key was changed meanwhile")


class Vault:
    """One a process. Keys are read at first need and when the store says that they have changed."""

    def __init__(self, db: Database, source: KeySource) -> None:
        self._db = db
        self.source = source
        self._sealer: Sealer | None = None
        self._reading = asyncio.Lock()

    async def check(self) -> None:
        """Say at start what would fail later: MissingKey or ConfigError when this store's secrets cannot be opened.

        A store without secrets needs no key, and none is made.
        """
        if await self._db.read(key_ids):
            self.forget()
            await self.sealer()

    async def sealer(self) -> Sealer:
        """The keys, made if this store never had any. ConfigError."""
        if self._sealer is None:
            async with self._reading:
                if self._sealer is None:
                    self._sealer = await self._read()
        return self._sealer

    def forget(self) -> None:
        """Read the keys again at next need."""
        self._sealer = None

    async def write(self, unit: Callable[[Tx, Sealer], T], **how: Any) -> T:
        """`db.write` for a unit that stores sealed secrets; `how` as there. ConfigError, and what the unit raises."""
        while True:
            sealer = await self.sealer()

            def fenced(tx: Tx, sealer: Sealer = sealer) -> T:
                fence(tx, sealer)
                return unit(tx, sealer)

            try:
                return await self._db.write(fenced, **how)
            except KeysChanged:
                # Ends: either the store's key is read now, or `_read` says that it is not at hand.
                self.forget()

    async def open(self, sealed: bytes, place: Place) -> str:
        """One secret. MissingKey, Unsealable; a key that came since is looked for."""
        sealer = await self.sealer()
        try:
            return sealer.open(sealed, place)
        except MissingKey:
            self.forget()
            return (await self.sealer()).open(sealed, place)

    async def _read(self) -> Sealer:
        known = await self._db.read(key_ids)
        ring = await asyncio.to_thread(self.source.read)
        if ring is None and known:
            raise MissingKey(
                f"{self.source.where} is missing, and stored secrets are sealed with the master key {known[0]}: "
                "put it back (from where it was kept, or from the node that has it). No other key was made and nothing "
                "was changed. Where it is lost for good: gateway secret abandon"
            )
        if ring is None:
            ring = await asyncio.to_thread(self.source.make)
        if not known:
            first = ring.first.id
            known = await self._db.write(lambda tx: _begin(tx, first))
        return _sealer(ring, known)


def _begin(tx: Tx, key_id: str) -> list[str]:
    tx.run(_FIRST, keys=key_id)
    return key_ids(tx)


def _sealer(ring: KeyRing, known: list[str]) -> Sealer:
    """MissingKey when any of the store's keys is not there, not only the one that seals."""
    return [Sealer(ring, key_id) for key_id in reversed(known)][-1]
