"""A scripted account, and actions in it over connections of their own, as `gateway remote` makes them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from gateway.connectors.gates import Gates
from gateway.connectors.given import Given as NothingGiven
from gateway.connectors.plan.destination import DestinationLimits
from gateway.connectors.remote.actions import RemoteActions
from gateway.connectors.remote.door import Ways, opened
from gateway.connectors.remote.ranges import Chosen, chosen
from gateway.connectors.service import Found
from gateway.model.ids import InboxId, PodId
from gateway.store.connectors.rows import ConnectorId, ConnectorRow, ConnectorState
from gateway.upstream.endpoint import ImapTimeouts
from tests.connectors.kit import TIMES, Given, options
from tests.support.upstream import FakeUpstream

ROW = ConnectorRow(
    ConnectorId(1), "uuid", PodId(1), InboxId(1), "work", "me@elsewhere.test", "custom", True, "pull", None,
    ConnectorState.LIVE, None, None, 0, 0, 0, None, None, None, None, 0, 1, 0, 0, None, None, None, "{}",
)  # fmt: skip


def at(*places: str) -> Chosen:
    """By position."""
    return chosen(",".join(places), by_uid=False)


def uid(*numbers: int) -> Chosen:
    return chosen(",".join(map(str, numbers)), by_uid=True)


class Hand:
    """Who works in `server`'s account; each `open` is a connection."""

    def __init__(self, server: FakeUpstream, *, times: ImapTimeouts = TIMES, **row: Any) -> None:
        account = server.account
        secret = account.token if "LOGINDISABLED" in server.personality.before else account.password
        self.accounts = Given(options(), server.port, account.user, secret, times=times)
        self.ways = Ways(Gates(DestinationLimits(0, 0), random.random))
        self.found = Found(replace(ROW, **row), NothingGiven(), self.accounts.options_)
        self.server = server

    @asynccontextmanager
    async def open(self, **more: Any) -> AsyncIterator[RemoteActions]:
        async with opened(self.accounts, replace(self.ways, **more), self.found) as actions:
            yield actions


@asynccontextmanager
async def hand(server: FakeUpstream, **more: Any) -> AsyncIterator[Hand]:
    """The server must not have been used wrongly."""
    async with server:
        yield Hand(server, **more)
        assert not server.violations, server.violations


async def chunks(octets: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


async def collected(some: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in some])
