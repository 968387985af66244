"""Mailboxes: the tree of names of an inbox, their birth, renaming and end, and subscriptions.

Kept here: each ancestor of a mailbox exists (real, or \\Noselect after a DELETE), UIDVALIDITY is unique in the inbox
for ever, a MAILBOXID stays through RENAME and is never given twice (RFC 8474 4.1), and each change draws one MODSEQ
of the inbox and leaves a row in `change`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.model.errors import (
    AlreadyExists,
    CannotChange,
    HasChildren,
    InvalidName,
    LimitReached,
    NotFound,
    RoleTaken,
)
from gateway.model.ids import InboxId, MailboxId, ModSeq, object_id
from gateway.model.mailbox import DELIMITER, DRAFTS, INBOX, MAX_DEPTH, MAX_NAME_OCTETS, USUAL_NAMES, Mailbox
from gateway.model.names import canonical, parents, validate
from gateway.model.sequence import from_numbers

from . import changes, counters, entries, event_log, holds, quota
from .changes import ChangeKind
from .db import Rx, Tx
from .listing import MAX_MAILBOXES, has_children
from .statements import Stmt
from .texts import storable

MAX_SUBSCRIPTIONS: Final = 20_000  # an inbox: names that no longer exist count too
ROLE_BY_NAME: Final[Mapping[str, str]] = {
    **{name: role for role, name in USUAL_NAMES.items()},
    "Archive": "\\Archive",
}
"""A mailbox created under such a name gets the role (RFC 6154) if no other mailbox has it."""

_COLUMNS: Final = (
    "m.id, m.inbox_id, m.name, m.role, m.object_id, m.uidvalidity, m.uidnext, m.highest_modseq, m.messages, m.unseen,"
    " m.octets, m.noselect, CASE WHEN s.name IS NULL THEN 0 ELSE 1 END"
)
_FROM: Final = "FROM mailbox m LEFT JOIN subscription s ON s.inbox_id = m.inbox_id AND s.name = m.name"
_LIST = Stmt(f"SELECT {_COLUMNS} {_FROM} WHERE m.inbox_id = :inbox ORDER BY m.name")
_BY_NAME = Stmt(f"SELECT {_COLUMNS} {_FROM} WHERE m.inbox_id = :inbox AND m.name = :name")
_BY_ID = Stmt(f"SELECT {_COLUMNS} {_FROM} WHERE m.inbox_id = :inbox AND m.id = :mailbox")
_BY_ROLE = Stmt(f"SELECT {_COLUMNS} {_FROM} WHERE m.inbox_id = :inbox AND m.role = :role ORDER BY m.id")
_KEYWORDS = Stmt("SELECT bit, name FROM keyword WHERE mailbox_id = :mailbox")
_COUNT = Stmt("SELECT count(*) FROM mailbox WHERE inbox_id = :inbox")
_INSERT = Stmt(
    "INSERT INTO mailbox (inbox_id, name, role, object_id, uidvalidity, highest_modseq, noselect, created_at)"
    " VALUES (:inbox, :name, :role, :object, :uidvalidity, :modseq, :noselect, :now) RETURNING id"
)
_REVIVE = Stmt(
    "UPDATE mailbox SET noselect = 0, role = :role, uidvalidity = :uidvalidity, highest_modseq = :modseq, created_at ="
    " :now"
    " WHERE id = :mailbox"
)
_SET_ROLE = Stmt("UPDATE mailbox SET role = :role WHERE id = :mailbox")
_ROLE_TAKEN = Stmt("SELECT 1 FROM mailbox WHERE inbox_id = :inbox AND role = :role")

# One statement each whatever the number of messages; what goes is handed to the janitor by reference.
_GARBAGE: Final = (
    "INSERT INTO garbage (content_id, at) SELECT DISTINCT content_id, CAST(:now AS bigint) FROM {table}"
    " WHERE mailbox_id = :mailbox ON CONFLICT DO NOTHING"
)
_END: Final = (
    Stmt(_GARBAGE.format(table="message")),
    Stmt(_GARBAGE.format(table="expunged")),
    Stmt("DELETE FROM message WHERE mailbox_id = :mailbox"),
    Stmt("DELETE FROM message_flags WHERE mailbox_id = :mailbox"),
    Stmt("DELETE FROM expunged WHERE mailbox_id = :mailbox"),
    Stmt("DELETE FROM keyword WHERE mailbox_id = :mailbox"),
    Stmt("DELETE FROM sent_mark WHERE inbox_id = :inbox AND mailbox_id = :mailbox"),
    Stmt("DELETE FROM change WHERE inbox_id = :inbox AND mailbox_id = :mailbox"),
    Stmt("DELETE FROM annotation WHERE inbox_id = :inbox AND mailbox_id = :mailbox"),
    Stmt("DELETE FROM url_key WHERE inbox_id = :inbox AND mailbox_id = :mailbox"),
    Stmt("DELETE FROM mailbox WHERE id = :mailbox"),
)

_TREE: Final = "inbox_id = :inbox AND (name = :old OR substr(name, 1, CAST(:length AS integer)) = :prefix)"
_TREE_NAMES = Stmt(f"SELECT id, name FROM mailbox WHERE {_TREE}")
_RENAME_TREE = Stmt(
    f"UPDATE mailbox SET name = CAST(:new AS text) || substr(name, CAST(:length AS integer)) WHERE {_TREE}"
)

_UIDS = Stmt("SELECT uid FROM message WHERE mailbox_id = :mailbox ORDER BY uid")
_COPY_KEYWORDS = Stmt(
    "INSERT INTO keyword (mailbox_id, bit, name, folded)"
    " SELECT CAST(:to AS bigint), bit, name, folded FROM keyword WHERE mailbox_id = :mailbox"
)
_COPY_MESSAGES = Stmt(
    "INSERT INTO message (mailbox_id, uid, inbox_id, content_id, internal_date, save_date, size, email_id, thread_id,"
    " arrived, came)"
    " SELECT CAST(:to AS bigint), row_number() OVER (ORDER BY uid), inbox_id, content_id, internal_date,"
    " CAST(:now AS bigint), size, email_id, thread_id, CAST(:modseq AS bigint), 2 FROM message"
    " WHERE mailbox_id = :mailbox"
)
_COPY_FLAGS = Stmt(
    "INSERT INTO message_flags (mailbox_id, uid, flags, modseq) SELECT CAST(:to AS bigint),"
    " row_number() OVER (ORDER BY uid), flags, CAST(:modseq AS bigint) FROM message_flags WHERE mailbox_id = :mailbox"
)
_KEEP_EXPUNGED = Stmt(
    "INSERT INTO expunged (mailbox_id, uid, content_id, at, size, internal_date, save_date, email_id, thread_id,"
    " arrived, came)"
    " SELECT mailbox_id, uid, content_id, CAST(:now AS bigint), size, internal_date, save_date, email_id, thread_id,"
    " arrived, came FROM message WHERE mailbox_id = :mailbox"
)
_DELETE_MESSAGES = Stmt("DELETE FROM message WHERE mailbox_id = :mailbox")
_DELETE_FLAGS = Stmt("DELETE FROM message_flags WHERE mailbox_id = :mailbox")
_SET_UIDNEXT = Stmt("UPDATE mailbox SET uidnext = :uidnext WHERE id = :mailbox")

_SUBSCRIPTIONS = Stmt("SELECT name FROM subscription WHERE inbox_id = :inbox ORDER BY name")
_SUBSCRIPTION_COUNT = Stmt("SELECT count(*) FROM subscription WHERE inbox_id = :inbox")
_SUBSCRIBE = Stmt("INSERT INTO subscription (inbox_id, name) VALUES (:inbox, :name) ON CONFLICT DO NOTHING")
_UNSUBSCRIBE = Stmt("DELETE FROM subscription WHERE inbox_id = :inbox AND name = :name")


def list_mailboxes(rx: Rx, inbox_id: InboxId) -> list[Mailbox]:
    """All, \\Noselect names too, in the database's order of names."""
    return [_mailbox(row) for row in rx.all(_LIST, inbox=inbox_id)]


