"""When the next login is made, for a connection whose access token ends. Pure; Unix seconds."""

from __future__ import annotations

from typing import Final

FROM: Final = 0.72
UNTIL: Final = 0.92
"""Of what is left of the token at the login: spread, for thousands of accounts may have logged in at once."""
LONGEST: Final = 60.0
SHORTEST: Final = 1.0
LATER: Final = 1.0
"""A token that ends no more than this after the one in use is no other one."""


def begins(now: float, ends: float, chance: float) -> float:
    """When to begin, after a login at `now` by a token that `ends`; `chance` is 0-1."""
    return now + max(0.0, ends - now) * (FROM + (UNTIL - FROM) * chance)


def pause(now: float, ends: float, chance: float) -> float:
    """Seconds until it is tried again, where there is no later token yet, or the login was not to be had."""
    left = ends - now
    return LONGEST if left <= 0 else min(LONGEST, max(SHORTEST, left * (0.2 + 0.2 * chance)))


def is_later(ends: float | None, than: float) -> bool:
    """Whether a token is worth another login; None: it never ends."""
    return ends is None or ends > than + LATER
