"""The connection of a session, and the one that takes its place before the access token of its login ends.

A server ends a connection whose token has ended, in the middle of whatever it does. So shortly before that another one
is made beside it, by the next token, while the first goes on; the session changes over where nothing is under way.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.outbound.failure import Failure, refuses_login
from gateway.store.connectors.rows import ConnectorRow
from gateway.upstream.client import ImapClient
from gateway.upstream.endpoint import ImapEndpoint
from gateway.upstream.errors import UpstreamError
from gateway.upstream.transcript import Transcript

from .gates import PATIENCE_S, Entered, HostBusy
from .options import Options
from .plan.renewal import begins, is_later, pause
from .profile import heard, profile_of
from .recall import Recall
from .requests import Requests
from .tools import Tools

log = structlog.get_logger(__name__)


_NO_ROOM: Final = (Failure.LIMIT, Failure.THROTTLED)


@dataclass(slots=True)
class _Open:
    """`gate`: its place among the connections to its host. `ends`: of its token; None: never, or nobody knows."""

    gate: AsyncExitStack
    client: ImapClient
    ends: float | None

    async def close(self) -> None:
        try:
            await self.client.log_out()
        finally:
            await self.gate.aclose()


class Line:
    """`async with` ends all that is open. First `wait`, then `open`; later `change`, whenever one is `ready`."""

    def __init__(
        self, tools: Tools, row: ConnectorRow, options: Options, recall: Recall, requests: Requests,
        transcript: Transcript,
    ) -> None:  # fmt: skip
        self._tools = tools
        self._row = row
        self._options = options
        self._recall = recall
        self._requests = requests
        self._transcript = transcript
        self._waiting = AsyncExitStack()
        self._entered: Entered | None = None
        self._open: _Open | None = None
        self._next: _Open | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(self, *error: object) -> None:
        async with AsyncExitStack() as all_:  # each of it ends, also where another cancellation comes meanwhile
            all_.push_async_callback(self._waiting.aclose)
            for one in (self._next, self._open):
                if one is not None:
                    all_.push_async_callback(one.close)
            if self._renewal is not None:
                self._renewal.cancel()  # from here on there is no other `_next`
                (ended,) = await asyncio.gather(self._renewal, return_exceptions=True)
                if isinstance(ended, Exception):
                    log.error("connectors.renewal_failed", connector=self._row.id, exc_info=ended)

    async def wait(self) -> None:
        """Until the host may be asked. HostAway."""
        leg = self._options.imap
        gate = self._tools.gates.entered(leg.host, leg.port, self._row.id)
        self._entered = await self._waiting.enter_async_context(gate)

    async def open(self) -> ImapClient:
        """The first connection, logged in, once `wait` is over. UpstreamError."""
        assert self._entered is not None
        endpoint = await self._tools.accounts.imap(self._row, self._options, renew=self._recall.renew)
        client = await self._connected(endpoint, self._entered)
        self._open = _Open(self._waiting.pop_all(), client, endpoint.login_ends)
        self._watch(endpoint.login_ends)
        return client

    @property
    def ready(self) -> bool:
        """Another connection is there to go on with."""
        return self._next is not None

    async def change(self) -> ImapClient:
        """Go on over the next one, on which no folder is selected; the one until now ends."""
        before, self._open, self._next = self._open, self._next, None
        assert before is not None
        assert self._open is not None
        await before.close()
        self._watch(self._open.ends)
        return self._open.client

    def _watch(self, ends: float | None) -> None:
        if ends is not None:
            name = f"connector-{self._row.id}-renewal"
            self._renewal = asyncio.get_running_loop().create_task(self._renew(ends), name=name)

    async def _renew(self, ends: float) -> None:
        """Ends when there is a next one, when there can be none beside the first, or when a login was refused."""
        clock, chance = self._tools.clock, self._tools.chance
        await asyncio.sleep(begins(clock(), ends, chance()) - clock())
        while True:
            try:
                endpoint = await self._tools.accounts.imap_ahead(self._row, self._options)
                if is_later(endpoint.login_ends, ends):
                    self._next = await self._another(endpoint)
                    self._requests.ask()
                    return None
            except UpstreamError as error:
                log.info("connectors.not_renewed", connector=self._row.id, failure=error.failure.value)
                if error.failure in _NO_ROOM:
                    return self._make_room()
                if refuses_login(error.failure):
                    return None  # the worker is told so when the server ends the connection, and knows what to do
            except HostBusy as busy:
                if busy.full:
                    return self._make_room()
            except GatewayError as error:  # HostAway, or our own store
                log.info("connectors.not_renewed", connector=self._row.id, reason=str(error))
            await asyncio.sleep(pause(clock(), ends, chance()))

    def _make_room(self) -> None:
        """The account, or its host, has as many connections as it may: this one ends at rest, and another begins."""
        self._requests.ask(stop=True)

    async def _another(self, endpoint: ImapEndpoint) -> _Open:
        leg = self._options.imap
        async with AsyncExitStack() as gate:
            trying = self._tools.gates.tried(leg.host, leg.port, self._row.id, patience=PATIENCE_S)
            client = await self._connected(endpoint, await gate.enter_async_context(trying))
            return _Open(gate.pop_all(), client, endpoint.login_ends)

    async def _connected(self, endpoint: ImapEndpoint, entered: Entered) -> ImapClient:
        tools, profile = self._tools, profile_of(self._options.imap.host)
        client = await ImapClient.connect(
            endpoint, resolver=tools.resolver, transcript=self._transcript,
            distrust=profile.distrust | self._recall.distrust,
        )  # fmt: skip
        entered.succeeded()
        for name in heard(profile, client.greeting, client.server_id).distrust:
            client.distrust(name)
        return client
