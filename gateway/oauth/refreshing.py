"""One refresh of one grant: claim it, ask the provider, store what it gave, and only then let it be used.

Between tasks and nodes one asks and the others wait for the row. Nothing is asked inside a transaction. A provider
that rotates refresh tokens has ended the old one when it answers, so its answer is stored before anything else is done,
again and again while the store is away. What is left is a crash in the moment between answer and commit: then the old
refresh token is tried next, which providers with a grace period accept; where they do not, the reason says so.
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.model.errors import ConfigError, GatewayError, NotFound, Unavailable
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.outbound.failure import Failure
from gateway.store.connectors import grants, oauth_apps
from gateway.store.connectors.grants import GrantRow, Tokens
from gateway.store.connectors.oauth_apps import AppRow
from gateway.store.db import Database, Rx, Tx
from gateway.store.sealing import Sealer
from gateway.store.vault import Vault

from .endpoint import Client, Endpoint, open_client
from .errors import AppMisconfigured, OAuthError, ReauthRequired, Transient
from .providers import Way
from .tokens import AccessToken, TokenAnswer

log = structlog.get_logger(__name__)

REFRESH: Final = "refresh"
"""The kind of a grant that somebody has logged in for; the others are `Way`'s words."""
INTERRUPTED: Final = (
    "an earlier refresh was cut off between the provider's answer and our storing it, so that the provider may have "
    "replaced the login that is kept here"
)
_DAY: Final = 86_400

Sleep = Callable[[float], Awaitable[None]]
Jitter = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Seconds, but for `shares`."""

    lease: float = 60.0
    """How long nobody else asks; longer than a request may take."""
    request: float = 40.0
    """How long the provider may take."""
    wait: float = 45.0
    """How long a caller waits for a token."""
    shares: tuple[float, float] = (0.75, 0.85)
    """Of a token's life, at a random moment between which a new one is asked for."""
    backoff: tuple[float, float] = (2.0, 300.0)
    """After failures that pass: the first wait and the longest."""
    app_backoff: tuple[float, float] = (300.0, 21_600.0)
    """The same for a client that the provider refuses."""
    pace: float = 0.5
    """Between two requests of one application: thousands of accounts come back at once after an outage."""


class Pace:
    """One request after the other, `apart` seconds: a turn is taken first, then waited for."""

    def __init__(self, apart: float, sleep: Sleep) -> None:
        self._apart = apart
        self._sleep = sleep
        self._next: dict[int, float] = {}

    async def turn(self, app: int) -> None:
        now = asyncio.get_running_loop().time()
        at = max(now, self._next.get(app, now))
        self._next[app] = at + self._apart
        if at > now:
            await self._sleep(at - now)


@dataclass(frozen=True, slots=True)
class Fresh:
    """A token and when to look for the next one."""

    token: AccessToken
    refresh_at: float


