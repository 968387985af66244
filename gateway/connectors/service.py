"""Connectors as people and programs make, look at, change and switch them.

The command line calls this through the control socket, and an HTTP API can as well: everything is a value, and every
error one of `model.errors` that says what to do.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from gateway.model.errors import NotFound, Unavailable
from gateway.model.ids import InboxId, PodId
from gateway.model.ports import Clock
from gateway.store.connectors import accounts, events
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.events import NewEvent
from gateway.store.connectors.rows import ConnectorId, ConnectorRow
from gateway.store.db import Database, Tx
from gateway.store.sealing import Sealer
from gateway.store.vault import Vault

from . import given as givens
from . import secrets
from .accounts import resolved
from .given import Given
from .options import Options
from .presets import provider_of
from .resolve import resolve

log = structlog.get_logger(__name__)

MINUTE = 60


@dataclass(frozen=True, slots=True)
class Found:
    """A connector: its row, what was said of it, and what holds (`options`), secrets in both."""

    row: ConnectorRow
    given: Given
    options: Options


class Connectors:
    """All connectors of a store."""

    def __init__(self, db: Database, vault: Vault, *, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock

    async def add(
        self,
        name: str,
        address: str,
        given: Given,
        *,
        pod_id: PodId,
        provider: str | None = None,
        inbox_id: InboxId | None = None,
        inbox_address: str | None = None,
        enabled: bool = True,
        grant_id: int | None = None,
    ) -> Found:
        """A new one; without an inbox one is made. `provider` None: that of the address.

        InvalidRequest for options, and what `accounts.create` raises.
        """
        provider = provider_of(address) if provider is None else provider
        options = resolve(given, provider, address)
        uuid = str(uuids.uuid4())
        now = int(self._clock())

        def unit(tx: Tx, sealer: Sealer) -> ConnectorRow:
            kept = secrets.sealed(sealer, uuid, given.secrets())
            new = NewConnector(
                pod_id=pod_id, name=name, address=address, inbox_id=inbox_id, inbox_address=inbox_address,
                provider=provider, mode=options.sync.mode, interval_s=options.sync.interval * MINUTE, enabled=enabled,
                options=given.to_json(), grant_id=grant_id, uuid=uuid,
                imap_secret=kept["imap_secret"], smtp_secret=kept["smtp_secret"],
            )  # fmt: skip
            return accounts.create(tx, new, now=now)

        return await self._opened(await self._vault.write(unit))

    async def find(self, word: str, pod_id: PodId | None = None) -> Found:
        """By name, UUID or the account's address. NotFound; Ambiguous."""
        return await self._opened(await self._db.read(lambda rx: accounts.find(rx, word, pod_id)))

    async def get(self, connector_id: ConnectorId) -> Found:
        """NotFound."""
        return await self._opened(await self._db.read(lambda rx: accounts.get(rx, connector_id)))

    async def change(
        self,
        found: Found,
        given: Given,
        *,
        unset: Mapping[str, frozenset[str]] | None = None,
        name: str | None = None,
        provider: str | None = None,
        grant_id: int | None = None,
    ) -> Found:
        """Set what `given` says, and let `unset` (section -> keys) be the provider's again.

        InvalidRequest for what would not hold together; Changed: somebody else was faster, find it again.
        """
        row = found.row
        wanted = found.given.without(unset or {}).merged(given)
        kind = provider or row.provider or provider_of(row.address)
        options = resolve(wanted, kind, row.address)
        values = {
            "name": name or row.name, "provider": kind, "mode": options.sync.mode,
            "interval_s": options.sync.interval * MINUTE, "options": wanted.to_json(),
            "grant_id": row.grant_id if grant_id is None else grant_id,
        }  # fmt: skip
        now = int(self._clock())

        def unit(tx: Tx, sealer: Sealer) -> ConnectorRow:
            sealed = secrets.sealed(sealer, row.uuid, wanted.secrets())
            return accounts.change(tx, row.id, row.version, values | sealed, now=now)

        return await self._opened(await self._vault.write(unit))

    async def tell(self, connector_id: ConnectorId, event: NewEvent) -> None:
        """Leave an event, where the connector is still there and the store takes it; never raises."""
        now = int(self._clock())
        try:
            await self._db.write(lambda tx: events.add(tx, connector_id, event, now=now))
        except (NotFound, Unavailable) as error:
            log.warning("connectors.event_not_kept", connector=connector_id, reason=str(error))

    async def _opened(self, row: ConnectorRow) -> Found:
        given = givens.from_json(row.options, await secrets.opened(self._vault, row))
        return Found(row, given, resolved(row, given))
