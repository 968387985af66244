"""What an account may use: connections at once, octets a day. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DAY: Final = 86_400.0


class Use(StrEnum):
    """What a connection is for."""

    LIVE = "live"  # sync and IDLE
    ACTION = "action"  # what somebody waits for


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """`octets_per_day` 0: no limit. `backfill_share`: what older mail may take of it, so that new mail always comes."""

    connections: int = 3
    octets_per_day: int = 0
    backfill_share: float = 0.7


class ConnectionBudget:
    """Connections of one account. One is kept for sync: actions never take the last."""

    __slots__ = ("_limits", "_used")

    def __init__(self, limits: AccountLimits) -> None:
        self._limits = limits
        self._used: dict[Use, int] = {}

    def take(self, use: Use) -> bool:
        """True when a connection may be opened; `give_back` it."""
        total = sum(self._used.values())
        spare = 1 if use is Use.ACTION and not self._used.get(Use.LIVE) and self._limits.connections > 1 else 0
        if total + spare >= max(1, self._limits.connections):
            return False
        self._used[use] = self._used.get(use, 0) + 1
        return True

    def give_back(self, use: Use) -> None:
        self._used[use] = max(0, self._used.get(use, 0) - 1)


class OctetBudget:
    """Octets from one account within a day that begins with the first of them."""

    __slots__ = ("_limits", "_since", "_used")

    def __init__(self, limits: AccountLimits) -> None:
        self._limits = limits
        self._used = 0
        self._since: float | None = None

    def used(self, octets: int, now: float) -> None:
        self._turn(now)
        self._used += octets

    def wait(self, now: float, *, backfill: bool) -> float:
        """Seconds until more may be fetched; 0: now."""
        most = self._limits.octets_per_day
        if not most:
            return 0.0
        self._turn(now)
        if self._used < (most * self._limits.backfill_share if backfill else most):
            return 0.0
        assert self._since is not None  # something was used
        return max(0.0, self._since + DAY - now)

    def _turn(self, now: float) -> None:
        if self._since is None or not 0 <= now - self._since < DAY:
            self._since, self._used = now, 0
