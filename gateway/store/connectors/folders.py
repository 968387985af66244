"""Folders of an account: what discovery saw, how far each one's sync has come, and its local mailbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import MailboxId
from gateway.store.db import Rx, Tx
from gateway.store.statements import Stmt
from gateway.store.texts import made_storable

from . import lease
from .rows import FOLDER, Claim, ConnectorId, FolderId, RemoteFolder, bounded, folder, key_out

MAX_RAW: Final = 1_000
"""Octets of a folder's name upstream: what is longer is left out, for no index takes it."""
MAX_FOLDERS: Final = 10_000
GONE_AFTER: Final = 2
"""A folder that LIST left out so many times is gone. Its local mail stays."""

_OF_CONNECTOR = Stmt(f"{FOLDER} WHERE f.connector_id = :connector ORDER BY f.id")
_ONE = Stmt(f"{FOLDER} WHERE f.id = :folder AND f.connector_id = :connector")
_SEEN = Stmt(
    "INSERT INTO remote_folder (connector_id, raw, name, delimiter, role, remote_id, selectable, created_at,"
    " updated_at) VALUES (:connector, :raw, :name, :delimiter, :role, :remote_id, :selectable, :now, :now)"
    " ON CONFLICT (connector_id, raw) DO UPDATE SET name = :name, delimiter = :delimiter, role = :role,"
    " remote_id = coalesce(:remote_id, remote_folder.remote_id), selectable = :selectable, missing = 0, gone = 0,"
    " updated_at = :now"
)
_MISSING = Stmt(
    "UPDATE remote_folder SET missing = missing + 1, updated_at = :now,"
    f" gone = CASE WHEN missing + 1 >= {GONE_AFTER} THEN 1 ELSE gone END WHERE id IN :LIST(folders) AND gone = 0"
)
_LINK = Stmt(
    "UPDATE remote_folder SET mailbox_id = :mailbox, pushed_modseq = :modseq, updated_at = :now WHERE id = :folder"
)
_MAILBOX = Stmt("SELECT 1 FROM mailbox WHERE id = :mailbox AND inbox_id = :inbox AND noselect = 0")
_MODSEQ = Stmt("SELECT modseq FROM inbox WHERE id = :inbox")
_RENAME = Stmt("UPDATE remote_folder SET raw = :raw, name = :name, updated_at = :now WHERE id = :folder")
_TAKEN = Stmt("SELECT id, gone FROM remote_folder WHERE connector_id = :connector AND raw = :raw")
_ASIDE = Stmt("UPDATE remote_folder SET raw = :raw, updated_at = :now WHERE id = :folder")
_SNAPSHOT = Stmt(
    "UPDATE remote_folder SET uidvalidity = :uidvalidity, uidnext = :uidnext, highest_modseq = :modseq,"
    " backfill_low = :uidnext, backfill_floor = :floor, phase = :phase, select_failures = 0, probe_at = NULL,"
    " updated_at = :now WHERE id = :folder AND uidvalidity IS NULL"
)
_FIELDS: Final = (
    "phase", "uidnext", "highest_modseq", "modseq_ok", "backfill_low", "backfill_floor", "last_full_scan_at",
    "synced_at", "select_failures", "probe_at", "labels", "capped", "resets", "role",
)  # fmt: skip
_SET: Final = {
    name: Stmt(f"UPDATE remote_folder SET {name} = :value, updated_at = :now WHERE id = :folder") for name in _FIELDS
}


@dataclass(frozen=True, slots=True)
class Discovered:
    """A line of LIST, with the role that the plan found for it."""

    raw: bytes
    name: str
    delimiter: str | None
    selectable: bool
    role: str | None = None
    remote_id: str | None = None


def of_connector(rx: Rx, connector_id: ConnectorId) -> list[RemoteFolder]:
    """All, those that are gone too, in the order in which they were first seen."""
    return [folder(row) for row in rx.all(_OF_CONNECTOR, connector=connector_id)]


def get(rx: Rx, connector_id: ConnectorId, folder_id: FolderId) -> RemoteFolder:
    """NotFound."""
    row = rx.one(_ONE, folder=folder_id, connector=connector_id)
    if row is None:
        raise NotFound("The connector has no such folder")
    return folder(row)


