"""Webhooks as people see and change them; what was tried for each, and events that are to go again by themselves.

How far each was told of which inbox is in `webhook_cursors`. A key sees the webhooks of its scope.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.model.errors import LimitReached
from gateway.model.ids import InboxId, PodId

from .db import Rx, Tx, WakeKind
from .sealing import Place
from .statements import Stmt
from .texts import checked_name, storable

MOST: Final = 1000
"""Webhooks of a store: each looks at each inbox of its scope."""
ANSWER: Final = 1024
"""Octets of an answer that are kept."""
NATIVE: Final = "native"
"""The dialect of our own API."""


def of_a_webhook(insert: str, rest: str = "") -> Stmt:
    """A statement that adds a row about the webhook `w`, if it is there: it stays there until the unit ends."""
    return Stmt(f"{insert}{rest}", postgresql=f"{insert} FOR KEY SHARE OF w{rest}")


_COLUMNS: Final = (
    "id, uuid, scope, pod_id, inbox_id, name, url, types, reads, enabled, reason, failing_since, former_until,"
    " created_at, updated_at, dialect, signing_secret, former_secret, headers_sealed"
)
_ALL = Stmt(f"SELECT {_COLUMNS} FROM webhook ORDER BY id")
_BY_UUID = Stmt(f"SELECT {_COLUMNS} FROM webhook WHERE uuid = :uuid")
_BY_ID = Stmt(f"SELECT {_COLUMNS} FROM webhook WHERE id = :webhook")
_COUNT = Stmt("SELECT count(*) FROM webhook")
_INSERT = Stmt(
    "INSERT INTO webhook (uuid, scope, pod_id, inbox_id, name, url, dialect, types, reads, signing_secret,"
    " headers_sealed, created_at, updated_at) VALUES (:uuid, :scope, :pod, :inbox, :name, :url, :dialect, :types,"
    " :reads, :secret, :headers, :now, :now) RETURNING id"
)
_FROM_NOW = Stmt(
    "INSERT INTO webhook_cursor (webhook_id, inbox_id, modseq, position) SELECT CAST(:webhook AS bigint), i.id,"
    " i.modseq, CAST(i.modseq AS text) || '-99-0-0' FROM inbox i WHERE CAST(:scope AS text) = 'all'"
    " OR (CAST(:scope AS text) = 'pod' AND i.pod_id = :pod) OR (CAST(:scope AS text) = 'inbox' AND i.id = :inbox)"
)
_CHANGE = Stmt(
    "UPDATE webhook SET name = :name, url = :url, types = :types, headers_sealed = :headers, enabled = :enabled,"
    " reason = :reason, failing_since = :failing, updated_at = :now WHERE id = :webhook"
)
_AGAIN = Stmt("UPDATE webhook_cursor SET not_before = 0, attempts = 0 WHERE webhook_id = :webhook")
_AGAIN_ONCE = Stmt("UPDATE webhook_once SET not_before = 0 WHERE webhook_id = :webhook")
_ROTATE = Stmt(
    "UPDATE webhook SET signing_secret = :secret, former_secret = :former, former_until = :until, updated_at = :now"
    " WHERE id = :webhook"
)
_OF_INBOX = Stmt("SELECT id FROM webhook WHERE inbox_id = :inbox")
_OF_POD = Stmt("SELECT id FROM webhook WHERE pod_id = :pod")
_NOT_OF_INBOX: Final = (  # what wider ones were to tell of it; `webhook_attempt` has no mail, and ends by its age
    Stmt("DELETE FROM webhook_cursor WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM webhook_once WHERE inbox_id = :inbox"),
)
_DELETE: Final = (  # the webhook before what waits for it: who adds to that holds its row (`of_a_webhook`)
    Stmt("DELETE FROM resource_note WHERE kind = 'webhook' AND ref = (SELECT uuid FROM webhook WHERE id = :webhook)"),
    Stmt("DELETE FROM webhook WHERE id = :webhook"),
    Stmt("DELETE FROM webhook_cursor WHERE webhook_id = :webhook"),
    Stmt("DELETE FROM webhook_once WHERE webhook_id = :webhook"),
    Stmt("DELETE FROM webhook_attempt WHERE webhook_id = :webhook"),
)
_ATTEMPT = Stmt(
    "INSERT INTO webhook_attempt (webhook_id, inbox_id, event_id, type, at, number, ok, status, failure, duration_ms,"
    " answer) VALUES (:webhook, :inbox, :event, :type, :at, :number, :ok, :status, :failure, :duration, :answer)"
)
_ATTEMPTS = Stmt(
    "SELECT id, inbox_id, event_id, type, at, number, ok, status, failure, duration_ms, answer FROM webhook_attempt"
    " WHERE webhook_id = :webhook AND id < :before ORDER BY id DESC LIMIT :most"
)
_PRUNE = Stmt(
    "DELETE FROM webhook_attempt WHERE id IN (SELECT id FROM webhook_attempt WHERE at <= :before ORDER BY at LIMIT"
    " :most)"
)
_ONCE = of_a_webhook(
    "INSERT INTO webhook_once (webhook_id, inbox_id, event_id, type, payload, created_at) SELECT w.id,"
    " CAST(:inbox AS bigint), CAST(:event AS text), CAST(:type AS text), CAST(:payload AS text),"
    " CAST(:now AS bigint) FROM webhook w WHERE w.id = :webhook"
)
_WAITING = Stmt("SELECT count(*) FROM webhook_once WHERE webhook_id = :webhook")
_MOST_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Webhook:
    """`dialect`: whose words it is told in; `types` are of that, empty for all. `reads`: the permissions to read that
    whoever made it had. Secrets are sealed.
    """

    id: int
    uuid: str
    scope: str
    pod_id: PodId | None
    inbox_id: InboxId | None
    name: str
    url: str
    types: tuple[str, ...]
    reads: frozenset[str]
    enabled: bool
    reason: str | None
    failing_since: int | None
    former_until: int | None
    created_at: int
    updated_at: int
    dialect: str = NATIVE
    signing_secret: bytes | None = field(default=None, repr=False)
    former_secret: bytes | None = field(default=None, repr=False)
    headers_sealed: bytes | None = field(default=None, repr=False)

    def may_cover(self, inbox_id: InboxId) -> bool:
        """Whether the inbox may be one of its scope."""
        return self.scope != "inbox" or self.inbox_id == inbox_id

    def covers(self, inbox_id: InboxId, pod_id: PodId) -> bool:
        """Whether the inbox of that pod is one of its scope."""
        return self.may_cover(inbox_id) and (self.scope != "pod" or self.pod_id == pod_id)


@dataclass(frozen=True, slots=True)
class WebhookNew:
    scope: str
    pod_id: PodId | None
    inbox_id: InboxId | None
    name: str
    url: str
    types: Sequence[str]
    reads: frozenset[str]
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    dialect: str = NATIVE


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt. `status`: of HTTP, None where there was no answer; `failure`: what went wrong, in a sentence."""

    webhook_id: int
    inbox_id: int
    event_id: str
    type: str
    at: int
    number: int
    ok: bool
    status: int | None
    failure: str | None
    duration_ms: int
    answer: bytes | None
    id: int = 0


