"""Allow and block lists: who an inbox may write to, and whose mail it takes (AgentMail's lists).

An entry is for one direction (send, receive, reply), allows or blocks one pattern, and stands in one scope: all
inboxes, those of a pod, or one inbox. A pattern is an address, a domain, or `.domain` for all domains below it.

How it is decided, by `decide`: the narrowest scope that has something to say wins. Within a scope the nearest pattern
that fits wins: the address itself, the address without its +detail, its domain, then `.domain` from the longest to
the shortest; of two equally near ones, block. A scope that allows anybody in a direction blocks there whoever it does
not list: with one allow entry it is a list of all who may.

A *reply* is mail that comes in and names a message that this inbox has sent. Lists of `reply` decide about it, and
where they say nothing, the entries of `receive` that name its sender; that `receive` allows others only does not
keep an answer away from who has asked for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.model.errors import InvalidName, NotFound
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import ScopeKind

from .addresses import canonical_address, canonical_domain, spellings
from .db import Rx, Tx, WakeKind
from .statements import Stmt

MAX_REASON: Final = 200
"""Characters: it stands in tables and logs."""
MAX_LABELS: Final = 20
"""Parent domains that are looked at: more levels are nobody's."""
MAX_IDS: Final = 40
"""Message-IDs of one message that are looked for among what the inbox has sent."""
NARROWEST_FIRST: Final = (ScopeKind.INBOX, ScopeKind.POD, ScopeKind.ALL)


class Direction(StrEnum):
    SEND = "send"
    RECEIVE = "receive"
    REPLY = "reply"


class Verdict(StrEnum):
    ALLOW = "allow"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class ListEntry:
    """`pod_id` and `inbox_id` are 0 where the scope has none."""

    uuid: str
    scope: ScopeKind
    pod_id: PodId
    inbox_id: InboxId
    direction: Direction
    verdict: Verdict
    pattern: str
    reason: str | None
    created_at: int


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What lists say about some addresses: the entries that fit any of them, and which scopes allow anybody at all.

    `patterns`: what fits, the nearest first, for each address.
    """

    entries: tuple[ListEntry, ...]
    closed: frozenset[ScopeKind]
    patterns: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """`entry` decided, or None: then nothing was said (`scope` None), or the scope allows others only."""

    allowed: bool
    entry: ListEntry | None = None
    scope: ScopeKind | None = None


NOTHING_SAID: Final = Decision(True)

_COLUMNS: Final = "uuid, scope, pod_id, inbox_id, direction, verdict, pattern, reason, created_at"
_REACH: Final = (
    "((scope = 'all' AND pod_id = 0 AND inbox_id = 0)"
    " OR (scope = 'pod' AND inbox_id = 0 AND pod_id = (SELECT pod_id FROM inbox WHERE id = :inbox))"
    " OR (scope = 'inbox' AND inbox_id = :inbox))"
)
_ANY = Stmt("SELECT 1 FROM list_entry LIMIT 1")
_FITTING = Stmt(
    f"SELECT {_COLUMNS} FROM list_entry WHERE direction = :direction AND pattern IN :TEXTS(patterns) AND {_REACH}"
)
_CLOSED = Stmt(
    f"SELECT DISTINCT scope FROM list_entry WHERE direction = :direction AND verdict = 'allow' AND {_REACH}"
)
_SAYS = Stmt(f"SELECT 1 FROM list_entry WHERE direction = :direction AND {_REACH} LIMIT 1")
_PUT = Stmt(
    f"INSERT INTO list_entry ({_COLUMNS})"
    " VALUES (:uuid, :scope, :pod, :inbox, :direction, :verdict, :pattern, :reason, :now)"
    " ON CONFLICT (direction, pattern, scope, pod_id, inbox_id) DO UPDATE SET verdict = excluded.verdict,"
    f" reason = excluded.reason RETURNING {_COLUMNS}"
)
_REMOVE = Stmt(
    "DELETE FROM list_entry WHERE direction = :direction AND pattern = :pattern AND scope = :scope"
    " AND pod_id = :pod AND inbox_id = :inbox"
)
_LIST = Stmt(f"SELECT {_COLUMNS} FROM list_entry ORDER BY scope, pod_id, inbox_id, direction, verdict, pattern")
_HAS_SENT = Stmt("SELECT message_id FROM submission WHERE inbox_id = :inbox AND message_id = :message_id LIMIT 1")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands; 0 for what the scope has not."""

    scope: ScopeKind
    pod_id: PodId
    inbox_id: InboxId


EVERYWHERE: Final = Place(ScopeKind.ALL, PodId(0), InboxId(0))


def canonical_pattern(text: str) -> str:
    """The stored form of an address, a domain or `.domain`. InvalidName."""
    text = text.strip()
    below = "." if text.startswith(".") else ""
    try:
        if "@" in text.removeprefix("@"):
            return canonical_address(text)
        return below + canonical_domain(text.removeprefix("@").removeprefix("."))
    except InvalidName:
        raise InvalidName(f"{text} is no address, no domain and no .domain") from None


def patterns_of(address: str) -> tuple[str, ...]:
    """Patterns that fit `address`, the nearest first; empty for what no entry can name (an address literal)."""
    names = spellings(address)
    if not names:
        return ()
    domain = names[-1].removeprefix("@")
    labels = domain.split(".")
    above = ["." + ".".join(labels[at:]) for at in range(1, len(labels))]
    return (*names[:-1], domain, *above[:MAX_LABELS])


