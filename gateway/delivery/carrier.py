"""Hands messages to relays: connections are shared, a host that cannot be reached rests and the next one is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.mail import OutgoingMail
from gateway.outbound.smtp_transport import SmtpConnection, TransportFailed
from gateway.outbound.verdict import Outcome, Stage, Verdict
from gateway.store.db import Database
from gateway.store.queue import QueueItem

from .hosts import Hosts
from .outgoing import outgoing
from .pool import ConnectionPool
from .routes import Route, RouteKind
from .settings import DeliverySettings
from .source import StoredMessage

log = structlog.get_logger(__name__)

OpenConnection = Callable[[Endpoint], Awaitable[SmtpConnection]]


@dataclass(frozen=True, slots=True)
class Carried:
    """An outcome for each recipient, in order, the host that it comes from (None: none was asked), its first words."""

    outcomes: list[Outcome]
    remote: str | None
    greeting: str = ""


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
        self._connect = connect
        self._metrics = metrics
        self._pools: dict[str, dict[Endpoint, ConnectionPool]] = {}
        self._hosts = Hosts(clock)

    def forget_pauses(self) -> None:
        self._hosts.forget()

    def forget_accounts(self, there: Callable[[str], bool]) -> None:
        """Connections of accounts that are no more end when they have been idle; their logins are not kept."""
        for name in [name for name in self._pools if name.startswith(f"{RouteKind.CONNECTOR}:") and not there(name)]:
            del self._pools[name]

    async def close(self) -> None:
        """Says QUIT on all idle connections."""
        for pools in self._pools.values():
            for pool in pools.values():
                await pool.close()

    async def carry(self, route: Route, items: Sequence[QueueItem], message: StoredMessage) -> Carried:
        """One attempt for recipients of one message at the first host that will talk to us. CutBeforeTheDot.

        What a host says about the mail is final; only one that cannot be reached, or turns us away before it has
        heard of the mail, makes the next one's turn.
        """
        mail = outgoing(self._db, items, message)
        greeting = ""
        hosts = self._hosts.in_order(route)
        for place, endpoint in enumerate(hosts, 1):
            try:
                outcomes, greeting = await self._send(route, endpoint, items, mail)
            except TransportFailed as failed:
                greeting = ""
                self._failed(route, endpoint, failed.outcome)
                outcomes = [failed.outcome] * len(items)
                if failed.outcome.verdict is Verdict.LOGIN:  # the others have the same login: not a failure at each
                    break
            else:
                if place == len(hosts) or not all(_turned_away(outcome) for outcome in outcomes):
                    break
                self._failed(route, endpoint, outcomes[0])
        return Carried(outcomes, endpoint.host, greeting)

    async def _send(
        self, route: Route, endpoint: Endpoint, items: Sequence[QueueItem], mail: OutgoingMail
    ) -> tuple[list[Outcome], str]:
        """One host, and its greeting. TransportFailed, CutBeforeTheDot."""
        pool = self._pool(route, endpoint)
        for fresh in (False, True):
            try:
                connection = await pool.take(fresh=fresh)
            except asyncio.CancelledError:
                raise CutBeforeTheDot from None
            self._hosts.worked(endpoint)
            used = connection.sent > 0
            try:
                outcomes = await connection.send(mail)
            except GatewayError as error:  # our own store, in the middle of the body: nothing was handed over
                log.warning("delivery.unreadable", submission=items[0].submission_uuid, reason=str(error))
                text = "The stored message cannot be read now"
                return [Outcome(Verdict.TEMPORARY, Stage.BODY, None, "4.3.0", text)] * len(items), connection.greeting
            except asyncio.CancelledError:
                if not connection.dot_sent:
                    raise CutBeforeTheDot from None
                raise
            finally:
                pool.give_back(connection)
            # A kept connection that the server closed meanwhile says nothing about this mail: once more, on a new one.
            if not (used and all(outcome.code is None and outcome.stage is Stage.MAIL for outcome in outcomes)):
                break
        return outcomes, connection.greeting

    def _pool(self, route: Route, endpoint: Endpoint) -> ConnectionPool:
        """The route's connections to one host; those of hosts that are no more in its list are left to expire."""
        known = self._pools.setdefault(route.name, {})
        for gone in known.keys() - set(route.endpoints):
            del known[gone]
        if endpoint not in known:
            known[endpoint] = ConnectionPool(
                lambda: self._connect(endpoint),
                idle_s=self.settings.idle_s,
                messages=self.settings.messages_per_connection,
            )
        return known[endpoint]

    def _failed(self, route: Route, endpoint: Endpoint, outcome: Outcome) -> None:
        """A host that cannot be reached is not asked again for each of ten thousand messages."""
        refused = outcome.verdict is Verdict.LOGIN
        self._hosts.failed(route.endpoints if refused else [endpoint])
        said = {"route": route.name, "host": endpoint.host, "code": outcome.code, "text": outcome.text}
        if refused and route.kind is RouteKind.CONNECTOR:  # its owner is told; it is no defect of this gateway
            log.warning("delivery.account_login_refused", **said)
        elif refused:
            log.error("delivery.relay_login_refused", **said)
        else:
            log.warning("delivery.route_failed", **said)
        # Relays are named in the configuration; of accounts there may be thousands.
        name = route.kind.value if route.kind is RouteKind.CONNECTOR else route.name
        self._metrics.count("delivery_route_failures_total", route=name)


def _turned_away(outcome: Outcome) -> bool:
    """The host went before it said anything about the mail."""
    return outcome.verdict is Verdict.TEMPORARY and outcome.stage is Stage.MAIL and outcome.code in (None, 421)
