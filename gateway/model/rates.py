"""How much a key or an inbox may send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rates:
    """Recipients an hour and a day; 0: no limit, None: as is said elsewhere."""

    per_hour: int | None = None
    per_day: int | None = None

    def over(self, defaults: Rates) -> Rates:
        """These, and `defaults` where nothing is said."""
        hour = defaults.per_hour if self.per_hour is None else self.per_hour
        day = defaults.per_day if self.per_day is None else self.per_day
        return Rates(hour, day)


UNSAID: Final = Rates()
