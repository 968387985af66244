"""Short connections for what somebody asks for by hand: one an account at a time, closed afterwards.

With the one that syncs an account has two, which every provider allows (connectors.md 5). They pass the gates of their
host as those do, before which they go: somebody waits for them, and not for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.connectors.gates import PATIENCE_S, Gates, HostAway, HostBusy
from gateway.connectors.ports import Accounts
from gateway.connectors.profile import heard, profile_of
from gateway.connectors.service import Found
from gateway.model.errors import CannotChange, InvalidRequest, LimitReached
from gateway.outbound.dial import Resolver, system_resolver
from gateway.outbound.failure import Failure
from gateway.store.connectors.rows import ConnectorId
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import UpstreamError
from gateway.upstream.transcript import Transcript

from .actions import RemoteActions
from .errors import RemoteFailed, away, busy, failed

WAIT_S: Final = 120.0  # for the action before
LOG_LINES: Final = 50
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


@dataclass(frozen=True, slots=True)
class Ways:
    """Of a process: what all actions share. `gates`: the same as those of its workers.

    Seconds: `wait` for the action before in the same account, `patience` until its host may be asked.
    """

    gates: Gates
    locks: AccountLocks = field(default_factory=AccountLocks)
    resolver: Resolver = system_resolver
    wait: float = WAIT_S
    patience: float = PATIENCE_S


@asynccontextmanager
async def opened(accounts: Accounts, ways: Ways, found: Found) -> AsyncIterator[RemoteActions]:
    """A connection for one action; what the account does wrong inside comes out as RemoteFailed. LimitReached.

    CannotChange: the connector is switched off. InvalidRequest: it reads no mail.
    """
    row, leg = found.row, found.options.imap
    if not row.enabled:
        raise CannotChange(f"Connector {row.name} is disabled: gateway connector enable {row.name}")
    if not leg.enabled:
        raise InvalidRequest(f"Connector {row.name} has no IMAP side")
    transcript = Transcript(LOG_LINES)
    try:
        async with ways.locks.held(row.id, wait=ways.wait), AsyncExitStack() as gate:

            async def connect() -> ImapClient:
                await gate.aclose()  # the connection before this one is gone
                entered = await gate.enter_async_context(
                    ways.gates.tried(leg.host, leg.port, row.id, patience=ways.patience)
                )
                client = await _connected(accounts, found, ways.resolver, transcript)
                entered.succeeded()
                return client

            actions = RemoteActions(await connect(), connect)
            try:
                yield actions
            finally:
                await actions.close()
    except UpstreamError as error:
        raise _logged(failed(error, row.provider or "", row.name), transcript) from None
    except HostAway as error:
        raise away(error) from None
    except HostBusy as error:
        raise busy(error) from None


def _logged(error: RemoteFailed, transcript: Transcript) -> RemoteFailed:
    error.log = transcript.lines()
    return error


async def _connected(accounts: Accounts, found: Found, resolver: Resolver, transcript: Transcript) -> ImapClient:
    """With another token where the first was refused: it may have ended meanwhile."""
    host = found.options.imap.host
    for renew in (False, True):
        endpoint = await accounts.imap(found.row, found.options, renew=renew)
        endpoint = replace(endpoint, limits=replace(endpoint.limits, message=MAX_OCTETS))
        try:
            client = await ImapClient.connect(
                endpoint, resolver=resolver, transcript=transcript, distrust=profile_of(host).distrust
            )
        except UpstreamError as error:
            if renew or error.failure is not Failure.AUTH_OAUTH or not accounts.is_oauth(found.row):
                raise
            continue
        for name in heard(profile_of(host), client.greeting, client.server_id).distrust:
            client.distrust(name)
        return client
    raise AssertionError("the second try returns or raises")
