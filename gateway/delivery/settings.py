"""How mail is carried on; `app` fills it from the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .schedule import Schedule


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Times in seconds. `hostname` signs bounces.

    `unknown_outcome`: what becomes of a recipient whose attempt was lost after the final dot, or in a crash: the relay
    may have taken the mail. "resend" tries again (it may arrive twice), "hold" keeps it until somebody decides.
    """

    hostname: str = "localhost"
    connections: int = 10  # deliveries at the same time
    recipients: int = 50  # of one transaction; RFC 5321 4.5.3.1.8 lets servers stop at 100
    messages_per_connection: int = 100
    idle_s: float = 5.0  # a connection is kept for the next message this long
    lease_s: int = 900  # renewed while an attempt runs; after a crash nobody else waits longer
    poll_s: float = 30.0  # a lost wake-up costs this much at most
    stop_s: float = 6.0  # what running attempts get to finish when the process stops
    schedule: Schedule = field(default_factory=Schedule)
    unknown_outcome: Literal["resend", "hold"] = "resend"
