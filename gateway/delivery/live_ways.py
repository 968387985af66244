"""Rules and accounts of a running queue: what acceptance and the runner ask, kept up to date with both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.model.ports import Clock

from .agenda import Agenda
from .carrier import Carrier
from .ports import Accounts
from .routes import Found, Routes
from .ways import Row, Ways


def hop_name(agenda: Agenda[Any], found: Found | None) -> str:
    """What the next hop of a way is called, having told the agenda its limits; "" for what nothing carries."""
    if found is None:
        return ""
    limits = found.route.limits
    agenda.tune(found.route.name, limits.connections or None, limits.per_minute or None)
    return found.route.name


class LiveWays:
    """One a process. It knows from the agenda's breakers whose login is refused."""

    def __init__(
        self, routes: Routes, accounts: Accounts, agenda: Agenda[Any], carrier: Carrier, *, clock: Clock
    ) -> None:
        self._accounts = accounts
        self._agenda = agenda
        self._carrier = carrier
        self._clock = clock
        self._ways = Ways(routes, accounts.table, self._login_refused)

    @property
    def now(self) -> Ways:
        if self._accounts.table is not self._ways.accounts:
            self._take_accounts()
        return self._ways

    @property
    def routes(self) -> Routes:
        return self._ways.routes

    @routes.setter
    def routes(self, routes: Routes) -> None:
        self._ways = Ways(routes, self._ways.accounts, self._login_refused)

    def hop_of(self, row: Row) -> str:
        """The name of a recipient's next hop."""
        return hop_name(self._agenda, self.now.of(row))

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """`changed` is called when accounts have changed; the answer ends that."""
        return self._accounts.subscribe(changed)

    def divert(self) -> None:
        """What waits for accounts whose login is refused goes by the relay, where it may."""
        ways = self.now
        for account in ways.accounts:
            found = Found(ways.accounts.route(account), None, account)
            if account.use_fallback and (other := ways.diverted(found)) is not None:
                self._agenda.move(found.route.name, other.route.name)

    def _take_accounts(self) -> None:
        """What waits is sorted anew when it is claimed; a next hop whose account was changed is open to all at once."""
        before, now = self._ways.accounts, self._accounts.table
        self._ways = Ways(self._ways.routes, now, self._login_refused)
        for hop in self._agenda.hops():
            if before.by_hop(hop.name) != now.by_hop(hop.name):
                hop.breaker.reset()
        self._carrier.forget_accounts(lambda name: now.by_hop(name) is not None)

    def _login_refused(self, name: str) -> bool:
        return self._agenda.hop(name).breaker.refused(self._clock())
