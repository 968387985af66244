"""Which of its connectors a node gives to the others, where it has more than its share; and when. Pure.

Whoever comes later finds nothing to claim while the others keep what they have. So a node asks now and then how many it
has too much (`store/connectors/lease.excess`), ends the sessions of some that only listen, and claims nothing for a
while, so that others do. Where none does, some go that fetch older mail, which others go on with. Where what it gave
comes back all the same, the others have no room for it: then it asks less and less often.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.store.connectors.rows import ConnectorId

MOST: Final = 50
"""Given away at once; the others connect to hosts that want to be asked slowly."""
NONE: Final[Mapping[ConnectorId, float]] = {}
SELDOM: Final = 256.0
"""So many times the usual pause, where nobody takes what is given."""


class Sharing:
    """Of one node. `every`: seconds between two questions; half of it nothing is claimed after something was given.

    `now`: seconds of the loop's clock.
    """

    __slots__ = ("_ask_at", "_claim_at", "_every", "_factor", "_given")

    def __init__(self, every: float) -> None:
        self._every = every
        self._factor = 1.0
        self._ask_at: float | None = None
        self._claim_at = 0.0
        self._given: frozenset[ConnectorId] = frozenset()

    def due(self, now: float) -> bool:
        """Whether to ask; first a pause after the start, when others may be claiming still."""
        if self._ask_at is None:
            self._ask_at = now + self._every
        return now >= self._ask_at

    def may_claim(self, now: float) -> bool:
        """Whether this node takes what is due; not while others may take what it has just given."""
        return now >= self._claim_at

    def give(
        self, excess: int, quiet: Mapping[ConnectorId, float], held: Iterable[ConnectorId], now: float,
        older: Mapping[ConnectorId, float] = NONE,
    ) -> list[ConnectorId]:  # fmt: skip
        """Which of the `quiet` ones go, of which each has listened since a moment: the longest first. Where there are
        none, some of those that fetch `older` mail since a moment, which another node goes on with.

        `held`: all that this node has. What goes next is asked after a pause.
        """
        back = self._given.intersection(held)
        self._factor = min(self._factor * 2, SELDOM) if back else 1.0
        some = quiet or older
        chosen = sorted(some, key=lambda number: (some[number], number))[: max(0, min(excess, MOST))]
        self._given = frozenset(chosen) or back
        self._ask_at = now + self._every * self._factor
        if chosen:
            self._claim_at = now + self._every / 2
        return chosen