def by_name(rx: Rx, inbox_id: InboxId, name: str) -> Mailbox | None:
    if not storable(name):
        return None
    row = rx.one(_BY_NAME, inbox=inbox_id, name=canonical(name))
    return None if row is None else _mailbox(row)


def by_id(rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId) -> Mailbox | None:
    row = rx.one(_BY_ID, inbox=inbox_id, mailbox=mailbox_id)
    return None if row is None else _mailbox(row)


def by_role(rx: Rx, inbox_id: InboxId, role: str) -> Mailbox | None:
    """`role` is a special-use attribute (RFC 6154), `\\Sent`."""
    row = rx.one(_BY_ROLE, inbox=inbox_id, role=role)
    return None if row is None else _mailbox(row)


def keywords(rx: Rx, mailbox_id: MailboxId) -> dict[int, str]:
    """bit number -> keyword in its first spelling."""
    return dict(rx.all(_KEYWORDS, mailbox=mailbox_id))


def create(tx: Tx, inbox_id: InboxId, name: str, *, now: int, role: str | None = None) -> Mailbox:
    """Make a mailbox, and real mailboxes of its missing parents (RFC 3501 6.3.3); a \\Noselect name becomes real.

    Raises InvalidName, AlreadyExists, RoleTaken, LimitReached, OverQuota.
    """
    name = validate(name)
    counters.lock(tx, inbox_id)
    present = by_name(tx, inbox_id, name)
    if present is not None and not present.noselect:
        raise AlreadyExists("There is a mailbox of that name already")
    if role is not None and tx.one(_ROLE_TAKEN, inbox=inbox_id, role=role) is not None:
        raise RoleTaken("There is a mailbox with that role already")
    modseq = counters.draw(tx, inbox_id)
    _make_parents(tx, inbox_id, name, modseq=modseq, now=now)
    role = role or _free_role(tx, inbox_id, name)
    if present is None:
        mailbox_id = insert(tx, inbox_id, name, modseq=modseq, now=now, role=role)
    else:
        # Nobody can have selected it, so its row and MAILBOXID may serve again; the UIDVALIDITY may not.
        mailbox_id = present.id
        quota.count_mailbox(tx, inbox_id, 1)
        uidvalidity = counters.draw_uidvalidity(tx, inbox_id, now)
        tx.run(_REVIVE, mailbox=mailbox_id, role=role, uidvalidity=uidvalidity, modseq=modseq, now=now)
        changes.record(tx, inbox_id, modseq, ChangeKind.CREATED, mailbox_id=mailbox_id)
        tx.wake(inbox_id, mailbox_id)
    return _present(tx, inbox_id, mailbox_id)


