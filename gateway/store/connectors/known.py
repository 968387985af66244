"""Which UIDs of a folder upstream are known, as ranges: what a window or a comparison starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model.sequence import Ranges, from_rising
from gateway.store.db import Rx
from gateway.store.statements import Stmt

from .rows import FolderId

_LAST_UID: Final = 2**32
_UIDS = Stmt(
    "SELECT uid, CASE WHEN gone IS NULL THEN 0 ELSE 1 END FROM remote_message WHERE folder_id = :folder"
    " AND uidvalidity = :uidvalidity AND uid BETWEEN :low AND :high ORDER BY uid"
)
_NEWEST = Stmt(
    "SELECT uid FROM remote_message WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND gone IS NULL"
    " ORDER BY uid DESC LIMIT :most"
)
_POISON = Stmt("SELECT uid, next_try FROM remote_poison WHERE folder_id = :folder AND uidvalidity = :uidvalidity")
_TRIES = Stmt(
    "SELECT tries FROM remote_poison WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND uid = :uid"
)


@dataclass(frozen=True, slots=True)
class Known:
    """`live`: taken in and there upstream. `gone`: taken in, and marked as gone from there."""

    live: Ranges
    gone: Ranges


def known(rx: Rx, folder_id: FolderId, uidvalidity: int, low: int = 1, high: int = _LAST_UID) -> Known:
    """UIDs from `low` to `high` that have a row."""
    rows = rx.all(_UIDS, folder=folder_id, uidvalidity=uidvalidity, low=low, high=high)
    live = from_rising([uid for uid, gone in rows if not gone])
    return Known(live, from_rising([uid for uid, gone in rows if gone]))


def newest(rx: Rx, folder_id: FolderId, uidvalidity: int, most: int) -> Ranges:
    """The last `most` UIDs that are there."""
    rows = rx.all(_NEWEST, folder=folder_id, uidvalidity=uidvalidity, most=most)
    return from_rising([row[0] for row in reversed(rows)])


def poison(rx: Rx, folder_id: FolderId, uidvalidity: int) -> dict[int, int]:
    """UID -> when it is asked for again, of messages that could not be had."""
    return dict(rx.all(_POISON, folder=folder_id, uidvalidity=uidvalidity))


def poison_tries(rx: Rx, folder_id: FolderId, uidvalidity: int, uid: int) -> int:
    """How often a message could not be had."""
    found: int | None = rx.scalar(_TRIES, folder=folder_id, uidvalidity=uidvalidity, uid=uid)
    return found or 0
