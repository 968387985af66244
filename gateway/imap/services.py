"""What the IMAP server needs from the rest of the gateway; `app` wires it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway.model.permissions import Principal
from gateway.model.ports import NULL_METRICS, Clock, Freshness, Metrics
from gateway.store.db import Database
from gateway.store.trigrams import Trigrams
from gateway.wire import scram

from .list_cache import ListCache
from .settings import ImapSettings
from .states import States

if TYPE_CHECKING:
    from gateway.ingest.writer import Ingest
    from gateway.submit.drafting import Drafting


class Authenticator(Protocol):
    async def authenticate(self, user: str, secret: str, peer: str, /) -> Principal:
        """Who logs in with `user` (an inbox address) and `secret` (an API key) from the IP address `peer`.

        Raises AuthenticationFailed, Throttled, Unavailable; LimitReached for too many connections.
        """

    async def scram_parameters(self) -> scram.Parameters:
        """What clients of SCRAM are told. Unavailable."""

    async def prove(self, user: str, proof: scram.Proof | None, peer: str, /) -> tuple[Principal, bytes]:
        """Who has proven to have a key of the inbox `user`, and the server's own proof. Errors as above."""


class Watched(Protocol):
    def close(self) -> None:
        """The session is over by itself."""


class SessionWatch(Protocol):
    def add(self, principal: Principal, end: Callable[[str], None], /) -> Watched:
        """Call `end(reason)` on the loop once the key or its inbox is gone; `reason` is shown to the client.

        LimitReached: the inbox has too many sessions already.
        """


class Gate(Protocol):
    """Counts connections by source address (auth's limits); `open` raises LimitReached."""

    def open(self, source: str, /) -> None: ...

    def close(self, source: str, /) -> None: ...


class Cancellable(Protocol):
    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Cancellable]
"""Seconds from now, what to call: the event loop's `call_later`, or a test's clock."""


@dataclass(frozen=True, slots=True)
class ImapServices:
    """Shared by all sessions of a process. `clock` gives Unix seconds; `call_later` None: the running loop's."""

    db: Database
    ingest: Ingest
    authenticator: Authenticator
    states: States
    lists: ListCache = field(default_factory=ListCache)
    settings: ImapSettings = field(default_factory=ImapSettings)
    metrics: Metrics = NULL_METRICS
    clock: Clock = time.time
    sessions: SessionWatch | None = None
    gate: Gate | None = None
    hostname: str = "localhost"
    trigrams: Trigrams | None = None
    drafting: Drafting | None = None
    freshness: Freshness | None = None
    call_later: CallLater | None = None
