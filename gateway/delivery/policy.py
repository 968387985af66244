"""From the outcome of an attempt to the state of a queue row: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from gateway.outbound.verdict import Outcome, Stage, Verdict, clean
from gateway.store.queue import QueueState
from gateway.store.queue_outcome import HoldReason

from .routes import NO_CONNECTOR, NO_RELAY, ONLY_HERE, Found, RouteKind
from .schedule import Schedule, next_attempt

LOSS_CODES: Final = frozenset({"4.4.1", "4.4.2"})  # RFC 3463: no answer, bad connection
GONE: Final = (
    "Account {} was removed before it could send this: connect it again and send this again, or send it from another"
    " address"
)
NO_ROUTE: Final = Outcome(Verdict.TEMPORARY, Stage.ROUTE, None, "4.4.4", NO_RELAY)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the row becomes. `next_attempt` (Unix seconds) only for deferred ones, `hold_reason` for held ones."""

    state: QueueState
    code: int | None
    enhanced: str | None
    text: str
    next_attempt: int | None = None
    hold_reason: HoldReason | None = None
    notifies: bool = False
    """Sent to a server that tells the sender itself, where it wants to be told."""


def unasked(found: Found) -> Outcome | None:
    """What a route that leads to no server makes of a recipient; None where one has to be asked."""
    by = f" by rule {found.rule.number} of the routes" if found.rule is not None else ""
    match found.route.kind:
        case RouteKind.HOLD:
            return Outcome(Verdict.HELD, Stage.ROUTE, None, None, f"Held{by}")
        case RouteKind.DISCARD:
            return Outcome(Verdict.SENT, Stage.ROUTE, None, None, f"Discarded{by}")
        case RouteKind.LOCAL:  # acceptance refuses such; the rule is younger than the mail, or the inbox is gone
            return Outcome(Verdict.PERMANENT, Stage.ROUTE, 550, "5.1.1", ONLY_HERE)
        case RouteKind.CONNECTOR if found.account is not None:
            return None
        case RouteKind.CONNECTOR:
            return Outcome(Verdict.TEMPORARY, Stage.ROUTE, None, "4.4.4", NO_CONNECTOR)
        case RouteKind.RETURN:
            return Outcome(Verdict.PERMANENT, Stage.ROUTE, 550, "5.4.4", clean(GONE.format(found.gone)))
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
        return Decision(QueueState.SENT, code, enhanced, text, notifies=outcome.notifies)
    if outcome.verdict is Verdict.PERMANENT:
        return Decision(QueueState.BOUNCED, code, enhanced, text)
    if outcome.verdict is Verdict.HELD:
        return Decision(QueueState.HELD, code, enhanced, text, hold_reason="route")
    if outcome.verdict is Verdict.UNKNOWN:
        text = f"{text}: it may have been delivered"
        if unknown_outcome == "hold":
            return Decision(QueueState.HELD, code, enhanced, text, hold_reason="outcome")
    at = next_attempt(schedule, attempts=attempts + 1, created_at=created_at, now=now, chance=chance)
    if at is None:
        days = round(schedule.lifetime / 86_400, 1)
        return Decision(QueueState.BOUNCED, code, "4.4.7", f"Given up after {days:g} days; the last reason was: {text}")
    if outcome.at_once and (progress or outcome.verdict is Verdict.LOGIN):
        # The transaction was full, not the mailbox; or the account is out of order, and there is another way.
        at = now
    return Decision(QueueState.DEFERRED, code, enhanced, text, at)


class Heard(Enum):
    """What an attempt says about the server as a whole."""

    ANSWER = auto()  # it can be reached, whatever it said about the mail
    NO_CONNECTION = auto()
    LOGIN_REFUSED = auto()
    LOST = auto()  # connected, and then silent or gone
    NOTHING = auto()  # it was not asked


def heard(outcomes: Sequence[Outcome]) -> Heard:
    """Of all recipients of one transaction."""
    if any(outcome.verdict is Verdict.LOGIN for outcome in outcomes):
        return Heard.LOGIN_REFUSED
    asked = [outcome for outcome in outcomes if outcome.stage not in (Stage.ROUTE, Stage.CONNECT)]
    if any(outcome.verdict is Verdict.SENT or outcome.code not in (None, 421) for outcome in asked):
        return Heard.ANSWER
    if all(outcome.stage is Stage.CONNECT for outcome in outcomes):
        return Heard.NO_CONNECTION
    if any(outcome.code == 421 or outcome.enhanced in LOSS_CODES for outcome in asked):
        return Heard.LOST
    return Heard.NOTHING
