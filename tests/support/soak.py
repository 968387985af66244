"""`make soak` sets GATEWAY_SOAK: the same tests with more examples, more kills, larger boxes."""

from __future__ import annotations

import os
from typing import Final

SOAK: Final = bool(os.environ.get("GATEWAY_SOAK"))
FACTOR: Final = 20


def examples(usual: int) -> int:
    """How many examples a property test tries: `usual` in the suite, FACTOR times as many in a soak."""
    return usual * FACTOR if SOAK else usual
