"""The end of a connector: gone for everybody at once, its rows piece by piece. Mail that it brought stays.

Who wants that mail gone too has it removed first (`drop_mail`), while the connector still knows which it is.
"""

from __future__ import annotations

from typing import Final

from gateway.model.ids import InboxId, MailboxId
from gateway.store import addresses, counters, messages, queue_account
from gateway.store.addresses import AddressKind
from gateway.store.db import Rx, Tx, WakeKind
from gateway.store.statements import Stmt
from gateway.store.uidsets import CUT

from . import accounts, lease
from .rows import ConnectorId

_MARK = Stmt(
    "UPDATE connector SET removed_at = :now, enabled = 0, name = uuid, own_address = 0, imap_secret = NULL,"
    " smtp_secret = NULL, grant_id = NULL, options = '{}', updated_at = :now WHERE id = :connector"
)
_OWN = Stmt("SELECT own_address FROM connector WHERE id = :connector")
_HEIR = Stmt(
    "UPDATE connector SET own_address = 1 WHERE id = (SELECT min(id) FROM connector WHERE inbox_id = :inbox"
    " AND address = :address AND removed_at IS NULL AND id <> :connector)"
)
_REMOVED = Stmt("SELECT id, inbox_id FROM connector WHERE removed_at IS NOT NULL ORDER BY id LIMIT :most")
_OF_INBOX = Stmt("SELECT id FROM connector WHERE inbox_id = :inbox ORDER BY id LIMIT 1")
_LIVING_OF_INBOX = Stmt("SELECT 1 FROM connector WHERE inbox_id = :inbox AND removed_at IS NULL LIMIT 1")
_FOLDER = Stmt("SELECT id FROM remote_folder WHERE connector_id = :owner ORDER BY id LIMIT 1")
_DROP_FOLDER = Stmt("DELETE FROM remote_folder WHERE id = :owner")
_DROP = Stmt("DELETE FROM connector WHERE id = :connector")
_NEXT_FOLDER = Stmt("SELECT min(id) FROM remote_folder WHERE connector_id = :connector AND id >= :folder")
_PLACES = Stmt(
    "SELECT uidvalidity, uid, mailbox_id, local_uid FROM remote_place WHERE folder_id = :folder"
    " AND (uidvalidity, uid, mailbox_id) > (:validity, :uid, :mailbox) ORDER BY uidvalidity, uid, mailbox_id"
    " LIMIT :most"
)

DropCursor = tuple[int, int, int, int]
"""How far `drop_mail` has come."""
START: Final[DropCursor] = (0, 0, 0, 0)


def _piece(table: str, owner: str, *key: str) -> Stmt:
    """Delete some rows of a table that belong to `owner`, by their key."""
    names = ", ".join((owner, *key)) if owner not in key else ", ".join(key)
    return Stmt(
        f"DELETE FROM {table} WHERE ({names}) IN (SELECT {names} FROM {table} WHERE {owner} = :owner"
        " LIMIT :most)"
    )


_OF_FOLDER: Final = (
    _piece("remote_place", "folder_id", "uidvalidity", "uid", "mailbox_id"),
    _piece("remote_message", "folder_id", "uidvalidity", "uid"),
    _piece("remote_poison", "folder_id", "uidvalidity", "uid"),
)
_OF_CONNECTOR: Final = (
    _piece("local_source", "connector_id", "source_key"),
    _piece("pending_op", "connector_id", "id"),
    _piece("connector_event", "connector_id", "id"),
    _piece("poll_cursor", "connector_id", "name"),
)


