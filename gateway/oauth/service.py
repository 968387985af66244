"""Access tokens for whoever logs in: at hand while they last, refreshed by one task before they end."""

from __future__ import annotations

import asyncio
import hmac
from typing import Final

import structlog

from gateway.model.errors import GatewayError, NotFound
from gateway.model.ports import Clock
from gateway.outbound.failure import Failure
from gateway.store.connectors import grants
from gateway.store.db import Database
from gateway.store.vault import Vault

from .errors import Transient
from .refreshing import Fresh, Refresher, TokenSettings
from .tokens import AccessToken

log = structlog.get_logger(__name__)

LASTING: Final = 60.0


class TokenService:
    """One a process."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        refresher: Refresher,
        *,
        clock: Clock,
        settings: TokenSettings | None = None,
    ) -> None:
        self._db = db
        self._vault = vault
        self._refresher = refresher
        self._clock = clock
        self._settings = settings or TokenSettings()
        self._known: dict[int, Fresh] = {}
        self._flights: dict[int, asyncio.Task[AccessToken]] = {}
        self._closed = False

    async def token(self, grant_id: int, *, lasting: float = LASTING) -> AccessToken:
        """A token that the provider has not ended yet.

        Beyond 80 % of its life the next one is asked for, and the old one is given meanwhile if it lasts `lasting`
        seconds more. OAuthError (its `failure` is AUTH_OAUTH where a person must act), ConfigError.
        """
        known, now = self._known.get(grant_id), self._clock()
        if known is not None and now < known.refresh_at:
            return known.token
        flight = self._flight(grant_id)
        if known is not None and known.token.expires_at - now >= lasting:
            return known.token
        try:
            async with asyncio.timeout(self._settings.wait):
                # Whoever gives up waiting ends nobody's refresh: a rotated token must be stored.
                return await asyncio.shield(flight)
        except TimeoutError:
            raise Transient(Failure.TIMEOUT, "No access token came in time", code="timeout") from None

    async def invalidate(self, grant_id: int, token: AccessToken) -> None:
        """The mail server refused this token. If it is still the grant's, the next `token` gives another one."""
        self._drop(grant_id, token)
        try:
            row = await self._db.read(lambda rx: grants.get(rx, grant_id))
        except NotFound:
            return
        if row.access_sealed is None or not row.access_expires:
            return
        text = await self._vault.open(row.access_sealed, grants.access_place(row.uuid))
        if hmac.compare_digest(text.encode(), token.text.encode()):
            await self._db.write(lambda tx: grants.expire_access(tx, row, int(self._clock())))
            # A task that read the row before may have put it back.
            self._drop(grant_id, token)

    def forget(self, grant_id: int) -> None:
        """What is known of a grant is not so any more: somebody logged in again, or it was removed."""
        self._known.pop(grant_id, None)

    async def close(self, patience: float = 10.0) -> None:
        """Let refreshes that are under way store what they got; then give them up."""
        self._closed = True
        flights = list(self._flights.values())
        if flights:
            _, late = await asyncio.wait(flights, timeout=patience)
            for flight in late:
                flight.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            if late:
                log.warning("oauth.given_up", count=len(late))
        self._known.clear()

    def _drop(self, grant_id: int, token: AccessToken) -> None:
        known = self._known.get(grant_id)
        if known is not None and known.token == token:
            del self._known[grant_id]

    def _flight(self, grant_id: int) -> asyncio.Task[AccessToken]:
        flight = self._flights.get(grant_id)
        if flight is None:
            if self._closed:
                raise Transient(Failure.UNAVAILABLE, "The gateway is stopping")
            flight = asyncio.get_running_loop().create_task(self._obtain(grant_id), name=f"oauth.{grant_id}")
            self._flights[grant_id] = flight
            flight.add_done_callback(lambda task: self._landed(grant_id, task))
        return flight

    async def _obtain(self, grant_id: int) -> AccessToken:
        fresh = await self._refresher.obtain(grant_id)
        self._known[grant_id] = fresh
        return fresh.token

    def _landed(self, grant_id: int, task: asyncio.Task[AccessToken]) -> None:
        self._flights.pop(grant_id, None)
        if task.cancelled():
            return
        error = task.exception()  # nobody may have waited for it
        if error is not None and not isinstance(error, GatewayError):
            log.error("oauth.flight_failed", grant=grant_id, exc_info=error)
