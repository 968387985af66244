"""Accounts elsewhere that inboxes here send through, as a table that acceptance and the queue ask (pure).

The table is whole in memory: it is asked at each RCPT and for each row that is planned. Whoever keeps the accounts
makes a new one when something changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.model.ids import InboxId
from gateway.outbound.sent_copy import SentPolicy
from gateway.store.addresses import spellings

from .routes import Route, RouteKind, RouteLimits

NO_LIMITS: Final = RouteLimits()


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one inbox, as far as mail goes out through it. Its login is no part of it: see `ports.Accounts`.

    `addresses`: canonical; mail from them goes out here. `limits`: 0 is what all next hops have. `paused`: why nothing
    is taken or tried until somebody has mended it (it is switched off), "" when it works. `use_fallback`: while its
    login is refused, or it is paused, its mail goes by the default relay. `files_sent`: what was found out about the
    provider's Sent. `version`: another one when somebody has changed anything, the login too: what waited because of
    it is tried at once.
    """

    id: int
    name: str
    inbox_id: InboxId
    addresses: tuple[str, ...]
    limits: RouteLimits = NO_LIMITS
    sent_policy: SentPolicy = SentPolicy.AUTO
    use_fallback: bool = False
    paused: str = ""
    files_sent: bool | None = None
    version: int = 0


class AccountTable:
    """Immutable."""

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        found = sorted(accounts, key=lambda account: account.id)
        names = Counter(account.name for account in found)
        self._accounts = tuple(found)
        self._routes = {each.id: _route(each, alone=names[each.name] == 1) for each in found}
        self._by_address: dict[tuple[int, str], Account] = {}
        self._by_inbox: dict[int, Account] = {}
        self._by_hop = {self._routes[account.id].name: account for account in self._accounts}
        for account in sorted(found, key=lambda account: bool(account.paused)):  # one that works, where there is one
            self._by_inbox.setdefault(account.inbox_id, account)
            for address in account.addresses:
                self._by_address.setdefault((account.inbox_id, address), account)

    def __bool__(self) -> bool:
        return bool(self._accounts)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts)

    def owning(self, inbox_id: InboxId | None, sender: str) -> Account | None:
        """The inbox's account whose address, +detail or not, `sender` is; of several the oldest that works."""
        if inbox_id not in self._by_inbox:
            return None
        for spelling in spellings(sender)[:-1]:
            if (found := self._by_address.get((inbox_id, spelling))) is not None:
                return found
        return None

    def of(self, inbox_id: InboxId | None, sender: str) -> Account | None:
        """The same, or the inbox's oldest account that works where none has that address."""
        if inbox_id is None:
            return None
        return self.owning(inbox_id, sender) or self._by_inbox.get(inbox_id)

    def route(self, account: Account) -> Route:
        """Its way, without the servers: those are asked for when mail goes."""
        return self._routes[account.id]

    def by_hop(self, name: str) -> Account | None:
        """By the name of its next hop."""
        return self._by_hop.get(name)


def _route(account: Account, *, alone: bool) -> Route:
    """Names are unique within a pod only, and next hops are of all pods."""
    name = account.name if alone else f"{account.name}#{account.id}"
    return Route(f"{RouteKind.CONNECTOR}:{name}", RouteKind.CONNECTOR, (), account.limits)


NOBODY: Final = AccountTable()