def secret_place(row: str) -> Place:
    return Place("webhook", row, "signing_secret")


def former_place(row: str) -> Place:
    return Place("webhook", row, "former_secret")


def headers_place(row: str) -> Place:
    return Place("webhook", row, "headers_sealed")


def webhooks(rx: Rx) -> list[Webhook]:
    """All, in the order of their making."""
    return [_webhook(row) for row in rx.all(_ALL)]


def by_uuid(rx: Rx, name: str) -> Webhook | None:
    row = rx.one(_BY_UUID, uuid=name) if storable(name) else None
    return None if row is None else _webhook(row)


def by_id(rx: Rx, webhook_id: int) -> Webhook | None:
    row = rx.one(_BY_ID, webhook=webhook_id)
    return None if row is None else _webhook(row)


def create(tx: Tx, new: WebhookNew, secret: bytes, headers: bytes | None, now: int) -> Webhook:
    """It is told of what happens from now on, in inboxes that are made later too. LimitReached, InvalidName."""
    checked_name(new.name)
    if tx.scalar(_COUNT) >= MOST:
        raise LimitReached(f"There may be {MOST} webhooks at most")
    number = tx.scalar(
        _INSERT, uuid=new.uuid, scope=new.scope, pod=new.pod_id, inbox=new.inbox_id, name=new.name, url=new.url,
        dialect=new.dialect, types=" ".join(new.types), reads=" ".join(sorted(new.reads)), secret=secret,
        headers=headers, now=now,
    )
    tx.run(_FROM_NOW, webhook=number, scope=new.scope, pod=new.pod_id or 0, inbox=new.inbox_id or 0)
    tx.wake(None, kind=WakeKind.WEBHOOK)
    made = by_id(tx, number)
    assert made is not None
    return made


