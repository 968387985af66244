"""The queue in words: why a recipient waits, and what happened to a submission, in the order of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.control.frames import Json
from gateway.store.queue import OPEN, QueueState
from gateway.store.queue_admin import Attempt, QueueEntry, Recipient
from gateway.store.queue_list import Listed
from gateway.store.reports import TOLD

from .registry import LiveQueue
from .values import moment

HOLD_REASONS: Final[Mapping[str, str]] = {
    "approval": "waits for somebody's consent",
    "scheduled": "a draft that is sent at its time",
    "operator": "held by the administrator",
    "outcome": "its last attempt may have delivered it",
    "route": "held by a rule of the routes",
    "restore": "held by a restore: it may have been sent since the backup",
    "key": "its key was revoked before its time",
}


def text_of(reply: bytes | None) -> str | None:
    return None if reply is None else reply.decode("utf-8", "replace")


def said(code: int | None, enhanced: str | None, text: bytes | None) -> str:
    """A reply on one line."""
    return " ".join(str(word) for word in (code, enhanced, text_of(text)) if word)


def next_of(each: Listed) -> int | None:
    """When it goes by itself; None: never, for it is done or somebody has to decide."""
    if each.hold_reason == "scheduled" and each.state is QueueState.HELD:
        return each.release_at
    return each.next_attempt if each.state in OPEN else None


def why(each: Listed, live: LiveQueue | None, now: float) -> str:
    """Why the recipient is in its state, or waits."""
    last = said(each.code, each.enhanced, each.text)
    match each.state:
        case QueueState.HELD:
            if each.hold_reason == "route" and last:
                return last  # it names the rule
            reason = HOLD_REASONS.get(each.hold_reason or "", "held")
            return f"{reason}: {last}" if last else reason
        case QueueState.SENDING:
            return "is being sent"
        case QueueState.QUEUED | QueueState.DEFERRED:
            if each.next_attempt is not None and each.next_attempt > now:
                return last or "waits for its time"
            now_why = live.why(each.inbox_id, each.mail_from, each.address) if live is not None else None
            return now_why or last or "waits its turn"
        case _:
            return last


def recipient_json(each: Recipient) -> dict[str, Json]:
    return {
        "recipient": each.address,
        "state": each.state.value,
        "attempts": each.attempts,
        "next_attempt_at": moment(each.next_attempt) if each.state in OPEN else None,
        "hold_reason": each.hold_reason,
        "code": each.code,
        "enhanced": each.enhanced,
        "text": text_of(each.text),
    }


def story(entry: QueueEntry) -> list[Json]:
    """All events. `remote`: whose words `text` are; without one they are ours, or say who did it."""
    submission = entry.submission
    addresses = {each.id: each.address for each in entry.recipients}
    tried = {event.recipient_id for event in entry.attempts if event.state != TOLD}
    events: list[tuple[int, dict[str, Json]]] = [
        (submission.created_at, {"event": "accepted", "recipient": None, "text": f"{submission.size} octets"})
    ]
    for each in entry.recipients:
        if each.id not in tried and each.state is QueueState.SENT:  # here: it was delivered by its acceptance
            events.append((submission.created_at, _reply("delivered", each.address, each)))
        if each.delay_told is not None:
            told = {"event": "told", "recipient": each.address, "text": "the sender was told of the delay"}
            events.append((each.delay_told, dict(told)))
    for attempt in entry.attempts:
        events.append((attempt.at, _reply(attempt.state, addresses.get(attempt.recipient_id), attempt)))
    events.sort(key=lambda event: event[0])  # stable: events of one second stay in their order
    return [{"at": moment(at), **event} for at, event in events]


def _reply(event: str, address: str | None, of: Attempt | Recipient) -> dict[str, Json]:
    text = text_of(of.text)
    return {
        "event": str(event),
        "recipient": address,
        "code": of.code,
        "enhanced": of.enhanced,
        "text": HOLD_REASONS.get(text or "", text) if event == QueueState.HELD else text,
        "remote": of.remote if isinstance(of, Attempt) else None,
    }
