"""A message by how its EMAILID begins: ids of other lengths that are made of it are looked up so, by the index."""

from __future__ import annotations

from typing import Final

from gateway.model.ids import InboxId

from .db import Rx
from .statements import Stmt

_AFTER_ALL: Final = "\uffff"
"""Sorts behind each digit of an EMAILID, whatever the collation."""
_FIND = Stmt(
    "SELECT email_id FROM message WHERE inbox_id = :inbox AND email_id >= :begins AND email_id < :ends"
    " AND substr(email_id, 1, CAST(:length AS integer)) = :begins LIMIT 1"
)


def email_id_of(rx: Rx, inbox_id: InboxId, begins: str) -> str | None:
    """The EMAILID in an inbox that begins so; None when there is none."""
    found = rx.scalar(_FIND, inbox=inbox_id, begins=begins, ends=begins + _AFTER_ALL, length=len(begins))
    return None if found is None else str(found)
