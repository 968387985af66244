"""Short connections for what somebody asks for by hand: one an account at a time, closed afterwards.

With the one that syncs an account has two, which every provider allows (connectors.md 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.connectors.ports import Accounts
from gateway.connectors.profile import heard, profile_of
from gateway.connectors.service import Found
from gateway.model.errors import CannotChange, InvalidRequest, LimitReached
from gateway.outbound.dial import Resolver, system_resolver
from gateway.outbound.failure import Failure
from gateway.store.connectors.rows import ConnectorId
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import UpstreamError

from .actions import RemoteActions
from .errors import failed

WAIT_S: Final = 120.0  # for the action before
MAX_OCTETS: Final = 2**31 - 1  # of a message that is only passed on


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class AccountLocks:
    """Of a process: actions of one account are done one after another."""

    def __init__(self) -> None:
        self._turns: dict[ConnectorId, _Turn] = {}

    @asynccontextmanager
    async def held(self, connector_id: ConnectorId, *, wait: float = WAIT_S) -> AsyncIterator[None]:
        """LimitReached: the one before takes longer than `wait` seconds."""
        turn = self._turns.setdefault(connector_id, _Turn())
        turn.users += 1
        try:
            try:
                async with asyncio.timeout(wait):
                    await turn.lock.acquire()
            except TimeoutError:
                raise LimitReached("Another action in this account is under way; try again when it is done") from None
            try:
                yield
            finally:
                turn.lock.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[connector_id]


@asynccontextmanager
async def opened(
    accounts: Accounts, locks: AccountLocks, found: Found, *, resolver: Resolver = system_resolver,
    wait: float = WAIT_S,
) -> AsyncIterator[RemoteActions]:  # fmt: skip
    """A connection for one action; what the account does wrong inside comes out as RemoteFailed. LimitReached.

    CannotChange: the connector is switched off. InvalidRequest: it reads no mail.
    """
    row = found.row
    if not row.enabled:
        raise CannotChange(f"Connector {row.name} is disabled: gateway connector enable {row.name}")
    if not found.options.imap.enabled:
        raise InvalidRequest(f"Connector {row.name} has no IMAP side")
    async with locks.held(row.id, wait=wait):
        try:

            async def connect() -> ImapClient:
                return await _connected(accounts, found, resolver)

            actions = RemoteActions(await connect(), connect)
            try:
                yield actions
            finally:
                await actions.close()
        except UpstreamError as error:
            raise failed(error, row.provider or "", row.name) from None


async def _connected(accounts: Accounts, found: Found, resolver: Resolver) -> ImapClient:
    """With another token where the first was refused: it may have ended meanwhile."""
    host = found.options.imap.host
    for renew in (False, True):
        endpoint = await accounts.imap(found.row, found.options, renew=renew)
        endpoint = replace(endpoint, limits=replace(endpoint.limits, message=MAX_OCTETS))
        try:
            client = await ImapClient.connect(endpoint, resolver=resolver, distrust=profile_of(host).distrust)
        except UpstreamError as error:
            if renew or error.failure is not Failure.AUTH_OAUTH or not accounts.is_oauth(found.row):
                raise
            continue
        for name in heard(profile_of(host), client.greeting, client.server_id).distrust:
            client.distrust(name)
        return client
    raise AssertionError("the second try returns or raises")