class Refresher:
    """One a process. `obtain` is called by one task a grant at a time (`service` sees to that)."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        endpoint: Endpoint,
        *,
        clock: Clock,
        settings: TokenSettings | None = None,
        jitter: Jitter = random.uniform,
        sleep: Sleep = asyncio.sleep,
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self._db = db
        self._vault = vault
        self._endpoint = endpoint
        self._clock = clock
        self._settings = settings or TokenSettings()
        self._jitter = jitter
        self._sleep = sleep
        self._metrics = metrics
        self._process = secrets.token_hex(8)
        self._pace = Pace(self._settings.pace, sleep)

    async def obtain(self, grant_id: int) -> Fresh:
        """A token that lasts: the row's, or a new one. OAuthError; ConfigError without the master key."""
        pause = 0.1
        while True:
            try:
                row, app = await self._db.read(lambda rx: _rows(rx, grant_id))
            except NotFound:
                raise ReauthRequired("There is no such login any more: log in again", code="removed") from None
            now = self._clock()
            if row.status == grants.REAUTH_REQUIRED and now < row.not_before:
                raise ReauthRequired(row.last_error or "Log in again")
            if row.access_sealed is not None and row.refresh_at is not None and now < row.refresh_at:
                return await self._opened(row, row.access_sealed, row.refresh_at)
            _may_ask(row, app, now)
            await self._pace.turn(app.id)
            owner = f"{self._process}.{secrets.token_hex(4)}"
            if await self._claim(row, app, owner):
                fresh = await self._refresh(row, app, owner)
                if fresh is not None:
                    return fresh
                continue  # the row has other tokens by now
            if row.access_sealed is not None and (row.access_expires or 0) - self._clock() > self._settings.request:
                # Good enough while somebody else asks.
                return await self._opened(row, row.access_sealed, self._clock() + 1)
            await self._sleep(pause)
            pause = min(2 * pause, 1.0)

    async def _claim(self, row: GrantRow, app: AppRow, owner: str) -> bool:
        now = self._clock()
        until = math.ceil(now + self._settings.lease)

        def unit(tx: Tx) -> bool:
            asked_again = app.status != oauth_apps.OK
            if asked_again and not oauth_apps.probe(tx, app, int(now), until):
                return False
            return grants.claim(tx, row, owner, now, until)

        return await self._db.write(unit)

    async def _refresh(self, row: GrantRow, app: AppRow, owner: str) -> Fresh | None:
        """What the provider gave, stored; None when the row has changed meanwhile."""
        try:
            client = await open_client(self._vault, app)
            answer = await self._ask(client, row)
        except OAuthError as error:
            self._metrics.count("oauth_refreshes", result=_result(error))
            if await self._failed(row, app, owner, error):
                raise
            return None
        except GatewayError:
            await self._db.write(lambda tx: grants.release(tx, row.id, owner))
            raise
        fresh = await self._store(row, app, answer)
        if fresh is not None:
            self._metrics.count("oauth_refreshes", result="ok")
        return fresh

    async def _ask(self, client: Client, row: GrantRow) -> TokenAnswer:
        refresh = ""
        if row.kind == REFRESH:
            if row.refresh_sealed is None:
                raise ReauthRequired(f"{client.provider.title} gave no lasting login: log in again")
            refresh = await self._vault.open(row.refresh_sealed, grants.refresh_place(row.uuid))
        try:
            async with asyncio.timeout(self._settings.request):
                if row.kind == REFRESH:
                    return await self._endpoint.refresh(client, refresh)
                if row.kind == Way.SERVICE_ACCOUNT:
                    return await self._endpoint.service_account(client, row.account)
                return await self._endpoint.client_credentials(client)
        except TimeoutError:
            raise Transient(Failure.TIMEOUT, f"{client.provider.title} has not answered in time") from None

    async def _store(self, row: GrantRow, app: AppRow, answer: TokenAnswer) -> Fresh | None:
        now = self._clock()
        expires = int(now + answer.lasts)
        refresh_at = now + answer.lasts * self._jitter(*self._settings.shares)

        def unit(tx: Tx, sealer: Sealer) -> bool:
            tokens = Tokens(
                refresh=sealer.seal(answer.refresh, grants.refresh_place(row.uuid)) if answer.refresh else None,
                access=sealer.seal(answer.access, grants.access_place(row.uuid)),
                expires=expires,
                refresh_at=int(refresh_at),
                scopes=answer.scope or row.scopes,
            )
            if not grants.store(tx, row, tokens, int(now)):
                return False
            if app.status != oauth_apps.OK:
                oauth_apps.accepted(tx, app.id, int(now))
            return True

        pause = 0.5
        while True:
            try:
                stored = await self._vault.write(unit)
            except (Unavailable, ConfigError):
                # A rotated token exists only here: it is kept until the store takes it. No one uses it before.
                log.warning("oauth.not_stored", grant=row.uuid, remedy="mend the store or its master key")
                await self._sleep(pause)
                pause = min(2 * pause, 5.0)
            else:
                return Fresh(AccessToken(answer.access, expires), refresh_at) if stored else None

    async def _failed(self, row: GrantRow, app: AppRow, owner: str, error: OAuthError) -> bool:
        """Note it. False when the row has changed meanwhile: the failure was about tokens that are not there now."""
        now = self._clock()

        def unit(tx: Tx) -> bool:
            if isinstance(error, AppMisconfigured):
                retry = int(now + self._delay(self._settings.app_backoff, app.failures))
                grants.release(tx, row.id, owner)
                return oauth_apps.refused(tx, app, str(error), retry, int(now))
            reauth = isinstance(error, ReauthRequired)
            wait = _DAY if reauth else self._wait(row, error)
            return grants.fail(
                tx, row, owner, grants.REAUTH_REQUIRED if reauth else grants.ACTIVE, _told(row, error),
                int(now + wait), int(now),
            )  # fmt: skip

        kept = await self._db.write(unit)
        level = log.info if isinstance(error, Transient) else log.warning
        level("oauth.refresh_failed", grant=row.uuid, app=app.name, code=error.code, reason=str(error))
        return kept

    def _wait(self, row: GrantRow, error: OAuthError) -> float:
        asked = error.retry_after if isinstance(error, Transient) else None
        return max(asked or 0.0, self._delay(self._settings.backoff, row.failures))

    def _delay(self, bounds: tuple[float, float], failures: int) -> float:
        """Doubling from the first to the longest, each at a random moment of its upper half."""
        least, most = bounds
        whole = min(most, least * 2.0 ** min(failures, 30))
        return self._jitter(whole / 2, whole)

    async def _opened(self, row: GrantRow, sealed: bytes, refresh_at: float) -> Fresh:
        text = await self._vault.open(sealed, grants.access_place(row.uuid))
        return Fresh(AccessToken(text, row.access_expires or 0), refresh_at)


def _rows(rx: Rx, grant_id: int) -> tuple[GrantRow, AppRow]:
    row = grants.get(rx, grant_id)
    return row, oauth_apps.get(rx, row.app_id)


def _may_ask(row: GrantRow, app: AppRow, now: float) -> None:
    if app.status != oauth_apps.OK and now < (app.retry_at or 0):
        raise AppMisconfigured(app.last_error or "The provider refuses this application")
    if now < row.not_before and row.status == grants.ACTIVE:
        raise Transient(
            Failure.UNAVAILABLE, row.last_error or "The provider could not be asked", retry_after=row.not_before - now
        )


def _told(row: GrantRow, error: OAuthError) -> str:
    if isinstance(error, ReauthRequired) and row.refresh_owner is not None:
        return f"{error} ({INTERRUPTED})"
    return str(error)


def _result(error: OAuthError) -> str:
    if isinstance(error, ReauthRequired):
        return "reauth"
    return "app" if isinstance(error, AppMisconfigured) else "transient"
