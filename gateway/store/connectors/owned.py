"""What a node works on, in one read: it is asked with each wake-up, for thousands of connectors."""

from __future__ import annotations

from gateway.model.ids import InboxId
from gateway.store.db import Rx
from gateway.store.statements import Stmt

from .rows import Claim, ConnectorId

_OWNED = Stmt(
    "SELECT id, inbox_id, epoch, sync_asked_at FROM connector WHERE node_id = :node AND node_inc = :incarnation"
    " ORDER BY id"
)


def owned(rx: Rx, node_id: str, incarnation: str) -> dict[Claim, int]:
    """Claims of this incarnation, and when somebody last asked for a sync of each: Unix seconds, 0 for never."""
    rows = rx.all(_OWNED, node=node_id, incarnation=incarnation)
    return {
        Claim(ConnectorId(number), InboxId(inbox), node_id, incarnation, epoch): asked or 0
        for number, inbox, epoch, asked in rows
    }