def change(
    tx: Tx, before: Webhook, *, name: str, url: str, types: Sequence[str], headers: bytes | None, enabled: bool,
    now: int,
) -> None:  # fmt: skip
    """What is switched on again goes on where it stood, at once. InvalidName."""
    checked_name(name)
    back = enabled and (not before.enabled or url != before.url)
    tx.run(
        _CHANGE, webhook=before.id, name=name, url=url, types=" ".join(types), headers=headers, enabled=int(enabled),
        reason=None if back else before.reason, failing=None if back else before.failing_since, now=now,
    )
    if back:
        tx.run(_AGAIN, webhook=before.id)
        tx.run(_AGAIN_ONCE, webhook=before.id)
    tx.wake(None, kind=WakeKind.WEBHOOK)


def rotate(tx: Tx, webhook_id: int, secret: bytes, former: bytes | None, until: int, now: int) -> None:
    """A new secret; the former one, sealed for its place, signs as well until then."""
    tx.run(_ROTATE, webhook=webhook_id, secret=secret, former=former, until=until, now=now)
    tx.wake(None, kind=WakeKind.WEBHOOK)


def inbox_gone(tx: Tx, inbox_id: InboxId) -> None:
    """In the unit that removes the last of an inbox: its webhooks go, and events of it that wait."""
    for statement in _NOT_OF_INBOX:
        tx.run(statement, inbox=inbox_id)
    for (webhook,) in tx.all(_OF_INBOX, inbox=inbox_id):
        delete(tx, webhook)


def pod_gone(tx: Tx, pod_id: PodId) -> None:
    """In the unit that removes a pod."""
    for (webhook,) in tx.all(_OF_POD, pod=pod_id):
        delete(tx, webhook)


def delete(tx: Tx, webhook_id: int) -> None:
    """With all that waits for it, and what was noted about it."""
    for statement in _DELETE:
        tx.run(statement, webhook=webhook_id)
    tx.wake(None, kind=WakeKind.WEBHOOK)


def note(tx: Tx, tried: Tried) -> None:
    """Enter an attempt."""
    tx.do(
        _ATTEMPT, webhook=tried.webhook_id, inbox=tried.inbox_id, event=tried.event_id, type=tried.type, at=tried.at,
        number=tried.number, ok=int(tried.ok), status=tried.status, failure=tried.failure,
        duration=tried.duration_ms, answer=None if tried.answer is None else tried.answer[:ANSWER],
    )


def attempts(rx: Rx, webhook_id: int, before: int, most: int) -> list[Tried]:
    """The latest first, with numbers below `before`."""
    rows = rx.all(_ATTEMPTS, webhook=webhook_id, before=before, most=most)
    return [
        Tried(
            webhook_id=webhook_id, inbox_id=inbox, event_id=event, type=kind, at=at, number=number, ok=bool(ok),
            status=status, failure=failure, duration_ms=duration, id=row,
            answer=None if answer is None else bytes(answer),
        )
        for row, inbox, event, kind, at, number, ok, status, failure, duration, answer in rows
    ]  # fmt: skip


def prune(tx: Tx, before: int, most: int) -> int:
    """Forget attempts made at or before `before`; how many."""
    return tx.run(_PRUNE, before=before, most=most)


def once(tx: Tx, webhook_id: int, inbox_id: int, event_id: str, kind: str, payload: str, now: int) -> None:
    """Have one event delivered by itself; nothing when the webhook is gone. LimitReached when too many wait."""
    if tx.scalar(_WAITING, webhook=webhook_id) >= _MOST_ONCE:
        raise LimitReached("Too many events of this webhook wait to be delivered again")
    tx.run(_ONCE, webhook=webhook_id, inbox=inbox_id, event=event_id, type=kind, payload=payload, now=now)
    tx.wake(None, kind=WakeKind.WEBHOOK)


def _webhook(row: tuple[Any, ...]) -> Webhook:
    number, name, scope, pod, inbox, title, url, types, reads, enabled, why, failing, former, made, changed = row[:15]
    secrets = [None if value is None else bytes(value) for value in row[16:19]]
    return Webhook(
        number, name, scope, pod, inbox, title, url, tuple(types.split()), frozenset(reads.split()), bool(enabled),
        why, failing, former, made, changed, row[15], *secrets,
    )  # fmt: skip
