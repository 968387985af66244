"""Which way one recipient's mail goes: rules, then the account whose address its sender is, then the default relay.

A rule always wins: what an administrator wrote (hold, discard, this relay) holds for mail of accounts too. Where no
rule fits, mail from an address of an account leaves through that account, for only its provider can send it so that
others believe the address (SPF, DKIM, DMARC).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from gateway.model.ids import InboxId
from gateway.store.submissions import HERE_LATER
from gateway.submit.errors import NoRoute, UnknownRecipient

from .accounts import NOBODY, Account, AccountTable
from .local import ROUTE
from .routes import NO_CONNECTOR, NO_RELAY, ONLY_HERE, RETURNED, Found, RouteKind, Routes

Refused = Callable[[str], bool]
"""Whether the login at a next hop is refused at the moment, by its name."""


class Row(Protocol):
    """What is known of a recipient in the queue."""

    @property
    def inbox_id(self) -> InboxId: ...
    @property
    def mail_from(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def domain(self) -> str: ...
    @property
    def account_gone(self) -> str | None:
        """The name of the account that was to send it, and was removed since."""
    @property
    def gone_fallback(self) -> bool:
        """That one's mail might go by the default relay."""


def _never(name: str) -> bool:
    return False


class Ways:
    """Rules and accounts as they are now; immutable, but for what `refused` says."""

    def __init__(self, routes: Routes, accounts: AccountTable = NOBODY, refused: Refused = _never) -> None:
        self.routes = routes
        self.accounts = accounts
        self._refused = refused

    def find(
        self, inbox_id: InboxId | None, sender: str, recipient: str, *, released: bool = False
    ) -> Found | None:
        """None: nothing carries it. `inbox_id`: who sends; the rest as `Routes.find`.

        A Found of kind CONNECTOR without an account: a rule says so, and the inbox has none.
        """
        found = self.routes.find(sender, recipient, released=released)
        if not self.accounts:
            return found
        if found is not None and found.rule is not None:
            if found.route.kind is not RouteKind.CONNECTOR:
                return found
            account = self.accounts.of(inbox_id, sender)
        else:
            account = self.accounts.owning(inbox_id, sender)
        if account is None:
            return found
        by = Found(self.accounts.route(account), found.rule if found is not None else None, account)
        return self.diverted(by) or by

    def of(self, row: Row, *, released: bool = False) -> Found | None:
        """The way of a recipient in the queue."""
        if row.domain == HERE_LATER:
            return ROUTE
        found = self.find(row.inbox_id, row.mail_from, row.address, released=released)
        if row.account_gone is None or (found is not None and self._carries(found, row.gone_fallback)):
            return found
        return Found(RETURNED, gone=row.account_gone)

    def _carries(self, found: Found, fallback: bool) -> bool:
        """Whether mail whose account was removed goes so: by another account of the address, a rule, its fallback."""
        if found.route.kind is RouteKind.CONNECTOR:
            return found.account is not None
        return found.account is not None or found.rule is not None or fallback

    def diverted(self, found: Found) -> Found | None:
        """The default relay where an account's mail may go by it and has to; None: it goes by the account."""
        account = found.account
        if account is None or not self.may_divert(account):
            return None
        if not (account.paused or self._refused(self.accounts.route(account).name)):
            return None
        assert self.routes.default is not None
        return replace(found, route=self.routes.default)

    def may_divert(self, account: Account) -> bool:
        return account.use_fallback and self.routes.default is not None

    def refusal(self, inbox_id: InboxId | None, sender: str, recipient: str) -> NoRoute | UnknownRecipient | None:
        """What acceptance asks about a recipient that is not here: why it cannot be taken, None when it can."""
        found = self.find(inbox_id, sender, recipient)
        if found is None:
            return NoRoute(NO_RELAY)
        if found.route.kind is RouteKind.LOCAL:
            return UnknownRecipient(ONLY_HERE)
        if found.route.kind is not RouteKind.CONNECTOR:
            return None
        if found.account is None:
            return NoRoute(NO_CONNECTOR)
        # Who switched it off wants nothing sent: its writer hears so now, not in days. What was taken before waits.
        return NoRoute(found.account.paused) if found.account.paused else None