def delete(tx: Tx, inbox_id: InboxId, name: str, *, now: int) -> None:
    """Remove a mailbox and its messages; a name with children stays as \\Noselect (RFC 3501 6.3.4).

    Raises NotFound, CannotChange (INBOX), HasChildren (only a name for its children already). The subscription stays.
    """
    counters.lock(tx, inbox_id)
    mailbox = by_name(tx, inbox_id, name)
    if mailbox is None:
        raise NotFound("There is no mailbox of that name")
    if mailbox.name == INBOX:
        raise CannotChange("INBOX cannot be deleted")
    children = has_children(tx, inbox_id, mailbox.name)
    if children and mailbox.noselect:
        raise HasChildren("The mailbox has children: delete them first")
    modseq = counters.peek(tx, inbox_id)
    counters.apply(tx, inbox_id, modseq, messages=-mailbox.messages, octets=-mailbox.octets)
    if not mailbox.noselect:
        quota.count_mailbox(tx, inbox_id, -1)
    for statement in _END:
        tx.run(statement, inbox=inbox_id, mailbox=mailbox.id, now=now)
    if mailbox.role == DRAFTS:
        holds.mailbox_gone(tx, inbox_id, now)
    if children:
        # A row of its own: sessions that still have the old one selected find it gone, whatever becomes of the name.
        _insert_row(tx, inbox_id, mailbox.name, modseq=modseq, now=now, role=None, noselect=True)
    detail = event_log.gone(mailbox.object_id, mailbox.name)
    changes.record(tx, inbox_id, modseq, ChangeKind.DELETED, mailbox_id=mailbox.id, detail=detail)
    tx.wake(inbox_id, mailbox.id)


