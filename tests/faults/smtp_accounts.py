"""Somebody who keeps accounts, for tests of the queue: answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.delivery.accounts import Account, AccountTable
from gateway.delivery.ports import SendReport
from gateway.model.errors import GatewayError
from gateway.model.ids import InboxId
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.login import RelayLogin
from gateway.store import addresses
from gateway.store.db import Tx
from tests.faults.smtp_kit import envelope_of, principal
from tests.faults.smtp_peer import Peer
from tests.faults.smtp_relay import Relay
from tests.faults.smtp_store import House

ADDRESS = "ann@account.test"
MESSAGE_ID = "<orig@account.test>"


@dataclass
class Keeper:
    """`servers`: by the account's name. `tokens`: of each login in turn, the last one for ever; empty: no login.

    `failure`: raised in place of servers. `was`: what `was_sent` answers, in turn.
    """

    table: AccountTable
    servers: dict[str, Sequence[Endpoint]] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    user: str = ADDRESS
    failure: GatewayError | None = None
    was: list[bool | None] = field(default_factory=list)
    hangs: asyncio.Event | None = None
    """Set when it is asked; then there is no answer."""
    asked: list[tuple[str, bytes, int]] = field(default_factory=list)
    renewals: list[bool] = field(default_factory=list)
    reports: list[SendReport] = field(default_factory=list)
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        self.listeners.append(changed)
        return lambda: self.listeners.remove(changed)

    def change(self, *accounts: Account) -> None:
        self.table = AccountTable(accounts)
        for changed in list(self.listeners):
            changed()

    async def endpoints(self, account: Account, *, renew: bool = False) -> Sequence[Endpoint]:
        self.renewals.append(renew)
        if self.failure is not None:
            raise self.failure
        if renew and len(self.tokens) > 1:
            self.tokens.pop(0)
        found = self.servers[account.name]
        if not self.tokens:
            return found
        return [replace(each, login=RelayLogin(self.user, self.tokens[0], token=True)) for each in found]

    async def was_sent(self, account: Account, message_id: bytes, since: int) -> bool | None:
        if self.hangs is not None:
            self.hangs.set()
            await asyncio.Event().wait()
        self.asked.append((account.name, message_id, since))
        return self.was.pop(0)

    def report(self, tx: Tx, report: SendReport) -> None:
        self.reports.append(report)


def account(inbox: InboxId, **changes: Any) -> Account:
    values: dict[str, Any] = {"id": 1, "name": "work", "inbox_id": inbox, "addresses": (ADDRESS,), **changes}
    return Account(**values)


async def with_account(it: House, server: Relay | Peer, **changes: Any) -> Keeper:
    """Ann's inbox gets the address, and an account that `server` is."""
    await it.db.write(lambda tx: addresses.add_address(tx, it.ann, ADDRESS, "external", now=1))
    keeper = Keeper(AccountTable([account(it.ann, **changes)]))
    keeper.servers["work"] = [Peer(port=server.port).endpoint()]
    it.accounts = keeper
    return keeper


async def submit(it: House, *recipients: str, sender: str = ADDRESS, number: int = 0) -> None:
    """From Ann; `number` tells several messages apart, for the same one again would be known."""
    mark = MESSAGE_ID.replace("orig", f"orig{number}") if number else MESSAGE_ID
    octets = f"From: {sender}\r\nTo: eve@elsewhere.net\r\nMessage-ID: {mark}\r\n\r\nbody\r\n".encode()
    to = recipients or ("eve@elsewhere.net",)
    arrival = it.submissions.begin(envelope_of(principal(inbox_id=it.ann), sender, to))
    await arrival.write(octets)
    await arrival.finish()


async def are(it: House, *states: str) -> bool:
    return await it.states() == list(states)


async def tried(it: House, times: int = 1) -> bool:
    """All were tried so often, and none is under way."""
    people = [person for entry in await it.queue() for person in entry.recipients]
    return all(person.attempts >= times for person in people) and not {"queued", "sending"} & set(await it.states())
