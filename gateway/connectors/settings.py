"""What holds for all connectors of a process; each one's own options are in `options`."""

from __future__ import annotations

from dataclasses import dataclass, field

from .plan.destination import DestinationLimits
from .plan.windows import WindowLimits


@dataclass(frozen=True, slots=True)
class ConnectorSettings:
    """`node`: this process among those that share the store. Octets, seconds.

    `starting`: connectors that connect or sync for the first time at once; the others wait their turn.
    """

    node: str = "node"
    max_message: int = 64 * 1024 * 1024
    window: WindowLimits = field(default_factory=WindowLimits)
    destination: DestinationLimits = field(default_factory=DestinationLimits)
    starting: int = 50
    claims_at_once: int = 50
    connectors: int = 10_000
    discover_every: float = 1800.0
    others_every: float = 150.0
    """Between two looks at the folders that are not watched, where one command tells of all."""
    deaf_after: float = 3600.0
    """A server that accepts IDLE and says nothing is asked in another way so often."""
    push_after: float = 0.3
    """What changes here goes up so long after the first of several changes."""
    push_retry: float = 60.0
    """Until what the account refused is tried again; four times as long each time."""
    look_every: float = 2.0
    """Between the beginnings of two looks for readers who wait (`sync.on_access`)."""
    look_linger: float = 30.0
    """A connection that was made for such a reader waits so long for the next one."""
    share_every: float = 15.0
    """Between two questions whether other nodes should have some of this one's connectors (`sharing`)."""
    transcript_lines: int = 50
