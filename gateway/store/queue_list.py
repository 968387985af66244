"""What people see of the delivery queue: recipients that fit a filter, and how each destination stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.ids import InboxId, PodId, SubmissionId

from .db import Rx
from .queue import OPEN, QueueState
from .statements import Stmt
from .texts import storable

ANY: Final = "*"
_TRACE_ID: Final = re.compile(r"[0-9A-Fa-f]{20}")

_FITS: Final = (
    "r.state IN :TEXTS(states)"
    " AND (CAST(:inbox AS bigint) = 0 OR r.inbox_id = :inbox)"
    " AND (CAST(:pod AS bigint) = 0 OR r.inbox_id IN (SELECT i.id FROM inbox i WHERE i.pod_id = :pod))"
    " AND r.id > :after"
    " AND (CAST(:reason AS text) = '*' OR COALESCE(r.hold_reason, '') = :reason)"
    " AND (CAST(:domain AS text) = '*' OR r.domain = :domain)"
    " AND (CAST(:address AS text) = '*' OR lower(r.address) = :address)"
    " AND (CAST(:sender AS text) = '*' OR lower(s.mail_from) = :sender)"
    " AND (CAST(:sender_at AS text) = '*' OR substr(lower(s.mail_from),"
    " length(s.mail_from) - length(CAST(:sender_at AS text)) + 1) = :sender_at)"
)
_FROM: Final = "FROM queue_recipient r JOIN submission s ON s.id = r.submission_id"
_MATCHING = Stmt(f"SELECT r.id {_FROM} WHERE {_FITS} ORDER BY r.id LIMIT :most")
_MATCHING_OF = Stmt(f"SELECT r.id {_FROM} WHERE s.id = :submission AND {_FITS} ORDER BY r.id LIMIT :most")
_ROWS = Stmt(
    "SELECT r.id, s.uuid, s.inbox_id, s.mail_from, r.address, r.domain, r.state, r.attempts, r.next_attempt, r.code,"
    f" r.enhanced, r.text, r.hold_reason, s.created_at, s.release_at {_FROM} WHERE r.id IN :LIST(rows)"
    " ORDER BY r.id"
)
_BY_TRACE = Stmt("SELECT id FROM submission WHERE trace = :trace ORDER BY id DESC LIMIT 1")
_OF_INBOX = Stmt(
    "SELECT id FROM submission WHERE inbox_id = :inbox AND id < :below ORDER BY id DESC LIMIT :most"
)
_DESTINATIONS = Stmt(
    "SELECT r.domain, count(*), sum(CASE WHEN r.state = 'sending' THEN 1 ELSE 0 END),"
    " sum(CASE WHEN r.state = 'held' THEN 1 ELSE 0 END), sum(CASE WHEN r.state = 'deferred' THEN 1 ELSE 0 END),"
    " sum(CASE WHEN r.state IN ('queued', 'deferred') AND r.next_attempt <= :now THEN 1 ELSE 0 END),"
    " min(s.created_at), min(CASE WHEN r.state IN ('queued', 'deferred') THEN r.next_attempt END)"
    f" {_FROM} WHERE r.state IN ('queued', 'sending', 'deferred', 'held')"
    " GROUP BY r.domain ORDER BY 2 DESC, 1 LIMIT :most"
)
_LAST_WORDS = Stmt(
    "SELECT domain, code, enhanced, text FROM (SELECT domain, code, enhanced, text, row_number() OVER"
    " (PARTITION BY domain ORDER BY updated_at DESC, id DESC) AS place FROM queue_recipient"
    " WHERE state = 'deferred' AND domain IN :TEXTS(domains)) AS said WHERE place = 1"
)


def by_trace(rx: Rx, trace: str) -> SubmissionId | None:
    """The submission with this id in its Received field, which its sender was told ("Accepted as …").

    Only a person asks, so there is no index for it: each acceptance would have to keep one.
    """
    found = rx.scalar(_BY_TRACE, trace=trace.lower()) if _TRACE_ID.fullmatch(trace) else None
    return None if found is None else SubmissionId(found)


def of_inbox(rx: Rx, inbox_id: InboxId, below: int | None, limit: int) -> list[SubmissionId]:
    """The newest submissions of an inbox that are numbered below `below`."""
    last = 2**62 if below is None else below
    return [SubmissionId(row[0]) for row in rx.all(_OF_INBOX, inbox=inbox_id, below=last, most=limit)]


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """None fits all. `to` and `sender`: an address, or a domain; `sender` "<>" is the null reverse-path."""

    submission_id: SubmissionId | None = None
    inbox_id: InboxId | None = None
    states: Sequence[QueueState] = OPEN
    reason: str | None = None
    to: str | None = None
    sender: str | None = None
    pod_id: PodId | None = None
    after: int = 0
    """Only recipients with a number above it."""

    def binds(self) -> dict[str, Any] | None:
        """None: nothing can fit."""
        to, sender = (None if text is None else text.strip().lower() for text in (self.to, self.sender))
        if not all(storable(text) for text in (to, sender, self.reason) if text is not None):
            return None
        values: dict[str, Any] = {
            "states": [state.value for state in self.states],
            "inbox": self.inbox_id or 0, "pod": self.pod_id or 0, "after": self.after,
            "reason": ANY if self.reason is None else self.reason,
            "domain": ANY, "address": ANY, "sender": ANY, "sender_at": ANY,
        }
        if to is not None:
            to = to.removeprefix("@")
            values["address" if "@" in to else "domain"] = to
        if sender == "<>":
            values["sender"] = ""
        elif sender is not None:
            sender = sender.removeprefix("@")
            values["sender" if "@" in sender else "sender_at"] = sender if "@" in sender else f"@{sender}"
        return values


@dataclass(frozen=True, slots=True)
class Listed:
    """One recipient with what people want to know of it. Times: Unix seconds."""

    recipient_id: int
    submission_uuid: str
    inbox_id: InboxId
    mail_from: str
    address: str
    domain: str
    state: QueueState
    attempts: int
    next_attempt: int | None
    code: int | None
    enhanced: str | None
    text: bytes | None
    hold_reason: str | None
    created_at: int
    release_at: int | None


@dataclass(frozen=True, slots=True)
class Destination:
    """The open recipients of one domain: all, under way, held, deferred, due now. `oldest`, `next`: Unix seconds.

    `code`, `enhanced`, `text`: what was said last of one that is deferred.
    """

    domain: str
    recipients: int
    active: int
    held: int
    deferred: int
    due: int
    oldest: int
    next: int | None
    code: int | None = None
    enhanced: str | None = None
    text: bytes | None = None


def matching(rx: Rx, wanted: QueueFilter, limit: int) -> list[int]:
    """Numbers of the recipients that fit, in order of acceptance."""
    binds = wanted.binds()
    if binds is None:
        return []
    if wanted.submission_id is not None:
        rows = rx.all(_MATCHING_OF, submission=wanted.submission_id, most=limit, **binds)
    else:
        rows = rx.all(_MATCHING, most=limit, **binds)
    return [row[0] for row in rows]


def listed(rx: Rx, recipient_ids: Sequence[int]) -> list[Listed]:
    """A page of recipients by number."""
    return [_listed(row) for row in rx.all(_ROWS, rows=list(recipient_ids))]


def _listed(row: tuple[Any, ...]) -> Listed:
    values = [*row[:6], QueueState(row[6]), *row[7:]]
    return Listed(*values)


def destinations(rx: Rx, now: int, limit: int) -> list[Destination]:
    """Domains with open recipients, those with most first."""
    rows = rx.all(_DESTINATIONS, now=now, most=limit)
    said = {row[0]: row[1:] for row in rx.all(_LAST_WORDS, domains=[row[0] for row in rows])}
    return [Destination(*row, *said.get(row[0], (None, None, None))) for row in rows]