def remove(tx: Tx, connector_id: ConnectorId, *, now: int, sends: bool = False, fallback: bool = False) -> int:
    """End a connector; the inbox loses the account's address if it had it for this alone. NotFound.

    Its name is free, its secrets are forgotten, its worker's next write is refused. `sweep` takes its rows away.
    `sends`: mail went out through it; `fallback`: or by the default relay. How many recipients waited for that.
    """
    row = accounts.locked(tx, connector_id)
    if tx.scalar(_OWN, connector=connector_id) and not tx.run(
        _HEIR, inbox=row.inbox_id, address=row.address, connector=connector_id
    ):
        _drop_address(tx, row.inbox_id, row.address)
    lease.revoke(tx, connector_id)
    tx.run(_MARK, connector=connector_id, now=now)
    tx.wake(row.inbox_id, kind=WakeKind.CONNECTOR)
    if not sends:
        return 0
    return queue_account.account_gone(tx, row.inbox_id, row.address, row.name, now, fallback=fallback)


def _drop_address(tx: Tx, inbox_id: InboxId, address: str) -> None:
    """Somebody may have given it up, or to another inbox, or made it an alias meanwhile."""
    for row in addresses.addresses(tx, inbox_id):
        if row.address == address and row.kind is AddressKind.EXTERNAL:
            addresses.delete_address(tx, address)


def removed(rx: Rx, limit: int = 10) -> list[tuple[ConnectorId, InboxId]]:
    """Connectors that were removed and still have rows, with their inboxes."""
    return [(ConnectorId(row[0]), InboxId(row[1])) for row in rx.all(_REMOVED, most=limit)]


def sweep(tx: Tx, connector_id: ConnectorId, limit: int) -> bool:
    """Take away about `limit` rows of a removed connector; True when nothing of it is left."""
    limit = max(limit, 1)
    folder = tx.scalar(_FOLDER, owner=connector_id)
    if folder is not None:
        for statement in _OF_FOLDER:
            if tx.run(statement, owner=folder, most=limit):
                return False
        tx.run(_DROP_FOLDER, owner=folder)
        return False
    for statement in _OF_CONNECTOR:
        if tx.run(statement, owner=connector_id, most=limit):
            return False
    tx.run(_DROP, connector=connector_id)
    return True


def drop_mail(
    tx: Tx, connector_id: ConnectorId, after: DropCursor = START, *, now: int, limit: int = CUT
) -> DropCursor | None:
    """Expunge up to `limit` messages that a connector brought; where to go on, None at the end. NotFound.

    The connector is switched off first, or its next sync sees them as deleted here.
    """
    row = accounts.locked(tx, connector_id)
    folder = tx.scalar(_NEXT_FOLDER, connector=connector_id, folder=after[0])
    if folder is None:
        return None
    validity, uid, mailbox = after[1:] if folder == after[0] else START[1:]
    rows = tx.all(_PLACES, folder=folder, validity=validity, uid=uid, mailbox=mailbox, most=limit)
    by_mailbox: dict[MailboxId, list[int]] = {}
    for place in rows:
        by_mailbox.setdefault(MailboxId(place[2]), []).append(place[3])
    for box, uids in by_mailbox.items():
        messages.expunge(tx, row.inbox_id, box, uids, only_deleted=False, now=now)
    return (folder, *rows[-1][:3]) if len(rows) == limit else (folder + 1, 0, 0, 0)


def inbox_deleted(tx: Tx, inbox_id: InboxId) -> None:
    """An inbox begins its grace period: nobody works on its connectors. Brought back, they go on."""
    counters.lock(tx, inbox_id)
    lease.revoke_inbox(tx, inbox_id)
    inbox_restored(tx, inbox_id)


def inbox_restored(tx: Tx, inbox_id: InboxId) -> None:
    """An inbox came back: whoever looks for connectors may find some."""
    if tx.one(_LIVING_OF_INBOX, inbox=inbox_id) is not None:
        tx.wake(inbox_id, kind=WakeKind.CONNECTOR)


def purge_inbox(tx: Tx, inbox_id: InboxId, limit: int) -> bool:
    """About `limit` rows of the connectors of an inbox that is purged; True when it has none any more."""
    connector = tx.scalar(_OF_INBOX, inbox=inbox_id)
    if connector is None:
        return True
    sweep(tx, ConnectorId(connector), limit)
    return False
