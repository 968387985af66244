"""How connections to the hosts of accounts begin: in turn, not all at once, and not at all during an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.upstream.errors import UpstreamError

from .plan.destination import Destination, DestinationLimits
from .plan.standing import of_the_server

log = structlog.get_logger(__name__)

PROBE_S: Final = 5.0
"""While one account tries whether an outage is over, the others ask again after so long,"""
SPREAD_S: Final = 10.0
"""and not all at once."""
PATIENCE_S: Final = 30.0
"""How long somebody waits himself, unless he says otherwise."""


@dataclass(slots=True)
class _Gate:
    destination: Destination
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    """A connection ended or began to work: look again."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A connection under way. `succeeded`: it logged in."""

    succeeded: Callable[[], None]


class HostAway(GatewayError):
    """A host fails many accounts: this one is to ask again after `seconds`. The text is safe to show."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


class HostBusy(GatewayError):
    """Somebody's patience was over before it was his turn. `full`: the host has all connections that it may have."""

    def __init__(self, text: str, *, full: bool) -> None:
        super().__init__(text)
        self.full = full


class Gates:
    """One gate a host and port; `chance` jitters pauses."""

    def __init__(self, limits: DestinationLimits, chance: Callable[[], float]) -> None:
        self._limits = limits
        self._chance = chance
        self._gates: dict[tuple[str, int], _Gate] = {}

    @asynccontextmanager
    async def entered(
        self, host: str, port: int, account: int, *, patience: float | None = None
    ) -> AsyncIterator[Entered]:
        """Waits for its turn; inside it a connection is open, or being opened. HostAway: not now.

        `patience`: somebody waits himself, for so many seconds at most (HostBusy), and goes before those that wait
        for nobody: after a start these may be thousands.
        """
        gate = self._gate(host, port)
        loop = asyncio.get_running_loop()
        self._present(gate, host)
        if patience is not None:
            await self._soon(gate, host, patience)
        else:
            async with gate.turn:  # first come, first served
                await self._its_time(gate, host)
                gate.destination.begin(loop.time())
        told = False

        def succeeded() -> None:
            nonlocal told
            told = True
            if gate.destination.succeeded(account, loop.time()):
                log.info("connectors.destination_back", host=host)
            gate.moved.set()

        try:
            yield Entered(succeeded)
        finally:
            gate.destination.ended()
            if not told:
                gate.destination.abandoned()
            gate.moved.set()

    @asynccontextmanager
    async def tried(self, host: str, port: int, account: int, *, patience: float) -> AsyncIterator[Entered]:
        """`entered` for somebody who waits himself; the gate is told by what UpstreamError the connection ended."""
        try:
            async with self.entered(host, port, account, patience=patience) as entered:
                yield entered
        except UpstreamError as error:  # behind the gate, which must not take it for one that was given up
            self.failed(host, port, account, str(error), counts=of_the_server(error.failure))
            raise

    def _present(self, gate: _Gate, host: str) -> None:
        """Nobody waits here for the end of an outage: who waits takes another account's turn to begin."""
        breaker, now = gate.destination.breaker, asyncio.get_running_loop().time()
        if breaker.admits(now):
            return
        wait = PROBE_S if breaker.probing else max(0.0, breaker.until - now)
        raise HostAway(f"{host} fails other accounts too: {breaker.reason}", wait + SPREAD_S * self._chance())

    async def _soon(self, gate: _Gate, host: str, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._its_time(gate, host)
        except TimeoutError:
            most = self._limits.connections
            if gate.destination.full:
                raise HostBusy(f"All {most} connections to {host} are in use", full=True) from None
            raise HostBusy(f"Other accounts of {host} are logging in", full=False) from None
        gate.destination.begin(asyncio.get_running_loop().time())

    async def _its_time(self, gate: _Gate, host: str) -> None:
        """Whoever is at the head, or goes before it, waits for the rate or another one's end. Nothing awaits between
        its return and `begin`."""
        loop = asyncio.get_running_loop()
        while True:
            self._present(gate, host)
            gate.moved.clear()
            wait = gate.destination.wait(loop.time())
            if wait == 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await gate.moved.wait()

    def failed(self, host: str, port: int, account: int, reason: str, *, counts: bool) -> None:
        """A connection failed; `counts`: by what says more of the server than of the account."""
        destination, now = self._gate(host, port).destination, asyncio.get_running_loop().time()
        if not counts:
            destination.succeeded(account, now)
        elif destination.failed(account, now, reason, self._chance()):
            seconds = round(destination.breaker.until - now)
            log.warning("connectors.destination_away", host=host, reason=reason, seconds=seconds)

    def _gate(self, host: str, port: int) -> _Gate:
        key = (host.lower(), port)
        found = self._gates.get(key)
        if found is None:
            found = self._gates[key] = _Gate(Destination(self._limits))
        return found
