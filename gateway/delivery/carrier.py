"""Hands messages to routes: connections are shared, a server that cannot be reached gets a rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.smtp_transport import OutgoingMail, SmtpConnection, TransportFailed
from gateway.outbound.verdict import Outcome, Stage, Verdict
from gateway.store.db import Database
from gateway.store.queue import QueueItem

from .pool import ConnectionPool
from .routes import Route
from .settings import DeliverySettings
from .source import StoredMessage

log = structlog.get_logger(__name__)

OpenConnection = Callable[[Endpoint], Awaitable[SmtpConnection]]

_PAUSES: Final = (5.0, 15.0, 60.0)  # seconds that a route rests after 1, 2, more failed connections in a row


class CutBeforeTheDot(asyncio.CancelledError):
    """The attempt was cancelled while the server had no whole message yet: it may be begun anew without doubt."""


class Carrier:
    """All routes of a process: their connections and their pauses."""

    def __init__(
        self,
        db: Database,
        settings: DeliverySettings,
        *,
        clock: Clock,
        connect: OpenConnection = SmtpConnection.open,
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self._db = db
        self.settings = settings
        self._clock = clock
        self._connect = connect
        self._metrics = metrics
        self._pools: dict[str, tuple[Endpoint, ConnectionPool]] = {}
        self._failures: dict[str, int] = {}
        self._paused_until: dict[str, float] = {}

    def rest(self, route: Route) -> float:
        """Seconds until the route may be tried again."""
        return max(self._paused_until.get(route.name, 0.0) - self._clock(), 0.0)

    def forget_pauses(self) -> None:
        self._paused_until.clear()
        self._failures.clear()

    async def close(self) -> None:
        """Says QUIT on all idle connections."""
        for _, pool in self._pools.values():
            await pool.close()

    async def carry(self, route: Route, items: Sequence[QueueItem], message: StoredMessage) -> list[Outcome]:
        """One attempt for recipients of one message: an outcome each, in order. CutBeforeTheDot."""
        mail = OutgoingMail(
            mail_from=items[0].mail_from,
            recipients=[item.address for item in items],
            size=message.size,
            body_8bit=items[0].body8bit,
            header_utf8=items[0].smtputf8,
            chunks=lambda: message.chunks(self._db),
        )
        pool = self._pool(route)
        for fresh in (False, True):
            try:
                connection = await pool.take(fresh=fresh)
            except TransportFailed as failed:
                self._pause(route, failed.outcome)
                return [failed.outcome] * len(items)
            self._failures.pop(route.name, None)
            self._paused_until.pop(route.name, None)
            used = connection.sent > 0
            try:
                outcomes = await connection.send(mail)
            except GatewayError as error:  # our own store, in the middle of the body: nothing was handed over
                log.warning("delivery.unreadable", submission=items[0].submission_uuid, reason=str(error))
                text = "The stored message cannot be read now"
                return [Outcome(Verdict.TEMPORARY, Stage.BODY, None, "4.3.0", text)] * len(items)
            except asyncio.CancelledError:
                if not connection.dot_sent:
                    raise CutBeforeTheDot from None
                raise
            finally:
                pool.give_back(connection)
            # A kept connection that the server closed meanwhile says nothing about this mail: once more, on a new one.
            if not (used and all(outcome.code is None and outcome.stage is Stage.MAIL for outcome in outcomes)):
                break
        return outcomes

    def _pool(self, route: Route) -> ConnectionPool:
        """The route's connections; those of an endpoint that was configured anew are left to expire."""
        known = self._pools.get(route.name)
        if known is None or known[0] != route.endpoint:
            pool = ConnectionPool(
                lambda: self._connect(route.endpoint),
                idle_s=self.settings.idle_s,
                messages=self.settings.messages_per_connection,
            )
            known = self._pools[route.name] = (route.endpoint, pool)
        return known[1]

    def _pause(self, route: Route, outcome: Outcome) -> None:
        """A server that cannot be reached is not asked again for each of ten thousand messages."""
        failures = self._failures[route.name] = self._failures.get(route.name, 0) + 1
        pause = _PAUSES[min(failures, len(_PAUSES)) - 1]
        self._paused_until[route.name] = self._clock() + pause
        if outcome.verdict is Verdict.LOGIN:
            log.error("delivery.relay_login_refused", route=route.name, code=outcome.code, text=outcome.text)
        else:
            log.warning("delivery.route_failed", route=route.name, code=outcome.code, text=outcome.text)
        self._metrics.count("delivery_route_failures_total", route=route.name)
