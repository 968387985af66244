"""What all workers of a process share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gateway.ingest.writer import Ingest
from gateway.model.ports import Clock
from gateway.outbound.dial import Resolver, system_resolver
from gateway.store.db import Database

from .gates import Gates
from .ports import Accounts
from .settings import ConnectorSettings


@dataclass(slots=True)
class Tools:
    """`backfills`, `starting`: turns, of windows of older mail and of first syncs."""

    db: Database
    ingest: Ingest
    clock: Clock
    chance: Callable[[], float]
    settings: ConnectorSettings
    accounts: Accounts
    gates: Gates
    backfills: asyncio.Semaphore
    starting: asyncio.Semaphore
    resolver: Resolver = system_resolver
