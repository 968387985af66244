"""When a group of quick units is complete: how long those that wait let others join before the group begins.

A COMMIT with its flush and two thread switches costs as much as several units. While several clients write, the loop
is busy bringing more units along: it is given a few turns more, as long as they do. Nobody waits for it: the loop works
meanwhile, and an idle loop ends its turns at once. A client that writes alone is committed at once.
"""

from __future__ import annotations

from typing import Final

SECONDS: Final = 0.005
"""The first unit of a group waits so long at most, however many more come."""
CALM_TURNS: Final = 3
"""Turns of the loop without a further unit that end the wait: a client's next command takes two."""


class Gathering:
    """Asked once a turn of the loop. Pure: time is handed in, in seconds."""

    __slots__ = ("_calm", "_last", "_most", "_seen", "_until")

    def __init__(self, most: int) -> None:
        """`most`: units of a full group."""
        self._most = most
        self._last = 0  # units of the group before
        self._seen = 0  # units that waited in the turn before; 0: a new group
        self._calm = 0  # turns without a further one
        self._until = 0.0

    def goes_on(self, waiting: int, now: float) -> bool:
        """Whether `waiting` units, one at least, should wait another turn. After False the next call is a new group."""
        alone = waiting == 1 and self._last <= 1
        if alone or waiting >= self._most:
            self._seen = 0
            return False
        if not self._seen:
            self._until = now + SECONDS
        self._calm = 0 if waiting > self._seen else self._calm + 1
        self._seen = waiting
        if self._calm < CALM_TURNS and now < self._until:
            return True
        self._seen = 0
        return False

    def answered(self, units: int) -> None:
        """A group of `units` was committed."""
        self._last = units
