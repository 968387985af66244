"""What LIST and STATUS read: all mailboxes of an inbox, or one, in one statement from one snapshot."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from gateway.model.ids import InboxId
from gateway.model.mailbox import DELIMITER
from gateway.model.names import canonical

from .db import Rx
from .statements import Stmt
from .texts import storable


class Listed(NamedTuple):
    """A mailbox as LIST and STATUS see it. The counters are 0 where they were not asked for.

    `deleted` and `deleted_octets`: messages that bear \\Deleted, and their octets.
    """

    name: str
    noselect: int
    subscribed: int
    role: str | None
    id: int
    messages: int
    unseen: int
    uidnext: int
    uidvalidity: int
    octets: int
    highest_modseq: int
    object_id: str
    deleted: int
    deleted_octets: int


_NAMES: Final = "b.name, b.noselect, CASE WHEN s.name IS NULL THEN 0 ELSE 1 END, b.role, b.id"
_COUNTERS: Final = "b.messages, b.unseen, b.uidnext, b.uidvalidity, b.octets, b.highest_modseq, b.object_id"
_FROM: Final = "FROM mailbox b LEFT JOIN subscription s ON s.inbox_id = b.inbox_id AND s.name = b.name"
# The index on messages with \Deleted holds only those: adding them up costs what an EXPUNGE would.
_DELETED: Final = (
    " LEFT JOIN (SELECT m.mailbox_id AS mailbox_id, count(*) AS messages, CAST(sum(m.size) AS bigint) AS octets"
    " FROM message m WHERE m.inbox_id = :inbox AND m.flags & 8 <> 0 GROUP BY m.mailbox_id) d ON d.mailbox_id = b.id"
)
_SUMS: Final = "coalesce(d.messages, 0), coalesce(d.octets, 0)"
_WHERE: Final = "WHERE b.inbox_id = :inbox"

_BARE = Stmt(f"SELECT {_NAMES}, 0, 0, 0, 0, 0, 0, '', 0, 0 {_FROM} {_WHERE}")
_COUNTED = Stmt(f"SELECT {_NAMES}, {_COUNTERS}, 0, 0 {_FROM} {_WHERE}")
_COUNTED_ALL = Stmt(f"SELECT {_NAMES}, {_COUNTERS}, {_SUMS} {_FROM}{_DELETED} {_WHERE}")
_ONE = Stmt(f"SELECT {_NAMES}, {_COUNTERS}, 0, 0 {_FROM} {_WHERE} AND b.name = :name")
_ONE_SUM: Final = "SELECT count(*), CAST(coalesce(sum(size), 0) AS bigint) FROM message"
_ONE_WHERE: Final = "WHERE inbox_id = :inbox AND mailbox_id = :mailbox AND flags & 8 <> 0"
_ONE_DELETED = Stmt(
    sqlite=f"{_ONE_SUM} INDEXED BY ix_message_deleted {_ONE_WHERE}",  # it would rather walk the whole mailbox
    postgresql=f"{_ONE_SUM} {_ONE_WHERE}",
)
_HAS_CHILDREN = Stmt(
    sqlite="SELECT 1 FROM mailbox WHERE inbox_id = :inbox AND name > :prefix AND name < :after LIMIT 1",
    postgresql="SELECT 1 FROM mailbox WHERE inbox_id = :inbox AND substr(name, 1, CAST(:length AS integer)) = :prefix"
    " LIMIT 1",
)


def mailboxes(rx: Rx, inbox_id: InboxId, *, counters: bool = False, deleted: bool = False) -> list[Listed]:
    """All mailboxes of an inbox and the names that only hold some, in no order."""
    statement = _COUNTED_ALL if deleted else _COUNTED if counters else _BARE
    return list(map(Listed._make, rx.all(statement, inbox=inbox_id)))


def mailbox(rx: Rx, inbox_id: InboxId, name: str, *, deleted: bool = False) -> Listed | None:
    """One of them with its counters, by its name."""
    if not storable(name):
        return None
    row: tuple[Any, ...] | None = rx.one(_ONE, inbox=inbox_id, name=canonical(name))
    if row is None:
        return None
    found = Listed._make(row)
    if not deleted:
        return found
    messages, octets = rx.all(_ONE_DELETED, inbox=inbox_id, mailbox=found.id)[0]
    return found._replace(deleted=messages, deleted_octets=octets)


def with_children(rx: Rx, inbox_id: InboxId, name: str) -> tuple[Listed, bool] | None:
    """A mailbox, and whether there are mailboxes below it."""
    found = mailbox(rx, inbox_id, name)
    return None if found is None else (found, has_children(rx, inbox_id, found.name))


def has_children(rx: Rx, inbox_id: InboxId, name: str) -> bool:
    """Whether a name begins with `name` and the delimiter. On SQLite by the index: its texts compare as octets."""
    prefix = name + DELIMITER
    after = name + chr(ord(DELIMITER) + 1)
    return rx.one(_HAS_CHILDREN, inbox=inbox_id, prefix=prefix, length=len(prefix), after=after) is not None
