"""The secrets that sign URLs of mailboxes (RFC 4467 2.2): one a mailbox, for as long as nobody resets it."""

from __future__ import annotations

from gateway.model.ids import InboxId, MailboxId

from . import counters
from .db import Rx, Tx
from .statements import Stmt

_KEY = Stmt(
    "SELECT k.key FROM url_key k JOIN mailbox b ON b.id = k.mailbox_id"
    " WHERE k.mailbox_id = :mailbox AND k.inbox_id = :inbox AND b.inbox_id = :inbox"
)
_MAKE = Stmt(
    "INSERT INTO url_key (mailbox_id, inbox_id, key) VALUES (:mailbox, :inbox, :key)"
    " ON CONFLICT (mailbox_id) DO NOTHING"
)
_RESET = Stmt(
    "INSERT INTO url_key (mailbox_id, inbox_id, key) VALUES (:mailbox, :inbox, :key)"
    " ON CONFLICT (mailbox_id) DO UPDATE SET key = excluded.key"
)
_REMOVE_ALL = Stmt("DELETE FROM url_key WHERE inbox_id = :inbox")


def key_of(rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId) -> bytes | None:
    """None when no URL of the mailbox was ever signed, or all of them were revoked."""
    found = rx.scalar(_KEY, mailbox=mailbox_id, inbox=inbox_id)
    return None if found is None else bytes(found)


def need_key(tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, fresh: bytes) -> bytes:
    """The mailbox's key, which is `fresh` if it had none."""
    counters.lock(tx, inbox_id)
    tx.run(_MAKE, mailbox=mailbox_id, inbox=inbox_id, key=fresh)
    return key_of(tx, inbox_id, mailbox_id) or fresh


def reset(tx: Tx, inbox_id: InboxId, mailbox_id: MailboxId, fresh: bytes) -> None:
    """Another key: what the last one signed is void."""
    counters.lock(tx, inbox_id)
    tx.run(_RESET, mailbox=mailbox_id, inbox=inbox_id, key=fresh)


def remove_all(tx: Tx, inbox_id: InboxId) -> None:
    """No URL of the inbox is valid any more."""
    counters.lock(tx, inbox_id)
    tx.run(_REMOVE_ALL, inbox=inbox_id)
