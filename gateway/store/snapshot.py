"""A copy of an SQLite store beside a running one, its verification, and what a restored copy must change in itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.model.errors import InvalidRequest, Unavailable
from gateway.model.ids import InboxId

from . import driver, queue_admin, sqlite
from .db import Tx
from .inboxes import new_epoch
from .queue_admin import HeldRecipient
from .statements import Stmt

_INBOXES = Stmt("SELECT id FROM inbox ORDER BY id")
_LAST = Stmt(
    "SELECT CASE WHEN last_uidvalidity >= :now THEN last_uidvalidity + 1 ELSE :now END FROM inbox WHERE id = :inbox"
)
_UIDVALIDITY = Stmt(
    "UPDATE mailbox SET uidvalidity = :first + (SELECT count(*) FROM mailbox o"
    " WHERE o.inbox_id = mailbox.inbox_id AND o.id < mailbox.id) WHERE inbox_id = :inbox"
)
_INBOX = Stmt(
    "UPDATE inbox SET epoch = :epoch, last_uidvalidity ="
    " (SELECT coalesce(max(uidvalidity), :first) FROM mailbox WHERE inbox_id = :inbox) WHERE id = :inbox"
)
_RESTORED = Stmt(
    "INSERT INTO meta (key, value) VALUES ('restored_at', :value)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a copy holds, for a manifest."""

    revision: str | None
    inboxes: int
    messages: int


def copy_sqlite(source: Path, target: Path) -> None:
    """Write a whole, compact copy of the store to `target`, which must not exist. Blocking.

    One read transaction of VACUUM INTO: writers go on meanwhile, and the copy holds everything that was acknowledged
    before it began. (The stepwise online backup starts again at each write of another connection.)
    Raises Unavailable when the disk is full or the store cannot be read.
    """
    error_type = driver.load().Error
    connection = sqlite.connect(source, reading=True)
    try:
        connection.execute("PRAGMA query_only=OFF")  # it refuses VACUUM INTO too, which does not write to the store
        connection.execute("VACUUM INTO ?", (str(target),))
    except error_type as error:
        raise Unavailable(f"The store could not be copied to {target}: is the disk full?") from error
    finally:
        connection.close()


def verify_sqlite(path: Path) -> Contents:
    """Check a copy's structure page by page. InvalidRequest when it is no sound store. Blocking."""
    module = driver.load()
    connection: Any = None
    try:
        connection = module.connect(f"file:{_quoted(path)}?mode=ro&immutable=1", uri=True)
        problems = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
        if problems != ["ok"]:
            raise InvalidRequest(f"{path} is damaged: {problems[0]}")
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise InvalidRequest(f"{path} is damaged: a row of {broken[0]} refers to nothing")
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        inboxes, messages = connection.execute(
            "SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM message)"
        ).fetchone()
        return Contents(None if revision is None else revision[0], inboxes, messages)
    except module.DatabaseError as error:
        raise InvalidRequest(f"{path} is no store of this gateway") from error
    finally:
        if connection is not None:
            connection.close()


def mark_restored(tx: Tx, now: int) -> list[HeldRecipient]:
    """Make a store that was copied earlier fit to serve again, in one unit.

    UIDs and MODSEQs given out since the copy was made would be given again for other messages: so each mailbox gets a
    new UIDVALIDITY and each inbox a new epoch. What the copy calls open may have been delivered since: all of it is
    held, leases end, and the held recipients are returned for a person to decide.
    """
    for (number,) in tx.all(_INBOXES):
        inbox_id = InboxId(number)
        first = tx.scalar(_LAST, inbox=inbox_id, now=now)
        tx.run(_UIDVALIDITY, inbox=inbox_id, first=first)
        tx.run(_INBOX, inbox=inbox_id, first=first, epoch=new_epoch())
    tx.run(_RESTORED, value=str(now))
    return queue_admin.hold_everything(tx, now)


def _quoted(path: Path) -> str:
    """A path inside an SQLite URI."""
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