def discovered(tx: Tx, claim: Claim, listed: Sequence[Discovered], *, now: int) -> list[RemoteFolder]:
    """What LIST showed; all folders afterwards. Those it left out are missing, and gone after GONE_AFTER times.

    A LIST with nothing in it says nothing: servers send such during an outage. Names beyond MAX_RAW are left out.
    LeaseLost; InvalidRequest beyond MAX_FOLDERS.
    """
    lease.fence(tx, claim, now)
    bounded(len(listed), MAX_FOLDERS, "folders")
    known = {each.raw: each for each in of_connector(tx, claim.connector_id)}
    if listed:
        shown = {each.raw: each for each in listed if len(each.raw) <= MAX_RAW}
        for raw, each in shown.items():
            if not _is_as(known.get(raw), each):
                tx.run(
                    _SEEN, connector=claim.connector_id, raw=raw, name=made_storable(each.name),
                    delimiter=each.delimiter, role=each.role, remote_id=key_out(each.remote_id),
                    selectable=int(each.selectable), now=now,
                )  # fmt: skip
        missing = [each.id for raw, each in known.items() if raw not in shown and not each.gone]
        if missing:
            tx.run(_MISSING, folders=missing, now=now)
    return of_connector(tx, claim.connector_id)


def _is_as(known: RemoteFolder | None, seen: Discovered) -> bool:
    """Nothing to write: most of thousands of folders are as they were."""
    return known is not None and (
        known.name, known.delimiter, known.role, known.selectable, known.missing, known.gone,
    ) == (made_storable(seen.name), seen.delimiter, seen.role, seen.selectable, 0, False) and (
        key_out(seen.remote_id) in (None, known.remote_id)
    )  # fmt: skip


def renamed(tx: Tx, claim: Claim, folder_id: FolderId, raw: bytes, name: str, *, now: int) -> bool:
    """The folder has another name upstream now (found by MAILBOXID, or renamed by us); False: that name is another's.

    One that is gone gives it up, and keeps what it knows under a name that no server has. LeaseLost, NotFound.
    """
    lease.fence(tx, claim, now)
    get(tx, claim.connector_id, folder_id)
    owner = tx.one(_TAKEN, connector=claim.connector_id, raw=raw)
    if owner is not None and owner[0] != folder_id:
        if not owner[1]:
            return False
        tx.run(_ASIDE, folder=owner[0], raw=b"\x00%d" % owner[0], now=now)
    tx.run(_RENAME, folder=folder_id, raw=raw, name=made_storable(name), now=now)
    return True


def link(
    tx: Tx, claim: Claim, folder_id: FolderId, mailbox_id: MailboxId | None, *, everything: bool = False,
    since: int | None = None, now: int,
) -> None:  # fmt: skip
    """Let a local mailbox stand for the folder; None: none does.

    What is in the mailbox already does not go up, unless `everything` does, or what changed after the MODSEQ `since`.
    LeaseLost, NotFound.
    """
    lease.fence(tx, claim, now)
    get(tx, claim.connector_id, folder_id)
    modseq = 0
    if mailbox_id is not None:
        if tx.one(_MAILBOX, mailbox=mailbox_id, inbox=claim.inbox_id) is None:
            raise NotFound("There is no such mailbox")
        modseq = 0 if everything else tx.scalar(_MODSEQ, inbox=claim.inbox_id) if since is None else since
    tx.run(_LINK, folder=folder_id, mailbox=mailbox_id, modseq=modseq, now=now)


def snapshot(
    tx: Tx, claim: Claim, folder_id: FolderId, *, uidvalidity: int, uidnext: int, modseq: int | None,
    floor: int | None = None, phase: str = "forward", now: int,
) -> bool:  # fmt: skip
    """The first look at a folder, before any fetch: new mail is from `uidnext` on, what is older is fetched downwards.

    False: it had one, and nothing was done. LeaseLost, NotFound.
    """
    lease.fence(tx, claim, now)
    get(tx, claim.connector_id, folder_id)
    return tx.run(
        _SNAPSHOT, folder=folder_id, uidvalidity=uidvalidity, uidnext=uidnext, modseq=modseq, floor=floor, phase=phase,
        now=now,
    ) > 0  # fmt: skip


def update(tx: Tx, claim: Claim, folder_id: FolderId, values: Mapping[str, Any], *, now: int) -> None:
    """Set cursors and what was learned of a folder, by the names of `RemoteFolder`.

    Cursors that move with mail move in the unit that brings it (`window`): this is for what moves alone. LeaseLost,
    NotFound, InvalidRequest.
    """
    lease.fence(tx, claim, now)
    get(tx, claim.connector_id, folder_id)
    write(tx, folder_id, values, now)


def write(tx: Tx, folder_id: FolderId, values: Mapping[str, Any], now: int) -> None:
    """`update` inside a unit that is fenced already."""
    if unknown := values.keys() - _SET.keys():
        raise InvalidRequest(f"{', '.join(sorted(unknown))} cannot be set")
    for name, value in values.items():
        tx.run(_SET[name], folder=folder_id, value=int(value) if isinstance(value, bool) else value, now=now)
