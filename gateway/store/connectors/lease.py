"""Who works on a connector: leases that are one heartbeat a node, and the fence that each worker's unit begins with.

A node has a row with an incarnation, drawn at each start, that it keeps alive. A connector names the node and the
incarnation that own it, and an epoch that rises with every new owner. Who was frozen, was replaced and wakes up still
believes in its claim: the fence finds another epoch, and its late write is refused. So what decides is the row, and
clocks decide only how soon a dead node is replaced; on PostgreSQL that clock is the database's, one for all nodes.
An SQLite store has one process, which holds its lock: its node is alive until the next one starts, whatever clocks do,
and its heartbeat writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.errors import NotFound
from gateway.model.ids import InboxId
from gateway.store import counters
from gateway.store.db import Rx, Tx, WakeKind
from gateway.store.statements import Stmt

from .rows import Claim, ConnectorId, LeaseLost

TTL_S: Final = 20
"""A node that gave no sign of life for so long is dead. Not on SQLite, where nobody could replace it."""
BEAT_S: Final = 5
_FOR_EVER: Final = 2**40  # seconds
SPARE: Final = 0.05  # of its share: what a node may have too much before it gives any back

_CLOCK: Final = {
    "sqlite": "CAST(:now AS bigint)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS bigint)",
}


def _timed(text: str, **parts: str) -> Stmt:
    """A statement with `{now}`: the caller's clock on SQLite, the database's on PostgreSQL."""
    texts = {dialect: text.replace("{now}", clock) for dialect, clock in _CLOCK.items()}
    for dialect, part in parts.items():
        texts[dialect] += part
    return Stmt(sqlite=texts["sqlite"], postgresql=texts["postgresql"])


# PostgreSQL sends no bind that a text lacks, so `now` may always be given.
_BEAT = _timed(
    "INSERT INTO node (node_id, incarnation, alive_until, started_at) VALUES (:node, :incarnation, {now} + :ttl, {now})"
    " ON CONFLICT (node_id) DO UPDATE SET alive_until = {now} + :ttl WHERE node.incarnation = :incarnation"
)
_START = _timed(
    "INSERT INTO node (node_id, incarnation, alive_until, started_at) VALUES (:node, :incarnation, {now} + :ttl, {now})"
    " ON CONFLICT (node_id) DO UPDATE SET incarnation = :incarnation, alive_until = {now} + :ttl, started_at = {now}"
)
_LIVES = _timed(
    "SELECT 1 FROM node WHERE node_id = :node AND incarnation = :incarnation AND alive_until > {now} + :ttl"
)
_OTHERS = Stmt("DELETE FROM node WHERE node_id <> :node")
_STOP = Stmt("DELETE FROM node WHERE node_id = :node AND incarnation = :incarnation")
_NODES = _timed(
    "SELECT n.node_id, n.incarnation, n.alive_until > {now}, (SELECT count(*) FROM connector c"
    " WHERE c.node_id = n.node_id AND c.node_inc = n.incarnation) FROM node n ORDER BY n.node_id"
)
_FORGET = _timed(
    "DELETE FROM node WHERE alive_until < {now} - :keep AND NOT EXISTS"
    " (SELECT 1 FROM connector c WHERE c.node_id = node.node_id)"
)
_RUNS: Final = "c.enabled = 1 AND c.removed_at IS NULL"
_CLAIMABLE = _timed(
    "SELECT c.id, c.inbox_id FROM connector c JOIN inbox i ON i.id = c.inbox_id AND i.deleted_at IS NULL"
    " LEFT JOIN node n ON n.node_id = c.node_id AND n.incarnation = c.node_inc AND n.alive_until > {now}"
    f" WHERE {_RUNS} AND n.node_id IS NULL AND c.not_before <= :at ORDER BY c.not_before, c.id LIMIT :most",
    postgresql=" FOR UPDATE OF c SKIP LOCKED",
)
_ONE = _timed(
    "SELECT c.id, c.inbox_id FROM connector c JOIN inbox i ON i.id = c.inbox_id AND i.deleted_at IS NULL"
    " LEFT JOIN node n ON n.node_id = c.node_id AND n.incarnation = c.node_inc AND n.alive_until > {now}"
    f" WHERE c.id = :connector AND {_RUNS} AND n.node_id IS NULL",
    postgresql=" FOR UPDATE OF c SKIP LOCKED",
)
# Asked once more under the locks: when a row was taken between the snapshot of the first statement and its lock,
# PostgreSQL looks again at that row alone, and joins it with the dead owner that it had before.
_TAKE = _timed(
    "UPDATE connector SET node_id = :node, node_inc = :incarnation, epoch = epoch + 1 WHERE id IN :LIST(connectors)"
    " AND NOT EXISTS (SELECT 1 FROM node n WHERE n.node_id = connector.node_id AND n.incarnation = connector.node_inc"
    " AND n.alive_until > {now}) RETURNING id, epoch"
)
_ALIVE = _timed(
    "SELECT 1 FROM node WHERE node_id = :node AND incarnation = :incarnation AND alive_until > {now}"
)
_FENCE = _timed(
    "SELECT 1 FROM connector c JOIN node n ON n.node_id = c.node_id AND n.incarnation = c.node_inc"
    " AND n.alive_until > {now}"
    " WHERE c.id = :connector AND c.node_id = :node AND c.node_inc = :incarnation AND c.epoch = :epoch"
    f" AND {_RUNS}",
    postgresql=" FOR SHARE OF c",
)
_RELEASE = Stmt(
    "UPDATE connector SET node_id = NULL, node_inc = NULL, epoch = epoch + 1, not_before = :not_before"
    " WHERE id = :connector AND node_id = :node AND node_inc = :incarnation AND epoch = :epoch"
)
_RELEASE_ALL = Stmt(
    "UPDATE connector SET node_id = NULL, node_inc = NULL, epoch = epoch + 1"
    " WHERE node_id = :node AND node_inc = :incarnation"
)
_HELD = Stmt(
    "SELECT id, inbox_id, epoch FROM connector WHERE node_id = :node AND node_inc = :incarnation ORDER BY id"
)
_NEXT_DUE = Stmt(
    f"SELECT min(c.not_before) FROM connector c WHERE {_RUNS} AND c.node_id IS NULL AND c.not_before > :at"
)
_REVOKE = Stmt(
    "UPDATE connector SET node_id = NULL, node_inc = NULL, epoch = epoch + 1 WHERE id = :connector"
    " AND node_id IS NOT NULL"
)
_REVOKE_INBOX = Stmt(
    "UPDATE connector SET node_id = NULL, node_inc = NULL, epoch = epoch + 1 WHERE inbox_id = :inbox"
    " AND node_id IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Node:
    """`connectors`: how many it owns in this incarnation."""

    node_id: str
    incarnation: str
    alive: bool
    connectors: int


def join(tx: Tx, node_id: str, incarnation: str, now: int, ttl_s: int | None = None) -> None:
    """A node starts. An earlier incarnation of the same name is dead from now on, whatever it believes.

    `ttl_s` None: as the database is, TTL_S or until the next one starts, whatever its name.
    """
    ttl = _ttl(tx, ttl_s)
    if ttl == _FOR_EVER:
        tx.run(_OTHERS, node=node_id)
    tx.run(_START, node=node_id, incarnation=incarnation, ttl=ttl, now=now)


def heartbeat(tx: Tx, node_id: str, incarnation: str, now: int, ttl_s: int | None = None) -> None:
    """Say that the node is alive, every BEAT_S. LeaseLost when another incarnation took its name: end this process's
    work."""
    of = {"node": node_id, "incarnation": incarnation, "now": now}
    ttl = _ttl(tx, ttl_s)
    if ttl == _FOR_EVER and tx.one(_LIVES, ttl=_FOR_EVER // 2, **of) is not None:
        return
    if tx.run(_BEAT, ttl=ttl, **of) == 0:
        raise LeaseLost("Another process runs under this node's name")


def _ttl(tx: Tx, ttl_s: int | None) -> int:
    if ttl_s is not None:
        return ttl_s
    return _FOR_EVER if tx.dialect == "sqlite" else TTL_S


def leave(tx: Tx, node_id: str, incarnation: str) -> int:
    """A node stops: others may have its connectors at once. How many it had."""
    count = tx.run(_RELEASE_ALL, node=node_id, incarnation=incarnation)
    tx.run(_STOP, node=node_id, incarnation=incarnation)
    if count:
        tx.wake(None, kind=WakeKind.CONNECTOR)
    return count


def nodes(rx: Rx, now: int) -> list[Node]:
    """All that gave a sign of life lately, by name."""
    return [Node(row[0], row[1], bool(row[2]), row[3]) for row in rx.all(_NODES, now=now)]


def forget_nodes(tx: Tx, now: int, keep_s: int = 86_400) -> int:
    """Remove rows of nodes that have been dead for `keep_s` and own nothing."""
    return tx.run(_FORGET, now=now, keep=keep_s)


def claim(tx: Tx, node_id: str, incarnation: str, most: int, now: int) -> list[Claim]:
    """Take up to `most` connectors that are due and that no living node owns, the longest due first.

    Two nodes that claim at once never get the same one (SKIP LOCKED). LeaseLost when this node itself is not alive.
    """
    if tx.one(_ALIVE, node=node_id, incarnation=incarnation, now=now) is None:
        raise LeaseLost("This node gave no sign of life")
    return _take(tx, node_id, incarnation, tx.all(_CLAIMABLE, most=most, at=now, now=now), now)


def claim_one(tx: Tx, connector_id: ConnectorId, node_id: str, incarnation: str, now: int) -> Claim | None:
    """Take this one if nobody alive owns it, due or not: somebody asked for it. None: it is another's, or off."""
    if tx.one(_ALIVE, node=node_id, incarnation=incarnation, now=now) is None:
        raise LeaseLost("This node gave no sign of life")
    taken = _take(tx, node_id, incarnation, tx.all(_ONE, connector=connector_id, now=now), now)
    return taken[0] if taken else None


