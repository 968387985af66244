"""A connector begins anew without forgetting: all of each folder is compared again, and nothing is doubled."""

from __future__ import annotations

from gateway.store.db import Tx, WakeKind
from gateway.store.statements import Stmt

from . import accounts, lease
from .rows import ConnectorId, FolderId

_CONNECTOR = Stmt(
    "UPDATE connector SET state = 'new', state_since = :now, failures = 0, failure = NULL, reason = NULL,"
    " not_before = 0, updated_at = :now WHERE id = :connector"
)
_NEXT = Stmt(
    "SELECT id FROM remote_folder WHERE connector_id = :connector AND id > :after ORDER BY id LIMIT 1"
)
# A folder that is being remapped goes on with that; one that was never looked at has nothing to compare.
_FOLDER = Stmt(
    "UPDATE remote_folder SET highest_modseq = NULL, modseq_ok = 1, backfill_low = uidnext, last_full_scan_at = NULL,"
    " synced_at = NULL, resets = 0, select_failures = 0, probe_at = NULL, capped = 0, missing = 0, updated_at = :now,"
    " phase = CASE WHEN uidvalidity IS NULL THEN 'new' WHEN phase = 'remap' THEN phase ELSE 'backfill' END,"
    " live = (SELECT count(*) FROM remote_message r WHERE r.folder_id = remote_folder.id"
    " AND r.uidvalidity = remote_folder.uidvalidity AND r.gone IS NULL) WHERE id = :folder"
)
_POISON = Stmt("UPDATE remote_poison SET next_try = 0 WHERE folder_id = :folder")
# What stands for a message is proof that it was taken in, whatever became of its row.
_PROVEN = Stmt(
    "INSERT INTO remote_message (folder_id, uidvalidity, uid, system) SELECT DISTINCT p.folder_id, p.uidvalidity,"
    " p.uid, 0 FROM remote_place p WHERE p.folder_id = :folder AND NOT EXISTS (SELECT 1 FROM remote_message r"
    " WHERE r.folder_id = p.folder_id AND r.uidvalidity = p.uidvalidity AND r.uid = p.uid)"
)


def reset(tx: Tx, connector_id: ConnectorId, after: int = 0, *, now: int) -> FolderId | None:
    """Reset the folder after number `after`, and with the first one the connector; None: there was none any more.

    One folder a unit, since it is counted anew. Whoever works on the connector loses the lease, so that the next worker
    begins with what is so now; no mail is touched, and what is known upstream stays known. NotFound.
    """
    row = accounts.locked(tx, connector_id)
    if not after:
        tx.run(_CONNECTOR, connector=connector_id, now=now)
    lease.revoke(tx, connector_id)
    tx.wake(row.inbox_id, kind=WakeKind.CONNECTOR)
    folder = tx.scalar(_NEXT, connector=connector_id, after=after)
    if folder is None:
        return None
    tx.run(_PROVEN, folder=folder)
    tx.run(_POISON, folder=folder)
    begin_anew(tx, folder, now)
    return FolderId(folder)


def begin_anew(tx: Tx, folder_id: FolderId, now: int) -> None:
    """Inside a fenced unit, or one that ends the lease: all of the folder is to be looked through and counted anew."""
    tx.run(_FOLDER, folder=folder_id, now=now)
