"""A store with OAuth on top of it and a provider below, under a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.oauth import parts
from gateway.oauth.apps import AppSpec
from gateway.oauth.logins import Wanted
from gateway.oauth.refreshing import TokenSettings
from gateway.oauth.tokens import AccessToken
from gateway.outbound.http import HttpClient, HttpSettings
from gateway.outbound.tls import ClientContexts, TlsPolicy
from gateway.store.connectors import grants
from gateway.store.connectors.grants import GrantRow
from gateway.store.db import Database
from gateway.store.master_key import KeyFile
from gateway.store.vault import Vault

from .provider import FakeProvider

ACCOUNT = "anna@example.test"
SCOPES = {"imap_scope": "mail.imap", "smtp_scope": "mail.smtp", "scopes": "openid email offline"}
SETTINGS = TokenSettings(pace=0.0, request=5.0, wait=20.0)


@dataclass
class Clock:
    """Unix seconds that pass only when the test says so."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Node:
    """One process: its store, keys, HTTP client and services."""

    db: Database
    vault: Vault
    oauth: parts.OAuth
    http: HttpClient
    provider: FakeProvider
    clock: Clock = field(default_factory=Clock)

    async def app(self, name: str = "app", **changed: Any) -> None:
        values: dict[str, Any] = {
            "provider": "custom", "client_id": "client", "secret": "the-client-secret",
            "endpoints": {**self.provider.endpoints, **SCOPES}, **changed,
        }  # fmt: skip
        await self.oauth.apps.create(name, AppSpec(**values))

    async def log_in(self, app: str = "app", **wanted: Any) -> GrantRow:
        """Somebody logs in with a browser."""
        begun = await self.oauth.logins.begin(Wanted(app, ACCOUNT, **wanted))
        return await self.oauth.logins.finish(self.provider.browse(begun.url))

    async def row(self, grant: GrantRow | int) -> GrantRow:
        number = grant if isinstance(grant, int) else grant.id
        return await self.db.read(lambda rx: grants.get(rx, number))

    async def token(self, grant: GrantRow) -> AccessToken:
        return await self.oauth.tokens.token(grant.id)

    async def refresh_token(self, grant: GrantRow) -> str:
        row = await self.row(grant)
        assert row.refresh_sealed is not None
        return await self.vault.open(row.refresh_sealed, grants.refresh_place(row.uuid))


@asynccontextmanager
async def node(
    db: Database,
    provider: FakeProvider,
    key_file: Path,
    *,
    clock: Clock | None = None,
    settings: TokenSettings = SETTINGS,
    http: HttpSettings | None = None,
) -> AsyncIterator[Node]:
    """Several of one store are several processes."""
    clock = clock or Clock()
    provider.clock = clock
    client = HttpClient(
        ClientContexts(),
        http or HttpSettings(allow_private=True, tls=TlsPolicy(ca_file=provider.ca_file), total=5.0, patience=5.0),
    )
    vault = Vault(db, KeyFile(key_file))
    oauth = parts.make(db, vault, client, clock=clock, settings=settings)
    try:
        yield Node(db, vault, oauth, client, provider, clock)
    finally:
        await oauth.tokens.close(1.0)
        await client.close()