def rename(tx: Tx, inbox_id: InboxId, old: str, new: str, *, now: int) -> None:
    """Give a mailbox and all below it another name; missing parents of the new one are made (RFC 3501 6.3.5).

    INBOX stays: its messages move into a new mailbox, under new UIDs, and its children are not touched. MAILBOXID,
    UIDVALIDITY and role go with a renamed mailbox, subscriptions don't. Raises NotFound, AlreadyExists, InvalidName
    (also for a child whose name would get too long), CannotChange (into its own child), LimitReached, OverQuota.
    """
    old, new = canonical(old), validate(new)
    counters.lock(tx, inbox_id)
    mailbox = by_name(tx, inbox_id, old)
    if mailbox is None:
        raise NotFound("There is no mailbox of that name")
    if by_name(tx, inbox_id, new) is not None:
        raise AlreadyExists("There is a mailbox of the new name already")
    if mailbox.name == INBOX:
        _move_inbox(tx, mailbox, new, now=now)
        return
    if new.startswith(old + DELIMITER):
        raise CannotChange("A mailbox cannot be moved below itself")
    tree: dict[str, Any] = {"inbox": inbox_id, "old": old, "prefix": old + DELIMITER, "length": len(old) + 1}
    rows = tx.all(_TREE_NAMES, **tree)
    for _, name in rows:
        _check_length(new + name[len(old) :])
    modseq = counters.draw(tx, inbox_id)
    _make_parents(tx, inbox_id, new, modseq=modseq, now=now)
    tx.run(_RENAME_TREE, new=new, **tree)
    for mailbox_id, name in rows:
        detail = event_log.renamed(name, new + name[len(old) :])
        changes.record(tx, inbox_id, modseq, ChangeKind.RENAMED, mailbox_id=mailbox_id, detail=detail)
        tx.wake(inbox_id, mailbox_id)


def set_role(tx: Tx, inbox_id: InboxId, name: str, role: str | None) -> tuple[ModSeq | None, Mailbox | None]:
    """Give a mailbox a special use, which another one may lose by that, or take it away (RFC 6154 4).

    The unit's MODSEQ, None when nothing changed, and the mailbox that lost the use. NotFound, CannotChange (a name
    that only holds other mailboxes).
    """
    counters.lock(tx, inbox_id)
    mailbox = by_name(tx, inbox_id, name)
    if mailbox is None:
        raise NotFound("There is no mailbox of that name")
    if mailbox.noselect:
        raise CannotChange("This name only holds other mailboxes")
    if mailbox.role == role:
        return None, None
    modseq = counters.draw(tx, inbox_id)
    before = by_role(tx, inbox_id, role) if role is not None else None
    for changed, value in ((before, None), (mailbox, role)):
        if changed is not None:
            tx.run(_SET_ROLE, mailbox=changed.id, role=value)
            counters.apply_mailbox(tx, changed.id, modseq)  # as each change of an entry does
            entries.note(tx, inbox_id, changed.id, entries.SPECIAL_USE, None, modseq)  # the value is the role
    return modseq, before


def subscribe(tx: Tx, inbox_id: InboxId, name: str) -> bool:
    """False when it was subscribed already. The mailbox need not exist (RFC 3501 6.3.6). InvalidName, LimitReached."""
    name = validate(name)
    counters.lock(tx, inbox_id)
    if tx.scalar(_SUBSCRIPTION_COUNT, inbox=inbox_id) >= MAX_SUBSCRIPTIONS:
        raise LimitReached(f"An inbox may have {MAX_SUBSCRIPTIONS} subscriptions at most")
    if tx.run(_SUBSCRIBE, inbox=inbox_id, name=name) == 0:
        return False
    _record_subscription(tx, inbox_id, name, ChangeKind.SUBSCRIBED)
    return True


def unsubscribe(tx: Tx, inbox_id: InboxId, name: str) -> bool:
    """False when it was not subscribed."""
    counters.lock(tx, inbox_id)
    name = canonical(name).removesuffix(DELIMITER)
    if not storable(name) or tx.run(_UNSUBSCRIBE, inbox=inbox_id, name=name) == 0:
        return False
    _record_subscription(tx, inbox_id, name, ChangeKind.UNSUBSCRIBED)
    return True


def subscriptions(rx: Rx, inbox_id: InboxId) -> list[str]:
    """Subscribed names, also of mailboxes that are gone."""
    return [row[0] for row in rx.all(_SUBSCRIPTIONS, inbox=inbox_id)]


def insert(tx: Tx, inbox_id: InboxId, name: str, *, modseq: ModSeq, now: int, role: str | None = None) -> MailboxId:
    """A new real mailbox under a valid, free name whose parents exist, as part of a unit that drew `modseq`."""
    quota.count_mailbox(tx, inbox_id, 1)
    mailbox_id = _insert_row(tx, inbox_id, name, modseq=modseq, now=now, role=role, noselect=False)
    changes.record(tx, inbox_id, modseq, ChangeKind.CREATED, mailbox_id=mailbox_id)
    tx.wake(inbox_id, mailbox_id)
    return mailbox_id