def _take(tx: Tx, node_id: str, incarnation: str, rows: Sequence[tuple[int, int]], now: int) -> list[Claim]:
    if not rows:
        return []
    wanted = [row[0] for row in rows]
    epochs = dict(tx.all(_TAKE, node=node_id, incarnation=incarnation, connectors=wanted, now=now))
    return [
        Claim(ConnectorId(number), InboxId(inbox), node_id, incarnation, epochs[number])
        for number, inbox in rows if number in epochs
    ]  # fmt: skip


def fence(tx: Tx, lease: Claim, now: int) -> None:
    """Each unit of a worker begins with this: LeaseLost unless the lease still holds, and then it holds to the commit.

    It locks the inbox first and then shares the connector's row, as every unit about a connector does.
    """
    counters.lock(tx, lease.inbox_id)
    if tx.one(_FENCE, now=now, **_names(lease)) is None:
        raise LeaseLost("This connector is no longer this node's")


def release(tx: Tx, lease: Claim, *, not_before: int = 0) -> bool:
    """Give a connector back, for anybody to claim from `not_before` on; False when it was no longer ours."""
    counters.lock(tx, lease.inbox_id)
    released = tx.run(_RELEASE, not_before=not_before, **_names(lease)) > 0
    if released:
        tx.wake(lease.inbox_id, kind=WakeKind.CONNECTOR)
    return released


