"""What one package needs of another that it may not import: Protocols that `app` wires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .ids import InboxId, MailboxId

Clock = Callable[[], float]
"""Unix time in seconds; a parameter wherever time is read, so that tests own it."""


class Metrics(Protocol):
    """Counters and timings by name and labels; `ops.metrics` exports them, NULL_METRICS drops them."""

    def count(self, name: str, value: float = 1, **labels: str) -> None: ...

    def observe(self, name: str, seconds: float, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, **labels: str) -> None: ...

    def shift(self, name: str, by: float, **labels: str) -> None:
        """Change a gauge that several parts add up to."""


class _NullMetrics:
    def count(self, name: str, value: float = 1, **labels: str) -> None:
        return None

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        return None

    def gauge(self, name: str, value: float, **labels: str) -> None:
        return None

    def shift(self, name: str, by: float, **labels: str) -> None:
        return None


NULL_METRICS: Metrics = _NullMetrics()


class Freshness(Protocol):
    """Who can have the accounts looked at that an inbox's mail comes from, before it is read."""

    def wanted(self, inbox_id: InboxId, /) -> bool:
        """Whether readers of this inbox wait for a look: asked before each list and SEARCH, so it costs nothing."""

    async def look(self, inbox_id: InboxId, mailbox_id: MailboxId | None, /) -> None:
        """What is new is taken in, first of all in that mailbox; None: in all. Never raises.

        Returns within the time that its settings give, whatever the accounts' servers do.
        """
