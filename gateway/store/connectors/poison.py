"""Messages that are listed upstream and cannot be had: they block nothing, and are tried again now and then."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.db import Rx, Tx
from gateway.store.statements import Stmt
from gateway.store.texts import made_storable

from . import lease
from .rows import Claim, FolderId

MAX_REASON = 500  # characters

_NOTE = Stmt(
    "INSERT INTO remote_poison (folder_id, uidvalidity, uid, reason, tries, next_try, first_at) VALUES"
    " (:folder, :uidvalidity, :uid, :reason, 1, :next, :now) ON CONFLICT (folder_id, uidvalidity, uid) DO UPDATE SET"
    " reason = excluded.reason, tries = remote_poison.tries + 1, next_try = excluded.next_try RETURNING tries"
)
_OF = Stmt(
    "SELECT uid, reason, tries, next_try, first_at FROM remote_poison WHERE folder_id = :folder"
    " AND uidvalidity = :uidvalidity AND uid > :after ORDER BY uid LIMIT :most"
)
_FORGET = Stmt(
    "DELETE FROM remote_poison WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND uid IN :LIST(uids)"
)


@dataclass(frozen=True, slots=True)
class Poisoned:
    """`tries`: how often it could not be had; `next_try` and `first_at` in Unix seconds."""

    uid: int
    reason: str
    tries: int
    next_try: int
    first_at: int


def note(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, uid: int, reason: str, *, next_try: int, now: int
) -> int:
    """This message could not be had; how often that was. The import of it (`window`) ends it. LeaseLost."""
    lease.fence(tx, claim, now)
    return int(
        tx.scalar(
            _NOTE, folder=folder_id, uidvalidity=uidvalidity, uid=uid, reason=made_storable(reason)[:MAX_REASON],
            next=next_try, now=now,
        )
    )  # fmt: skip


def page(rx: Rx, folder_id: FolderId, uidvalidity: int, after: int = 0, limit: int = 1_000) -> list[Poisoned]:
    """What cannot be had of a folder, by UID; go on with `after` = the last one's."""
    rows = rx.all(_OF, folder=folder_id, uidvalidity=uidvalidity, after=after, most=limit)
    return [Poisoned(*row) for row in rows]


def forget(tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, uids: list[int], *, now: int) -> None:
    """They are not there upstream any more. LeaseLost."""
    lease.fence(tx, claim, now)
    tx.run(_FORGET, folder=folder_id, uidvalidity=uidvalidity, uids=uids)
