"""What the tests of the upstream client share: settings for a server on loopback, and sinks that keep what they get."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from gateway.outbound.login import RelayLogin
from gateway.outbound.tls import Security, TlsPolicy
from gateway.upstream.client import ImapClient
from gateway.upstream.endpoint import ImapEndpoint, ImapLimits, ImapTimeouts
from gateway.upstream.values import FetchedMessage
from tests.faults import smtp_kit

T = TypeVar("T")

PATIENT = ImapTimeouts(
    connect=20, greeting=20, login=20, command=20, select=20, listing=20, silence=20, idle_check=20, logout=5
)
SHORT_GREETING = replace(PATIENT, greeting=0.3)
SHORT_FETCH = replace(PATIENT, silence=0.3)
"""For tests of silence, which would pass with any other time too."""


def settings(
    port: int,
    login: RelayLogin,
    security: Security = Security.NONE,
    *,
    ca: Path | None = None,
    host: str = "127.0.0.1",
    times: ImapTimeouts = PATIENT,
    **policy: Any,
) -> ImapEndpoint:
    limits = ImapLimits(untagged=20_000)
    tls = TlsPolicy(security, ca_file=ca, **policy)
    return ImapEndpoint(host, port, login, tls=tls, allow_private=True, timeouts=times, limits=limits)


_open: list[ImapClient] = []


def kept_open(client: ImapClient) -> ImapClient:
    """`run` closes it, however the test ends."""
    _open.append(client)
    return client


def run(main: Coroutine[Any, Any, T]) -> T:
    async def closed_after() -> T:
        try:
            return await main
        finally:
            while _open:
                _open.pop().abort()
            await asyncio.sleep(0)  # the loop calls connection_lost

    return smtp_kit.run(closed_after())


class Kept:
    """`open` for `fetch_bodies`. `bodies`: what was finished; `aborted`: how many were not."""

    def __init__(self) -> None:
        self.bodies: dict[int, bytes] = {}
        self.messages: dict[int, FetchedMessage] = {}
        self.aborted = 0
        self.largest = 0
        """Octets of the largest piece."""

    async def open(self, _uid: int, _message: FetchedMessage) -> One:
        return One(self)


class One:
    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._pieces: list[bytes] = []

    async def write(self, octets: bytes) -> None:
        self._kept.largest = max(self._kept.largest, len(octets))
        self._pieces.append(octets)

    async def finish(self, message: FetchedMessage) -> None:
        assert message.uid not in self._kept.bodies
        self._kept.bodies[message.uid] = b"".join(self._pieces)
        self._kept.messages[message.uid] = message

    async def abort(self) -> None:
        self._kept.aborted += 1
