"""From the outcome of an attempt to the state of a queue row: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gateway.outbound.verdict import Outcome, Stage, Verdict

from .schedule import Schedule, next_attempt

State = Literal["sent", "deferred", "bounced", "held"]

NO_ROUTE: Final = Outcome(
    Verdict.TEMPORARY, Stage.CONNECT, None, "4.4.4", "No relay is configured: set host in section relay"
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the row becomes. `next_attempt` (Unix seconds) only for deferred ones."""

    state: State
    code: int | None
    enhanced: str | None
    text: str
    next_attempt: int | None = None


def decide(
    outcome: Outcome,
    *,
    attempts: int,
    created_at: int,
    now: int,
    schedule: Schedule,
    unknown_outcome: Literal["resend", "hold"],
    progress: bool,
    chance: float,
) -> Decision:
    """`attempts` made before this one; `progress`: another recipient of the same transaction was taken."""
    code, enhanced, text = outcome.code, outcome.enhanced, outcome.text
    if outcome.verdict is Verdict.SENT:
        return Decision("sent", code, enhanced, text)
    if outcome.verdict is Verdict.PERMANENT:
        return Decision("bounced", code, enhanced, text)
    if outcome.verdict is Verdict.UNKNOWN and unknown_outcome == "hold":
        return Decision("held", code, enhanced, f"{text}: it may have been delivered")
    at = next_attempt(schedule, attempts=attempts + 1, created_at=created_at, now=now, chance=chance)
    if at is None:
        days = round(schedule.lifetime / 86_400, 1)
        return Decision("bounced", code, "4.4.7", f"Given up after {days:g} days; the last reason was: {text}")
    if outcome.at_once and progress:  # the transaction was full, not the mailbox
        at = now
    return Decision("deferred", code, enhanced, text, at)
