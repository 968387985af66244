"""From the outcome of an attempt to the state of a queue row: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gateway.outbound.verdict import Outcome, Stage, Verdict

from .routes import NO_CONNECTOR, NO_RELAY, ONLY_HERE, Found, RouteKind
from .schedule import Schedule, next_attempt

State = Literal["sent", "deferred", "bounced", "held"]

NO_ROUTE: Final = Outcome(Verdict.TEMPORARY, Stage.ROUTE, None, "4.4.4", NO_RELAY)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the row becomes. `next_attempt` (Unix seconds) only for deferred ones."""

    state: State
    code: int | None
    enhanced: str | None
    text: str
    next_attempt: int | None = None


def unasked(found: Found) -> Outcome | None:
    """What a route that leads to no server makes of a recipient; None where a relay has to be asked."""
    by = f" by rule {found.rule.number} of the routes" if found.rule is not None else ""
    match found.route.kind:
        case RouteKind.HOLD:
            return Outcome(Verdict.HELD, Stage.ROUTE, None, None, f"Held{by}")
        case RouteKind.DISCARD:
            return Outcome(Verdict.SENT, Stage.ROUTE, None, None, f"Discarded{by}")
        case RouteKind.LOCAL:  # acceptance refuses such; the rule is younger than the mail, or the inbox is gone
            return Outcome(Verdict.PERMANENT, Stage.ROUTE, 550, "5.1.1", ONLY_HERE)
        case RouteKind.CONNECTOR:
            return Outcome(Verdict.TEMPORARY, Stage.ROUTE, None, "4.4.4", NO_CONNECTOR)
        case RouteKind.RELAY:
            return None


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
    if outcome.verdict is Verdict.HELD:
        return Decision("held", code, enhanced, text)
    if outcome.verdict is Verdict.UNKNOWN and unknown_outcome == "hold":
        return Decision("held", code, enhanced, f"{text}: it may have been delivered")
    at = next_attempt(schedule, attempts=attempts + 1, created_at=created_at, now=now, chance=chance)
    if at is None:
        days = round(schedule.lifetime / 86_400, 1)
        return Decision("bounced", code, "4.4.7", f"Given up after {days:g} days; the last reason was: {text}")
    if outcome.at_once and progress:  # the transaction was full, not the mailbox
        at = now
    return Decision("deferred", code, enhanced, text, at)
