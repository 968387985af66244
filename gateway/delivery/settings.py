"""How mail is carried on; `app` fills it from the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .agenda import AHEAD, Places
from .schedule import Schedule


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Times in seconds. `hostname` signs bounces.

    `unknown_outcome`: what becomes of a recipient whose attempt was lost after the final dot, or in a crash: the relay
    may have taken the mail. "resend" tries again (it may arrive twice), "hold" keeps it until somebody decides.
    """

    hostname: str = "localhost"
    connections: int = 20  # deliveries at the same time, of all next hops together …
    per_destination: int = 5  # … and of one, which hangs or is slow
    per_minute: int = 0  # messages to one next hop; 0: no limit
    recipients: int = 50  # of one transaction; RFC 5321 4.5.3.1.8 lets servers stop at 100
    messages_per_connection: int = 100
    idle_s: float = 5.0  # a connection is kept for the next message this long
    lease_s: int = 900  # renewed while an attempt runs; after a crash nobody else waits longer
    poll_s: float = 30.0  # a lost wake-up costs this much at most
    survey_s: float = 60.0  # between looks at the whole queue, or longer where one takes long
    stop_s: float = 6.0  # what running attempts get to finish when the process stops
    schedule: Schedule = field(default_factory=Schedule)
    delay_notice: int = 14_400  # after so long the sender is told that mail is late; 0: never
    unknown_outcome: Literal["resend", "hold"] = "resend"

    @property
    def places(self) -> Places:
        """With "hold" nothing is claimed ahead: a crash holds all that is claimed, which shall be what was begun."""
        return Places(
            total=self.connections,
            each=min(self.per_destination, self.connections),
            per_minute=self.per_minute,
            ahead=0 if self.unknown_outcome == "hold" else AHEAD,
            recipients=self.recipients,
        )
