"""Inboxes: birth with their standard mailboxes, look-up, deletion with a grace period, and the final purge."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from gateway.model.errors import AlreadyExists, InvalidName, NotFound
from gateway.model.ids import InboxId, MailboxId, ModSeq, PodId
from gateway.model.mailbox import STANDARD_MAILBOXES
from gateway.model.permissions import SentCopy, WhatIsBlocked
from gateway.model.rates import UNSAID, Rates

from . import counters, mailboxes, queue, quota, webhooks
from .addresses import canonical_address
from .db import Rx, Tx, WakeKind
from .quota import NO_LIMITS, Limits
from .statements import Stmt
from .texts import checked_name, storable

SENT_COPY: Final[tuple[SentCopy, ...]] = get_args(SentCopy)
BLOCKED: Final[tuple[WhatIsBlocked, ...]] = get_args(WhatIsBlocked)

_INBOX: Final = (
    "SELECT i.id, i.uuid, i.pod_id, a.address, i.name, i.created_at, i.deleted_at, i.settings, i.messages, i.octets,"
    " i.modseq, i.epoch, i.mailboxes, i.quota_octets, i.quota_messages, i.quota_mailboxes"
    " FROM inbox i JOIN address a ON a.inbox_id = i.id AND a.kind = 'primary'"
)
_BY_ID = Stmt(f"{_INBOX} WHERE i.id = :inbox")
_BY_UUID = Stmt(f"{_INBOX} WHERE i.uuid = :uuid")
_BY_ADDRESS = Stmt(
    f"{_INBOX} WHERE i.deleted_at IS NULL AND i.id ="
    " (SELECT inbox_id FROM address WHERE address = :address AND kind <> 'external')"
)
_ALL = Stmt(f"{_INBOX} ORDER BY a.address")
_OF_POD = Stmt(f"{_INBOX} WHERE i.pod_id = :pod ORDER BY a.address")
_DUE = Stmt("SELECT id FROM inbox WHERE deleted_at <= :before ORDER BY deleted_at LIMIT :most")
_DOMAIN_IN_POD = Stmt("SELECT 1 FROM domain WHERE name = :name AND pod_id = :pod")
_INSERT = Stmt(
    "INSERT INTO inbox (uuid, pod_id, name, created_at, settings, epoch)"
    " VALUES (:uuid, :pod, :name, :now, :settings, :epoch) RETURNING id"
)
_INSERT_ADDRESS = Stmt(
    "INSERT INTO address (address, inbox_id, kind, created_at) VALUES (:address, :inbox, 'primary', :now)"
    " ON CONFLICT (address) DO NOTHING"
)
_SUBSCRIBE = Stmt("INSERT INTO subscription (inbox_id, name) VALUES (:inbox, :name) ON CONFLICT DO NOTHING")
_SETTINGS = Stmt("UPDATE inbox SET settings = :settings, name = :name WHERE id = :inbox")
_MARK = Stmt("UPDATE inbox SET deleted_at = :now WHERE id = :inbox AND deleted_at IS NULL")
_RESTORE = Stmt("UPDATE inbox SET deleted_at = NULL WHERE id = :inbox AND deleted_at IS NOT NULL")
_REVOKE_KEYS = Stmt("UPDATE api_key SET revoked_at = :now WHERE inbox_id = :inbox AND revoked_at IS NULL")
_IS_DELETED = Stmt("SELECT 1 FROM inbox WHERE id = :inbox AND deleted_at IS NOT NULL")

# Purge, hot tables first and the inbox last. The pieces have a LIMIT: one of them holds the writer a few milliseconds.
_MAILBOX = Stmt("SELECT id FROM mailbox WHERE inbox_id = :inbox ORDER BY id LIMIT 1")
_GARBAGE: Final = (
    "INSERT INTO garbage (content_id, at) SELECT DISTINCT content_id, 0 FROM {source} ON CONFLICT DO NOTHING"
)
_PIECE: Final = "SELECT uid FROM {table} WHERE mailbox_id = :mailbox ORDER BY uid LIMIT :most"
_MESSAGES = Stmt(_PIECE.format(table="message"))
_EXPUNGED = Stmt(_PIECE.format(table="expunged"))
_MESSAGE_GARBAGE = Stmt(_GARBAGE.format(source="message WHERE mailbox_id = :mailbox AND uid <= :last"))
_EXPUNGED_GARBAGE = Stmt(_GARBAGE.format(source="expunged WHERE mailbox_id = :mailbox AND uid <= :last"))
_DELETE_MESSAGES = Stmt("DELETE FROM message WHERE mailbox_id = :mailbox AND uid <= :last")
_DELETE_FLAGS = Stmt("DELETE FROM message_flags WHERE mailbox_id = :mailbox AND uid <= :last")
_DELETE_EXPUNGED = Stmt("DELETE FROM expunged WHERE mailbox_id = :mailbox AND uid <= :last")
_DELETE_KEYWORDS = Stmt("DELETE FROM keyword WHERE mailbox_id = :mailbox")
_DELETE_MAILBOX = Stmt("DELETE FROM mailbox WHERE id = :mailbox")
_SUBMISSION_GARBAGE = Stmt(_GARBAGE.format(source="submission WHERE inbox_id = :inbox AND finished_at IS NULL"))
_SUBMISSIONS = Stmt("SELECT id FROM submission WHERE inbox_id = :inbox ORDER BY id LIMIT :most")
_DELETE_ATTEMPTS = Stmt(
    "DELETE FROM queue_attempt WHERE recipient_id IN"
    " (SELECT id FROM queue_recipient WHERE submission_id IN (SELECT id FROM submission WHERE inbox_id = :inbox AND id"
    " <= :last))"
)
_DELETE_RECIPIENTS = Stmt(
    "DELETE FROM queue_recipient WHERE submission_id IN (SELECT id FROM submission WHERE inbox_id = :inbox AND id <="
    " :last)"
)
_DELETE_SUBMISSIONS = Stmt("DELETE FROM submission WHERE inbox_id = :inbox AND id <= :last")
_COLD: Final = (
    Stmt("DELETE FROM subscription WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM annotation WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM url_key WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM sent_mark WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM passkey WHERE key_id IN (SELECT id FROM api_key WHERE inbox_id = :inbox)"),
    Stmt("DELETE FROM api_key WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM setup_link WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM draft_name WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM list_entry WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM address WHERE inbox_id = :inbox"),
    Stmt("DELETE FROM resource_note WHERE kind = 'inbox' AND ref = (SELECT uuid FROM inbox WHERE id = :inbox)"),
    Stmt("DELETE FROM inbox WHERE id = :inbox"),
)
_WIDE: Final = (  # tables of an inbox that may be large, by the column that cuts them
    (
        Stmt("SELECT modseq FROM change WHERE inbox_id = :inbox ORDER BY modseq LIMIT :most"),
        Stmt("DELETE FROM change WHERE inbox_id = :inbox AND modseq <= :last"),
    ),
    (
        Stmt("SELECT hash FROM thread_ref WHERE inbox_id = :inbox ORDER BY hash LIMIT :most"),
        Stmt("DELETE FROM thread_ref WHERE inbox_id = :inbox AND hash <= :last"),
    ),
)


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """`sent_copy`: when a submission leaves its copy in Sent (clients.md "Sent mail appears once"). `rates`: what it
    may send, as far as it says. `blocked`: what becomes of mail that a list keeps from it; None: as is configured."""

    sent_copy: SentCopy = "auto"
    rates: Rates = UNSAID
    blocked: WhatIsBlocked | None = None


@dataclass(frozen=True, slots=True)
class Inbox:
    """One inbox row. `modseq` is its counter, `epoch` what makes a cursor of before a restore recognisable."""

    id: InboxId
    uuid: str
    pod_id: PodId
    address: str
    name: str | None
    created_at: int
    deleted_at: int | None
    settings: InboxSettings
    messages: int
    octets: int
    modseq: ModSeq
    epoch: str
    mailboxes: int = 0
    limits: Limits = NO_LIMITS


def create_inbox(
    tx: Tx, pod_id: PodId, address: str, *, now: int, name: str | None = None, limits: Limits = NO_LIMITS
) -> Inbox:
    """An inbox with the five standard mailboxes, subscribed. The address's domain is one of the pod's.

    Raises NotFound (domain), AlreadyExists (the address, also of an inbox in its grace period), InvalidName.
    """
    stored = canonical_address(address)
    checked_name(name)
    domain = stored.rpartition("@")[2]
    if tx.one(_DOMAIN_IN_POD, name=domain, pod=pod_id) is None:
        raise NotFound(f"The pod has no domain {domain}")
    settings = InboxSettings()
    row = tx.one(
        _INSERT, uuid=str(uuid.uuid4()), pod=pod_id, name=name, now=now, settings=_dump(settings), epoch=new_epoch()
    )
    assert row is not None
    inbox_id = InboxId(row[0])
    if tx.run(_INSERT_ADDRESS, address=stored, inbox=inbox_id, now=now) == 0:
        raise AlreadyExists(f"The address {stored} is taken")
    modseq = counters.draw(tx, inbox_id)
    for mailbox, role in STANDARD_MAILBOXES.items():
        mailboxes.insert(tx, inbox_id, mailbox, modseq=modseq, now=now, role=role)
        tx.do(_SUBSCRIBE, inbox=inbox_id, name=mailbox)
    if limits != NO_LIMITS:
        quota.set_limits(tx, inbox_id, limits)
    tx.wake(inbox_id, kind=WakeKind.INBOX)
    made = inbox_by_id(tx, inbox_id)
    assert made is not None
    return made


def inbox_by_id(rx: Rx, inbox_id: InboxId) -> Inbox | None:
    """Also one in its grace period: look at `deleted_at`."""
    return _inbox(rx.one(_BY_ID, inbox=inbox_id))


def inbox_by_uuid(rx: Rx, uuid: str) -> Inbox | None:
    """Also one in its grace period: look at `deleted_at`."""
    return _inbox(rx.one(_BY_UUID, uuid=uuid)) if storable(uuid) else None


def inbox_by_address(rx: Rx, address: str) -> Inbox | None:
    """By its primary address or an alias (no catch-all, no external address); not one that is deleted."""
    try:
        stored = canonical_address(address)
    except InvalidName:
        return None
    return _inbox(rx.one(_BY_ADDRESS, address=stored))


def inboxes(rx: Rx, pod_id: PodId | None = None, include_deleted: bool = False) -> list[Inbox]:
    """By address."""
    rows = rx.all(_ALL) if pod_id is None else rx.all(_OF_POD, pod=pod_id)
    found = [inbox for row in rows if (inbox := _inbox(row)) is not None]
    return [inbox for inbox in found if include_deleted or inbox.deleted_at is None]


def change_settings(tx: Tx, inbox_id: InboxId, *, settings: InboxSettings, name: str | None) -> None:
    """NotFound when there is no such inbox; InvalidName."""
    checked_name(name)
    if settings.sent_copy not in SENT_COPY:
        raise InvalidName(f"sent_copy is one of {', '.join(SENT_COPY)}")
    if tx.run(_SETTINGS, inbox=inbox_id, settings=_dump(settings), name=name) == 0:
        raise NotFound("No such inbox")
    tx.wake(inbox_id, kind=WakeKind.INBOX)


def delete_inbox(tx: Tx, inbox_id: InboxId, now: int) -> None:
    """Ends the inbox for everybody: sessions (by the wake-up), keys, mail still queued. Its mail is kept for the
    grace period, in which `undelete_inbox` brings it back. NotFound also when it is deleted already."""
    from . import drafts  # which files copies as the inbox's settings say
    from .connectors import removal  # which makes inboxes

    counters.lock(tx, inbox_id)
    if tx.run(_MARK, inbox=inbox_id, now=now) == 0:
        raise NotFound("No such inbox")
    tx.run(_REVOKE_KEYS, inbox=inbox_id, now=now)
    queue.cancel_inbox(tx, inbox_id, now)
    drafts.inbox_gone(tx, inbox_id)
    removal.inbox_deleted(tx, inbox_id)
    tx.wake(inbox_id, kind=WakeKind.INBOX)
    tx.wake(inbox_id, kind=WakeKind.KEYS)


def undelete_inbox(tx: Tx, inbox_id: InboxId) -> None:
    """Back from the grace period; its keys stay revoked. NotFound when it is not deleted or purged."""
    from .connectors import removal

    if tx.run(_RESTORE, inbox=inbox_id) == 0:
        raise NotFound("No deleted inbox of that name")
    removal.inbox_restored(tx, inbox_id)
    tx.wake(inbox_id, kind=WakeKind.INBOX)


def due_for_purge(rx: Rx, before: int, limit: int = 10) -> list[InboxId]:
    """Inboxes deleted at or before `before` (Unix seconds), the oldest first."""
    return [InboxId(row[0]) for row in rx.all(_DUE, before=before, most=limit)]


def purge_inbox(tx: Tx, inbox_id: InboxId, limit: int) -> bool:
    """Remove at most about `limit` rows of a deleted inbox; True when nothing of it is left. Call it again till then.

    Contents go to the janitor. NotFound for an inbox that is not deleted: nobody purges a living one.
    """
    from .connectors import removal

    counters.lock(tx, inbox_id)
    if tx.one(_IS_DELETED, inbox=inbox_id) is None:
        raise NotFound("No deleted inbox of that name")
    if not removal.purge_inbox(tx, inbox_id, limit):
        return False
    if (row := tx.one(_MAILBOX, inbox=inbox_id)) is not None:
        _purge_mailbox(tx, MailboxId(row[0]), limit)
        return False
    for select, delete in _WIDE:
        if (last := _last(tx, select, limit, inbox=inbox_id)) is not None:
            tx.run(delete, inbox=inbox_id, last=last)
            return False
    if (last := _last(tx, _SUBMISSIONS, limit, inbox=inbox_id)) is not None:
        queue.lock_submissions(tx, [row[0] for row in tx.all(_SUBMISSIONS, inbox=inbox_id, most=max(limit, 1))])
        tx.run(_SUBMISSION_GARBAGE, inbox=inbox_id)
        for statement in (_DELETE_ATTEMPTS, _DELETE_RECIPIENTS, _DELETE_SUBMISSIONS):
            tx.run(statement, inbox=inbox_id, last=last)
        return False
    webhooks.inbox_gone(tx, inbox_id)
    for statement in _COLD:
        tx.run(statement, inbox=inbox_id)
    return True


def new_epoch() -> str:
    """What cursors shown outside begin with; a restore draws a new one."""
    return secrets.token_hex(8)


def _purge_mailbox(tx: Tx, mailbox_id: MailboxId, limit: int) -> None:
    for select, *statements in (
        (_MESSAGES, _MESSAGE_GARBAGE, _DELETE_MESSAGES, _DELETE_FLAGS),
        (_EXPUNGED, _EXPUNGED_GARBAGE, _DELETE_EXPUNGED),
    ):
        if (last := _last(tx, select, limit, mailbox=mailbox_id)) is not None:
            for statement in statements:
                tx.run(statement, mailbox=mailbox_id, last=last)
            return
    tx.run(_DELETE_KEYWORDS, mailbox=mailbox_id)
    tx.run(_DELETE_MAILBOX, mailbox=mailbox_id)


def _last(tx: Tx, select: Stmt, limit: int, **params: Any) -> int | None:
    """The key that ends the next piece; None when there is none."""
    rows = tx.all(select, most=max(limit, 1), **params)
    return rows[-1][0] if rows else None


def _dump(settings: InboxSettings) -> str:
    said = {} if settings.blocked is None else {"blocked": settings.blocked}
    return json.dumps({"sent_copy": settings.sent_copy} | said | rates_stored(settings.rates))


def rates_stored(rates: Rates) -> dict[str, int]:
    """As `rates_in` finds them among stored settings."""
    said = {"per_hour": rates.per_hour, "per_day": rates.per_day}
    return {name: value for name, value in said.items() if value is not None}


def rates_in(settings: Mapping[str, Any]) -> Rates:
    """What stored settings, of an inbox or of a key, say about rates."""
    return Rates(settings.get("per_hour"), settings.get("per_day"))


def _inbox(row: tuple[Any, ...] | None) -> Inbox | None:
    if row is None:
        return None
    stored = json.loads(row[7])
    copy, blocked = stored.get("sent_copy"), stored.get("blocked")
    settings = InboxSettings(
        cast(SentCopy, copy) if copy in SENT_COPY else "auto",
        rates_in(stored),
        cast(WhatIsBlocked, blocked) if blocked in BLOCKED else None,
    )
    values = [*row[:7], settings, *row[8:13], Limits(*row[13:])]
    return Inbox(*values)