def _insert_row(
    tx: Tx, inbox_id: InboxId, name: str, *, modseq: ModSeq, now: int, role: str | None, noselect: bool
) -> MailboxId:
    if tx.scalar(_COUNT, inbox=inbox_id) >= MAX_MAILBOXES:
        raise LimitReached(f"An inbox may have {MAX_MAILBOXES} mailboxes at most")
    number = tx.scalar(
        _INSERT,
        inbox=inbox_id,
        name=name,
        role=role,
        object=object_id("F"),
        uidvalidity=counters.draw_uidvalidity(tx, inbox_id, now),
        modseq=modseq,
        noselect=int(noselect),
        now=now,
    )
    return MailboxId(number)


def _make_parents(tx: Tx, inbox_id: InboxId, name: str, *, modseq: ModSeq, now: int) -> None:
    """RFC 3501 6.3.3: missing superior names become mailboxes one can select; \\Noselect ones stay so."""
    for parent in parents(name):
        if by_name(tx, inbox_id, parent) is None:
            insert(tx, inbox_id, parent, modseq=modseq, now=now, role=_free_role(tx, inbox_id, parent))


def _free_role(tx: Tx, inbox_id: InboxId, name: str) -> str | None:
    role = ROLE_BY_NAME.get(name)
    if role is None or tx.one(_ROLE_TAKEN, inbox=inbox_id, role=role) is not None:
        return None
    return role


def _move_inbox(tx: Tx, inbox: Mailbox, new: str, *, now: int) -> None:
    """RENAME INBOX, one unit whatever its size: a crash leaves all messages on one side."""
    modseq = counters.draw(tx, inbox.inbox_id)
    _make_parents(tx, inbox.inbox_id, new, modseq=modseq, now=now)
    role = _free_role(tx, inbox.inbox_id, new)
    target = insert(tx, inbox.inbox_id, new, modseq=modseq, now=now, role=role)
    changes.record(tx, inbox.inbox_id, modseq, ChangeKind.RENAMED, mailbox_id=target)
    entries.copy(tx, inbox.inbox_id, inbox.id, target, modseq)
    uids = from_numbers(row[0] for row in tx.all(_UIDS, mailbox=inbox.id))
    if not uids:
        return
    tx.run(_COPY_KEYWORDS, mailbox=inbox.id, to=target)
    moved = tx.run(_COPY_MESSAGES, mailbox=inbox.id, to=target, now=now, modseq=modseq)
    tx.run(_COPY_FLAGS, mailbox=inbox.id, to=target, modseq=modseq)
    tx.run(_KEEP_EXPUNGED, mailbox=inbox.id, now=now)
    tx.run(_DELETE_MESSAGES, mailbox=inbox.id)
    tx.run(_DELETE_FLAGS, mailbox=inbox.id)
    tx.run(_SET_UIDNEXT, mailbox=target, uidnext=moved + 1)
    counts = {"messages": inbox.messages, "unseen": inbox.unseen, "octets": inbox.octets}
    counters.apply_mailbox(tx, target, modseq, **counts)
    counters.apply_mailbox(tx, inbox.id, modseq, **{name: -value for name, value in counts.items()})
    changes.record(tx, inbox.inbox_id, modseq, ChangeKind.EXPUNGED, mailbox_id=inbox.id, uids=uids)
    tx.wake(inbox.inbox_id, inbox.id)


def _check_length(name: str) -> None:
    if len(name.encode("utf-8")) > MAX_NAME_OCTETS or name.count(DELIMITER) >= MAX_DEPTH:
        raise InvalidName("The name of a mailbox below it would get too long")


def _record_subscription(tx: Tx, inbox_id: InboxId, name: str, kind: ChangeKind) -> None:
    mailbox = by_name(tx, inbox_id, name)
    modseq = counters.draw(tx, inbox_id)
    changes.record(tx, inbox_id, modseq, kind, mailbox_id=None if mailbox is None else mailbox.id)
    tx.wake(inbox_id, None if mailbox is None else mailbox.id)


def _present(rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId) -> Mailbox:
    mailbox = by_id(rx, inbox_id, mailbox_id)
    assert mailbox is not None  # made in this unit
    return mailbox


def _mailbox(row: tuple[Any, ...]) -> Mailbox:
    values = [*row[:11], bool(row[11]), bool(row[12])]
    return Mailbox(*values)
