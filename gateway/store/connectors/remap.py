"""A folder has a new UIDVALIDITY: its messages are found again under new UIDs, without a second copy of any.

The rows of the old UIDVALIDITY stay as they are, the folder takes the new one at once, and pairs are re-keyed piece by
piece, in any order, also after a restart. What is not found again is marked, and what stands for it here is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.store.db import Rx, Tx
from gateway.store.statements import Stmt

from . import folders, lease
from .among import among, binds
from .rows import BATCH, MESSAGE, Changed, Claim, FolderId, RemoteMessage, bounded, message
from .tally import count_live

_RESET = Stmt(
    "UPDATE remote_folder SET uidvalidity = :uidvalidity, uidnext = :uidnext, highest_modseq = :modseq,"
    " backfill_low = :uidnext, last_full_scan_at = NULL, phase = 'remap', resets = resets + 1, live = 0,"
    " updated_at = :now WHERE id = :folder"
)
_DROP_POISON = Stmt("DELETE FROM remote_poison WHERE folder_id = :folder AND uidvalidity <> :uidvalidity")
_COLUMNS: Final = MESSAGE.removeprefix("SELECT ")
_OLD = Stmt(
    f"SELECT r.uidvalidity, {_COLUMNS} WHERE r.folder_id = :folder AND (r.uidvalidity, r.uid) > (:validity, :uid)"
    " AND r.uidvalidity <> :current AND coalesce(r.gone, '') <> 'unknown' ORDER BY r.uidvalidity, r.uid LIMIT :most"
)
_TAKEN = among("SELECT uid FROM remote_message WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND {uids}")
_REKEY = Stmt(
    "UPDATE remote_message SET uidvalidity = :uidvalidity, uid = :uid, modseq = NULL, gone = NULL"
    " WHERE folder_id = :folder AND uidvalidity = :old_validity AND uid = :old"
)
_REKEY_PLACES = Stmt(
    "UPDATE remote_place SET uidvalidity = :uidvalidity, uid = :uid"
    " WHERE folder_id = :folder AND uidvalidity = :old_validity AND uid = :old"
)
_LOSE = among(
    "UPDATE remote_message SET gone = 'unknown' WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND {uids}"
)
_PHASE = Stmt("UPDATE remote_folder SET phase = :phase, updated_at = :now WHERE id = :folder")


@dataclass(frozen=True, slots=True)
class Pair:
    """A message of the old UIDVALIDITY, and the UID under which it was found again."""

    old_uidvalidity: int
    old_uid: int
    uid: int


def begin(
    tx: Tx, claim: Claim, folder_id: FolderId, *, uidvalidity: int, uidnext: int, modseq: int | None, now: int
) -> int:
    """The folder has another UIDVALIDITY; how many times in a row that happened (`folders.update` sets it back).

    With the same UIDVALIDITY as the folder has nothing is done: the remap goes on. LeaseLost, NotFound.
    """
    lease.fence(tx, claim, now)
    folder = folders.get(tx, claim.connector_id, folder_id)
    if folder.uidvalidity == uidvalidity:
        return folder.resets
    tx.run(_RESET, folder=folder_id, uidvalidity=uidvalidity, uidnext=uidnext, modseq=modseq, now=now)
    tx.run(_DROP_POISON, folder=folder_id, uidvalidity=uidvalidity)
    return folder.resets + 1


def unmatched(
    rx: Rx, folder_id: FolderId, current: int, after: tuple[int, int] = (0, 0), limit: int = BATCH
) -> list[tuple[int, RemoteMessage]]:
    """(old UIDVALIDITY, message) of what was not found again yet; go on with `after` = the last (UIDVALIDITY, UID)."""
    rows = rx.all(_OLD, folder=folder_id, validity=after[0], uid=after[1], current=current, most=limit)
    return [(row[0], message(row[1:])) for row in rows]


def rekey(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, pairs: Sequence[Pair], *, now: int
) -> int:
    """Messages were found again; how many were re-keyed.

    A pair that was done already is no error. Nor is one whose new UID is known by now, which is left out: that message
    was imported, and the old one stays unmatched. LeaseLost, NotFound, Changed, InvalidRequest (more than BATCH).
    """
    lease.fence(tx, claim, now)
    bounded(len(pairs), BATCH, "messages")
    if folders.get(tx, claim.connector_id, folder_id).uidvalidity != uidvalidity:
        raise Changed("The folder has another UIDVALIDITY now")
    of = {"folder": folder_id, "uidvalidity": uidvalidity}
    taken = _there(tx, folder_id, uidvalidity, [pair.uid for pair in pairs])
    old: dict[int, set[int]] = {
        validity: _there(tx, folder_id, validity, [pair.old_uid for pair in pairs if pair.old_uidvalidity == validity])
        for validity in {pair.old_uidvalidity for pair in pairs} - {uidvalidity}
    }
    count = 0
    for pair in pairs:
        waiting = old.get(pair.old_uidvalidity, set())
        if pair.uid not in taken and pair.old_uid in waiting:
            names = {"old_validity": pair.old_uidvalidity, "old": pair.old_uid, "uid": pair.uid, **of}
            tx.do(_REKEY, **names)
            tx.do(_REKEY_PLACES, **names)
            taken.add(pair.uid)
            waiting.remove(pair.old_uid)
            count += 1
    count_live(tx, folder_id, uidvalidity, count)
    return count


def _there(tx: Tx, folder_id: FolderId, uidvalidity: int, uids: Sequence[int]) -> set[int]:
    return {row[0] for row in tx.all(_TAKEN, folder=folder_id, uidvalidity=uidvalidity, **binds(uids))}


def finish(tx: Tx, claim: Claim, folder_id: FolderId, *, phase: str = "forward", now: int) -> int:
    """All that could be found was: mark up to BATCH of the rest as lost from sight. Call it again until it says 0.

    Then the folder is in `phase`, and what is new in it is fetched as usual. LeaseLost, NotFound.
    """
    lease.fence(tx, claim, now)
    current = folders.get(tx, claim.connector_id, folder_id).uidvalidity or 0
    rest = unmatched(tx, folder_id, current)
    for validity in {each[0] for each in rest}:
        uids = [row.uid for old, row in rest if old == validity]
        tx.run(_LOSE, folder=folder_id, uidvalidity=validity, **binds(uids))
    if not rest:
        tx.run(_PHASE, folder=folder_id, phase=phase, now=now)
    return len(rest)
