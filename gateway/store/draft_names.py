"""Drafts by the name that programs know them under: a draft that is edited is another message (RFC 8474), with another
EMAILID, and its name stays that of the first. A draft without a row here is called by its EMAILID.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.errors import LimitReached
from gateway.model.flags import ANSWERED
from gateway.model.ids import InboxId

from .db import Rx, Tx
from .flags import store_flags
from .same_message import places
from .statements import Stmt
from .texts import storable

FORWARDED: Final = "$Forwarded"

_COLUMNS: Final = "name, email_id, client_id, original, forwards, created_at"
_BY_NAME = Stmt(f"SELECT {_COLUMNS} FROM draft_name WHERE inbox_id = :inbox AND name = :name")
_BY_CLIENT = Stmt(f"SELECT {_COLUMNS} FROM draft_name WHERE inbox_id = :inbox AND client_id = :client")
_OF_EMAILS = Stmt(f"SELECT {_COLUMNS} FROM draft_name WHERE inbox_id = :inbox AND email_id IN :TEXTS(emails)")
_INSERT = Stmt(
    "INSERT INTO draft_name (inbox_id, name, email_id, client_id, original, forwards, created_at)"
    " VALUES (:inbox, :name, :email, :client, :original, :forwards, :created)"
    " ON CONFLICT (inbox_id, name) DO UPDATE SET email_id = excluded.email_id"
)
_REMOVE = Stmt("DELETE FROM draft_name WHERE inbox_id = :inbox AND name = :name")
_GONE: Final = "NOT EXISTS (SELECT 1 FROM message m WHERE m.inbox_id = d.inbox_id AND m.email_id = d.email_id)"
_OUTLIVED = Stmt(f"SELECT d.inbox_id, d.name FROM draft_name AS d WHERE {_GONE} LIMIT :most")
_FORGET = Stmt(f"DELETE FROM draft_name AS d WHERE d.inbox_id = :inbox AND d.name = :name AND {_GONE}")


@dataclass(frozen=True, slots=True)
class DraftName:
    """`email_id`: of the message that it is now. `original`: EMAILID of what it answers, or `forwards`."""

    name: str
    email_id: str
    client_id: str | None = None
    original: str | None = None
    forwards: bool = False
    created_at: int = 0


def by_name(rx: Rx, inbox_id: InboxId, name: str) -> DraftName | None:
    return _named(rx.one(_BY_NAME, inbox=inbox_id, name=name)) if storable(name) else None


def by_client(rx: Rx, inbox_id: InboxId, client_id: str) -> DraftName | None:
    return _named(rx.one(_BY_CLIENT, inbox=inbox_id, client=client_id)) if storable(client_id) else None


def of_emails(rx: Rx, inbox_id: InboxId, email_ids: Sequence[str]) -> dict[str, DraftName]:
    """EMAILID -> its name, where it has one."""
    rows = rx.all(_OF_EMAILS, inbox=inbox_id, emails=list(email_ids))
    return {row[1]: _name(row) for row in rows}


def keep(tx: Tx, inbox_id: InboxId, made: DraftName) -> None:
    """A new name, or the present message of one that there is. The unit holds the inbox's lock, so that the caller may
    have looked whether its `client_id` is taken.
    """
    tx.run(
        _INSERT, inbox=inbox_id, name=made.name, email=made.email_id, client=made.client_id, original=made.original,
        forwards=int(made.forwards), created=made.created_at,
    )  # fmt: skip


def remove(tx: Tx, inbox_id: InboxId, name: str) -> None:
    tx.run(_REMOVE, inbox=inbox_id, name=name)


def sent(tx: Tx, inbox_id: InboxId, email_id: str) -> None:
    """The draft that is this message goes out, whoever sends it: what it answers is \\Answered, what it forwards
    $Forwarded, wherever it lies, and its name is free. A mailbox may have no room for a keyword more.
    """
    known = of_emails(tx, inbox_id, [email_id]).get(email_id)
    if known is None:
        return
    if known.original is not None:
        for place in places(tx, inbox_id, [known.original]):
            with suppress(LimitReached):
                if known.forwards:
                    store_flags(tx, inbox_id, place.mailbox_id, [place.uid], "add", 0, (FORWARDED,))
                else:
                    store_flags(tx, inbox_id, place.mailbox_id, [place.uid], "add", ANSWERED)
    remove(tx, inbox_id, known.name)


def outlived(rx: Rx, limit: int) -> list[tuple[InboxId, str]]:
    """Names whose message is gone, whoever removed it, with their inboxes: all names are looked through."""
    return [(InboxId(row[0]), row[1]) for row in rx.all(_OUTLIVED, most=limit)]


def forget(tx: Tx, names: Sequence[tuple[InboxId, str]]) -> int:
    """Remove those that `outlived` found and that are still so; how many."""
    return sum(tx.run(_FORGET, inbox=inbox_id, name=name) for inbox_id, name in names)


def _named(row: tuple[Any, ...] | None) -> DraftName | None:
    return None if row is None else _name(row)


def _name(row: tuple[Any, ...]) -> DraftName:
    name, email_id, client_id, original, forwards, created_at = row
    return DraftName(name, email_id, client_id, original, bool(forwards), created_at)
