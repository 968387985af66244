"""What may be fetched from an account in a day. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """`octets_per_day` 0: no limit. `backfill_share`: what older mail may take of it, so that new mail always comes.

    Connections need no budget: an account has the one that syncs, and one more while somebody acts in it by hand
    (`remote.door` lets them in one after another).
    """

    octets_per_day: int = 0
    backfill_share: float = 0.7


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
