"""All that is done with connectors apart from syncing, as one thing that `app` builds and closes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.model.errors import InvalidRequest
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.oauth import parts
from gateway.oauth.errors import OAuthError
from gateway.oauth.parts import OAuth
from gateway.outbound.dial import Resolver, system_resolver
from gateway.outbound.failure import Failure
from gateway.outbound.http import HttpClient, HttpSettings
from gateway.outbound.tls import contexts
from gateway.store.db import Database
from gateway.store.master_key import KeySource
from gateway.store.vault import Vault

from . import journal
from .accounts import NO_LOGIN, ConnectorAccounts, Reach
from .advice import Side
from .gates import PATIENCE_S, Gates, HostAway, HostBusy
from .options import ImapLeg, Options
from .plan.destination import DestinationLimits
from .plan.filters import FolderFilter
from .plan.standing import of_the_server
from .probe import Probe, Tell, to_nobody, untried, without_login
from .probe_imap import probe_imap
from .probe_smtp import probe_smtp
from .remote.actions import RemoteActions
from .remote.door import AccountLocks, Ways, opened
from .remote.errors import RemoteFailed, away, busy
from .remote.mishaps import Mishaps
from .service import Connectors, Found

BOTH: Final[tuple[Side, ...]] = ("imap", "smtp")


@dataclass(frozen=True, slots=True)
class Desk:
    """One a process; `close` it before the store."""

    vault: Vault
    oauth: OAuth
    accounts: ConnectorAccounts
    connectors: Connectors
    http: HttpClient
    resolver: Resolver = system_resolver
    gates: Gates = field(default_factory=lambda: Gates(DestinationLimits(), random.random))
    """What connections to hosts wait for; a process that syncs has its workers pass the same."""
    patience: float = PATIENCE_S
    """Seconds that whoever tests, or acts by hand, waits until a host may be asked."""
    locks: AccountLocks = field(default_factory=AccountLocks)
    mishaps: Mishaps = field(default_factory=Mishaps)

    @classmethod
    def open(
        cls, db: Database, keys: KeySource, reach: Reach, *, clock: Clock, metrics: Metrics = NULL_METRICS,
        destination: DestinationLimits | None = None,
    ) -> Desk:  # fmt: skip
        """Nothing is read or asked yet. `destination`: how hosts are asked."""
        vault = Vault(db, keys)
        http = HttpClient(contexts, HttpSettings())
        oauth = parts.make(db, vault, http, clock=clock, metrics=metrics)
        accounts = ConnectorAccounts(vault, oauth.tokens, reach)
        gates = Gates(destination or DestinationLimits(), random.random)
        return cls(vault, oauth, accounts, Connectors(db, vault, clock=clock), http, gates=gates)

    async def close(self) -> None:
        await self.oauth.tokens.close()
        await self.http.close()

    @asynccontextmanager
    async def remote(self, found: Found, action: str) -> AsyncIterator[RemoteActions]:
        """What somebody does by hand in the account, over a connection of its own (`remote.door.opened`).

        `action`: its name, for the event that is left where the account fails it.
        """
        try:
            ways = Ways(self.gates, self.locks, self.resolver, patience=self.patience)
            async with opened(self.accounts, ways, found) as actions:
                yield actions
        except RemoteFailed as error:
            if self.mishaps.is_news(found.row.id, action, error.failure):
                said = f"{error.message} {error.advice}".rstrip()
                event = journal.of_action(action, error.log, error.failure.value, said)
                await self.connectors.tell(found.row.id, event)
            raise

    async def test(self, found: Found, sides: tuple[Side, ...] = BOTH, tell: Tell = to_nobody) -> list[Probe]:
        """Test a stored connector. InvalidRequest: it has none of `sides`; NotFound, ConfigError."""
        row, options = found.row, found.options
        provider, token = row.provider or "", ""
        if row.grant_id is not None:
            try:
                token = (await self.accounts.token(row.grant_id, renew=False)).text
            except OAuthError as error:
                there = {"imap": options.imap.enabled, "smtp": options.smtp.enabled}
                return [
                    without_login(side, error.failure, str(error), provider, row.name) for side in sides if there[side]
                ]
        return await self.test_options(
            options, address=row.address, provider=provider, name=row.name, token=token, sides=sides, number=row.id,
            tell=tell,
        )

    async def test_options(
        self, options: Options, *, address: str, provider: str, name: str = "NAME", token: str = "",
        sides: tuple[Side, ...] = BOTH, number: int = 0, tell: Tell = to_nobody,
    ) -> list[Probe]:  # fmt: skip
        """Test options; 0 is the `number` of those that are not stored. InvalidRequest: they have none of `sides`."""
        probes = []
        if "imap" in sides and options.imap.enabled and not (token or options.imap.secret):
            probes.append(without_login("imap", Failure.AUTH_REJECTED, NO_LOGIN, provider, name))
        elif "imap" in sides and options.imap.enabled:
            probes.append(await self._test_imap(options.imap, token, number, provider, name, tell))
        if "smtp" in sides and options.smtp.enabled:
            smtp = self.accounts.smtp_of(options.smtp, token)
            probes.append(
                await probe_smtp(
                    smtp, sender=address, provider=provider, name=name, resolver=self.resolver, tell=tell
                )
            )
        if not probes:
            raise InvalidRequest(f"There is nothing to test: the connector has no {' and no '.join(sides)} side")
        return probes

    async def _test_imap(
        self, leg: ImapLeg, token: str, number: int, provider: str, name: str, tell: Tell
    ) -> Probe:  # fmt: skip
        """Through the gate of its host, as somebody who waits himself."""
        endpoint, wanted = self.accounts.imap_of(leg, token), FolderFilter(leg.folders, leg.exclude)
        try:
            async with self.gates.entered(leg.host, leg.port, number, patience=self.patience) as entered:
                probe = await probe_imap(
                    endpoint, provider=provider, name=name, wanted=wanted, resolver=self.resolver, tell=tell
                )
                if any(step.name == "login" and step.ok for step in probe.steps):
                    entered.succeeded()
        except (HostAway, HostBusy) as error:
            said = away(error) if isinstance(error, HostAway) else busy(error)
            probe = untried("imap", "turn", said.failure, said.message, provider, name)
            probe.advice = said.advice
            return probe
        if probe.failure is not None:
            counts = of_the_server(probe.failure)
            self.gates.failed(leg.host, leg.port, number, probe.message, counts=counts)
        return probe