def decide(excerpt: Excerpt) -> Decision:
    """Pure: of what lists say, what holds. Several addresses (envelope and From) count as one sender."""
    for scope in NARROWEST_FIRST:
        nearest: tuple[int, bool, ListEntry] | None = None
        for entry in excerpt.entries:
            if entry.scope is not scope:
                continue
            near = _nearness(entry.pattern, excerpt.patterns)
            ranked = (near, entry.verdict is Verdict.ALLOW)
            if nearest is None or ranked < nearest[:2]:
                nearest = (*ranked, entry)
        if nearest is not None:
            return Decision(nearest[1], nearest[2], scope)
        if scope in excerpt.closed:
            return Decision(False, None, scope)
    return NOTHING_SAID


def decide_reply(reply: Excerpt, receive: Excerpt) -> Decision:
    """About mail that answers: `reply` first; of `receive` only what names the sender."""
    decision = decide(reply)
    if decision.scope is not None:
        return decision
    return decide(Excerpt(receive.entries, frozenset(), receive.patterns))


def _nearness(pattern: str, fitting: Iterable[Sequence[str]]) -> int:
    """0: the address itself, 1: without its +detail, 2: its domain, 3 and more: a domain above."""
    found = []
    for patterns in fitting:
        if pattern in patterns:
            at = patterns.index(pattern)
            found.append(at if at == 0 or "@" in patterns[1] else at + 1)
    return min(found, default=MAX_LABELS + 3)


def any_entry(rx: Rx) -> bool:
    """Whether there are lists at all."""
    return rx.one(_ANY) is not None


def excerpt(rx: Rx, direction: Direction, inbox_id: InboxId, addresses: Iterable[str]) -> Excerpt:
    """What lists say to this inbox, its pod and everybody about `addresses`."""
    patterns = tuple(dict.fromkeys(patterns_of(address) for address in addresses))
    names = list(dict.fromkeys(name for each in patterns for name in each))
    rows = rx.all(_FITTING, direction=direction.value, patterns=names, inbox=inbox_id) if names else []
    closed = rx.all(_CLOSED, direction=direction.value, inbox=inbox_id)
    return Excerpt(tuple(map(_entry, rows)), frozenset(ScopeKind(row[0]) for row in closed), patterns)


def may_send(rx: Rx, inbox_id: InboxId, recipient: str) -> Decision:
    """Whether this inbox may write to `recipient`.

    Where lists say anything at all, not to an address that no entry can name (a host's number, a domain that is none):
    it may be another way to somebody who is blocked.
    """
    if not patterns_of(recipient) and rx.one(_SAYS, direction=Direction.SEND.value, inbox=inbox_id) is not None:
        return Decision(False)
    return decide(excerpt(rx, Direction.SEND, inbox_id, (recipient,)))


def may_receive(rx: Rx, inbox_id: InboxId, senders: Sequence[str], answers: Sequence[bytes]) -> Decision:
    """Whether this inbox takes mail from `senders` (the reverse-path, and the addresses in From).

    `answers`: the msg-ids that the message names in In-Reply-To and References.
    """
    receive = excerpt(rx, Direction.RECEIVE, inbox_id, senders)
    if not _is_reply(rx, inbox_id, answers):
        return decide(receive)
    return decide_reply(excerpt(rx, Direction.REPLY, inbox_id, senders), receive)


def _is_reply(rx: Rx, inbox_id: InboxId, answers: Sequence[bytes]) -> bool:
    """Whether one of them is a message that this inbox has sent, as long as its history is kept."""
    nearest = dict.fromkeys(answers[: -MAX_IDS - 1 : -1])
    return any(rx.one(_HAS_SENT, inbox=inbox_id, message_id=each) is not None for each in nearest)


def put(
    tx: Tx, place: Place, direction: Direction, verdict: Verdict, pattern: str, *, now: int, reason: str | None = None
) -> ListEntry:
    """An entry; one of the same place, direction and pattern takes the new verdict. InvalidName."""
    if reason is not None and (len(reason) > MAX_REASON or not reason.isprintable()):
        raise InvalidName(f"A reason has at most {MAX_REASON} printable characters")
    row = tx.one(
        _PUT,
        uuid=str(uuid.uuid4()),
        scope=place.scope.value,
        pod=place.pod_id,
        inbox=place.inbox_id,
        direction=direction.value,
        verdict=verdict.value,
        pattern=canonical_pattern(pattern),
        reason=reason or None,
        now=now,
    )
    assert row is not None
    _wake(tx, place)
    return _entry(row)


def remove(tx: Tx, place: Place, direction: Direction, pattern: str) -> None:
    """NotFound, InvalidName."""
    gone = tx.run(
        _REMOVE,
        direction=direction.value,
        pattern=canonical_pattern(pattern),
        scope=place.scope.value,
        pod=place.pod_id,
        inbox=place.inbox_id,
    )
    if not gone:
        raise NotFound(f"There is no entry for {pattern} in that list")
    _wake(tx, place)


def entries(rx: Rx) -> list[ListEntry]:
    """All of them, those of one place together."""
    return [_entry(row) for row in rx.all(_LIST)]


def _wake(tx: Tx, place: Place) -> None:
    """Who has remembered what lists said (`submit.directory`) forgets it."""
    tx.wake(place.inbox_id or None, kind=WakeKind.INBOX)


def _entry(row: tuple[Any, ...]) -> ListEntry:
    unique, scope, pod_id, inbox_id, direction, verdict, pattern, reason, created_at = row
    return ListEntry(
        unique, ScopeKind(scope), PodId(pod_id), InboxId(inbox_id), Direction(direction), Verdict(verdict), pattern,
        reason, created_at,
    )