def revoke(tx: Tx, connector_id: ConnectorId) -> None:
    """Whoever works on it loses the lease; the caller holds the inbox's lock and says why it must stop."""
    tx.run(_REVOKE, connector=connector_id)


def revoke_inbox(tx: Tx, inbox_id: InboxId) -> None:
    """`revoke` for all connectors of an inbox, which is being deleted."""
    tx.run(_REVOKE_INBOX, inbox=inbox_id)


def held(rx: Rx, node_id: str, incarnation: str) -> list[Claim]:
    """What this incarnation owns, by number."""
    rows = rx.all(_HELD, node=node_id, incarnation=incarnation)
    return [Claim(ConnectorId(row[0]), InboxId(row[1]), node_id, incarnation, row[2]) for row in rows]


def next_due(rx: Rx, now: int) -> int | None:
    """Unix seconds, later than `now`, at which a connector that nobody owns becomes due."""
    found: int | None = rx.scalar(_NEXT_DUE, at=now)
    return found


def excess(rx: Rx, node_id: str, incarnation: str, now: int) -> int:
    """How many connectors this node has above its share of all, and a twentieth: give that many idle ones back."""
    living = [node for node in nodes(rx, now) if node.alive]
    mine = sum(node.connectors for node in living if (node.node_id, node.incarnation) == (node_id, incarnation))
    if not living:
        return 0
    share = math.ceil(sum(node.connectors for node in living) / len(living))
    return max(0, mine - share - math.ceil(share * SPARE))


def inbox_of(rx: Rx, connector_id: ConnectorId) -> InboxId:
    """NotFound."""
    found = rx.scalar(_INBOX_OF, connector=connector_id)
    if found is None:
        raise NotFound("No such connector")
    return InboxId(found)


_INBOX_OF = Stmt("SELECT inbox_id FROM connector WHERE id = :connector AND removed_at IS NULL")


def _names(lease: Claim) -> dict[str, int | str]:
    return {
        "connector": lease.connector_id, "node": lease.node_id, "incarnation": lease.incarnation, "epoch": lease.epoch,
    }  # fmt: skip
