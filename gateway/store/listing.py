"""What LIST and STATUS read: all mailboxes of an inbox, or one, in one statement from one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, cast

from gateway.model.ids import InboxId, MailboxId
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


_LISTED: Final = cast("Callable[[tuple[Any, ...]], Listed]", partial(tuple.__new__, Listed))
"""What `Listed._make` does, without a call of Python for each of a thousand rows."""
MAX_MAILBOXES: Final = 10_000  # an inbox: what LIST still answers in one go

_NAMES: Final = "b.name, b.noselect, {subscribed}, b.role, b.id"
_COUNTERS: Final = "b.messages, b.unseen, b.uidnext, b.uidvalidity, b.octets, b.highest_modseq, b.object_id"
_SUBSCRIBED: Final = "CASE WHEN s.name IS NULL THEN 0 ELSE 1 END"
_SUBSCRIPTION: Final = " LEFT JOIN subscription s ON s.inbox_id = b.inbox_id AND s.name = b.name"
# The index on messages with \Deleted holds only those: adding them up costs what an EXPUNGE would. SQLite would rather
# walk whole mailboxes.
_DELETED_ROWS: Final = "message_flags f{index} WHERE f.flags & 8 <> 0"
_DELETED_SUMS: Final = (
    "count(*){messages}, CAST(coalesce(sum("
    "(SELECT m.size FROM message m WHERE m.mailbox_id = f.mailbox_id AND m.uid = f.uid)), 0) AS bigint){octets}"
)
_SQLITE_INDEX: Final = " INDEXED BY ix_message_flags_deleted"
_DELETED: Final = (
    " LEFT JOIN (SELECT f.mailbox_id AS mailbox_id,"
    f" {_DELETED_SUMS.format(messages=' AS messages', octets=' AS octets')}"
    f" FROM mailbox o CROSS JOIN {_DELETED_ROWS} AND o.inbox_id = :inbox AND f.mailbox_id = o.id"
    " GROUP BY f.mailbox_id) d ON d.mailbox_id = b.id"
)
_SUMS: Final = "coalesce(d.messages, 0), coalesce(d.octets, 0)"


def _by_index(text: str) -> Stmt:
    """{index} is where SQLite is told to take the one on \\Deleted."""
    return Stmt(sqlite=text.replace("{index}", _SQLITE_INDEX), postgresql=text.replace("{index}", ""))


def _statement(*, subscribed: bool, counters: bool, deleted: bool, where: str) -> Stmt:
    columns = ", ".join(
        (
            _NAMES.format(subscribed=_SUBSCRIBED if subscribed else "0"),
            _COUNTERS if counters else "0, 0, 0, 0, 0, 0, ''",
            _SUMS if deleted else "0, 0",
        )
    )
    joins = _SUBSCRIPTION * subscribed + _DELETED * deleted
    return _by_index(f"SELECT {columns} FROM mailbox b{joins} WHERE b.inbox_id = :inbox {where}")


_ALL: Final = {
    (subscribed, counters, deleted): _statement(
        subscribed=subscribed, counters=counters, deleted=deleted, where="LIMIT :most"
    )
    for subscribed in (False, True)
    for counters, deleted in ((False, False), (True, False), (True, True))
}
_ONE: Final = {
    subscribed: _statement(subscribed=subscribed, counters=True, deleted=False, where="AND b.name = :name")
    for subscribed in (False, True)
}
_OF_OBJECT = _statement(subscribed=True, counters=True, deleted=False, where="AND b.object_id = :object")
_ONE_DELETED = _by_index(
    f"SELECT {_DELETED_SUMS.format(messages='', octets='')} FROM {_DELETED_ROWS} AND f.mailbox_id = :mailbox"
)
_SOME = Stmt(
    f"SELECT {_NAMES.format(subscribed=_SUBSCRIBED)}, {_COUNTERS}, 0, 0 FROM mailbox b{_SUBSCRIPTION}"
    " WHERE b.inbox_id = :inbox AND b.id IN :LIST(mailboxes)"
)
_HOLDING: Final = {
    unseen: Stmt(
        "SELECT b.id, b.role FROM mailbox b WHERE b.inbox_id = :inbox AND b.noselect = 0"
        f" AND b.{'unseen' if unseen else 'messages'} > 0"
    )
    for unseen in (False, True)
}
_TREE_VERSION = Stmt("SELECT tree_modseq FROM inbox WHERE id = :inbox")
_HAS_CHILDREN = Stmt(
    sqlite="SELECT 1 FROM mailbox WHERE inbox_id = :inbox AND name > :prefix AND name < :after LIMIT 1",
    postgresql="SELECT 1 FROM mailbox WHERE inbox_id = :inbox AND substr(name, 1, CAST(:length AS integer)) = :prefix"
    " LIMIT 1",
)


def mailboxes(
    rx: Rx,
    inbox_id: InboxId,
    *,
    subscribed: bool = False,
    counters: bool = False,
    deleted: bool = False,
    most: int = MAX_MAILBOXES,
) -> list[Listed]:
    """Mailboxes of an inbox and the names that only hold some, in no order; `most` of them.

    What is not asked for is 0 or empty: `subscribed`, the `counters`, and among them those of what is `deleted`.
    """
    return list(map(_LISTED, rx.all(_ALL[subscribed, counters or deleted, deleted], inbox=inbox_id, most=most)))


def some(rx: Rx, inbox_id: InboxId, ids: Sequence[int]) -> list[Listed]:
    """Those of the mailboxes that are there, with their counters and whether they are subscribed, in no order."""
    return list(map(_LISTED, rx.all(_SOME, inbox=inbox_id, mailboxes=list(ids))))


def holding(rx: Rx, inbox_id: InboxId, *, unseen: bool = False) -> list[tuple[MailboxId, str | None]]:
    """Mailboxes of an inbox that hold messages, or `unseen` ones, with their roles, in no order: no more is read of
    them, for an inbox may have thousands."""
    return [(MailboxId(row[0]), row[1]) for row in rx.all(_HOLDING[unseen], inbox=inbox_id)]


def tree_version(rx: Rx, inbox_id: InboxId) -> int:
    """Another one whenever names, subscriptions or special uses have changed."""
    version: int | None = rx.scalar(_TREE_VERSION, inbox=inbox_id)
    return version or 0


def mailbox(
    rx: Rx, inbox_id: InboxId, name: str, *, subscribed: bool = False, deleted: bool = False
) -> Listed | None:
    """One of them with its counters, by its canonical name (`model.names.canonical`)."""
    if not storable(name):
        return None
    row: tuple[Any, ...] | None = rx.one(_ONE[subscribed], inbox=inbox_id, name=name)
    if row is None:
        return None
    found = _LISTED(row)
    if not deleted:
        return found
    messages, octets = rx.all(_ONE_DELETED, mailbox=found.id)[0]
    return found._replace(deleted=messages, deleted_octets=octets)


def referred(rx: Rx, inbox_id: InboxId, reference: str) -> Listed | None:
    """The mailbox of an object id, else that of a name, with its counters. A name is looked up in any spelling."""
    if not storable(reference):
        return None
    row = rx.one(_OF_OBJECT, inbox=inbox_id, object=reference) if reference.startswith("F") else None
    return mailbox(rx, inbox_id, canonical(reference), subscribed=True) if row is None else _LISTED(row)


def with_children(rx: Rx, inbox_id: InboxId, name: str) -> tuple[Listed, bool] | None:
    """A mailbox, and whether there are mailboxes below it."""
    found = mailbox(rx, inbox_id, name, subscribed=True)
    return None if found is None else (found, has_children(rx, inbox_id, found.name))


def has_children(rx: Rx, inbox_id: InboxId, name: str) -> bool:
    """Whether a name begins with `name` and the delimiter. On SQLite by the index: its texts compare as octets."""
    prefix = name + DELIMITER
    after = name + chr(ord(DELIMITER) + 1)
    return rx.one(_HAS_CHILDREN, inbox=inbox_id, prefix=prefix, length=len(prefix), after=after) is not None
