"""How many requests a key may make: a bucket that fills steadily, so that bursts are fine and floods are not."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

_KNOWN_MOST: Final = 10_000


class Buckets:
    """One bucket for each who asks; who has not asked for long has a full one, and is forgotten."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def wait(self, who: Hashable, now: float) -> int:
        """Take one; 0, or the whole seconds until there is one. `now`: seconds of a clock that never goes back."""
        level, at = self._levels.pop(who, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._per_second)
        allowed = level >= 1
        self._levels[who] = (level - 1 if allowed else level, now)
        if len(self._levels) > _KNOWN_MOST:
            self._levels.popitem(last=False)
        return 0 if allowed else math.ceil((1 - level) / self._per_second)
