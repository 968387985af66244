"""The values that connectors' units take and give, and how rows become them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, NewType, get_args

from gateway.model.errors import GatewayError, InvalidRequest
from gateway.model.ids import InboxId, MailboxId, PodId
from gateway.store.texts import made_storable, storable

ConnectorId = NewType("ConnectorId", int)
FolderId = NewType("FolderId", int)
OpId = NewType("OpId", int)

Mode = Literal["pull", "two-way", "import"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

Flags = tuple[int, tuple[str, ...]]
"""(mask of system flags, names of keywords, sorted)."""

WINDOW: Final = 100
"""Arrivals, moves and changes of labels of one unit at most: 10 ms of SQLite's writer."""
MAX_KEY: Final = 500
"""Characters of a source key."""
BATCH: Final = 500
"""Changes of one unit at most: each takes a few short statements."""


class ConnectorState(StrEnum):
    """What people are told. Whether it runs is `enabled` and the lease; when it may is `not_before`."""

    NEW = "new"
    """Never connected yet."""
    SYNCING = "syncing"
    LIVE = "live"
    """In sync, and hears of news at once."""
    POLLING = "polling"
    """In sync, and looks again at intervals."""
    DONE = "done"
    """A one-shot import that has ended."""
    BACKOFF = "backoff"
    """The network or the server failed: tried again by itself."""
    THROTTLED = "throttled"
    """The provider asked to come back later."""
    AUTH_FAILED = "auth_failed"
    """Somebody must give other credentials."""
    FULL = "full"
    """The inbox is over its quota."""
    CONFIRM = "confirm"
    """So much vanished upstream that somebody must say whether it is to go here too."""
    QUARANTINED = "quarantined"
    """The server contradicts itself."""


class LeaseLost(GatewayError):
    """Another node works on this connector now, or nobody may: stop at once. Nothing of the unit was done."""


class Changed(GatewayError):
    """Somebody changed the row since it was read: read it again."""


class Ambiguous(GatewayError):
    """Several connectors are called so, in several pods: name the pod."""


class ContentNeeded(GatewayError):
    """Contents believed to be here are not: fetch the messages of `uids` and ask again. Nothing was done."""

    def __init__(self, uids: Iterable[int]) -> None:
        self.uids = tuple(uids)
        super().__init__(f"{len(self.uids)} messages must be fetched after all")


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease on a connector: what `lease.fence` compares."""

    connector_id: ConnectorId
    inbox_id: InboxId
    node_id: str
    incarnation: str
    epoch: int


@dataclass(frozen=True, slots=True)
class ConnectorRow:
    """One connector. `options` is JSON that the store does not read; secrets are sealed octets.

    Times are Unix seconds. `failures`: in a row. `version`: of what people set (`accounts.change` compares it).
    """

    id: ConnectorId
    uuid: str
    pod_id: PodId
    inbox_id: InboxId
    name: str
    address: str
    provider: str | None
    enabled: bool
    mode: Mode
    interval_s: int | None
    state: ConnectorState
    reason: str | None
    failure: str | None
    state_since: int
    failures: int
    not_before: int
    sync_asked_at: int | None
    last_sync_at: int | None
    last_success_at: int | None
    node_id: str | None
    epoch: int
    version: int
    created_at: int
    updated_at: int
    grant_id: int | None
    imap_secret: bytes | None
    smtp_secret: bytes | None
    options: str
    files_sent: bool | None = None
    """Whether the account's server files what it sends in Sent, as a look there has shown; None: nobody looked."""


CONNECTOR: Final = (
    "SELECT c.id, c.uuid, c.pod_id, c.inbox_id, c.name, c.address, c.provider, c.enabled, c.mode, c.interval_s,"
    " c.state, c.reason, c.failure, c.state_since, c.failures, c.not_before, c.sync_asked_at, c.last_sync_at,"
    " c.last_success_at, c.node_id, c.epoch, c.version, c.created_at, c.updated_at, c.grant_id, c.imap_secret,"
    " c.smtp_secret, c.options, c.files_sent FROM connector c"
)


def connector(row: tuple[Any, ...]) -> ConnectorRow:
    values = list(row)
    values[7], values[10] = bool(row[7]), ConnectorState(row[10])
    values[25:27] = [None if sealed is None else bytes(sealed) for sealed in row[25:27]]
    values[28] = None if row[28] is None else bool(row[28])
    return ConnectorRow(*values)


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A mailbox of the account, how far its sync has come, and the local mailbox that stands for it.

    `raw` is its name as the server spells it. `live`: messages taken in and not gone. `pushed_modseq`: local changes up
    to this MODSEQ of the inbox were agreed upon. `phase` is the planner's word.
    """

    id: FolderId
    connector_id: ConnectorId
    raw: bytes
    name: str
    delimiter: str | None
    role: str | None
    remote_id: str | None
    selectable: bool
    select_failures: int
    probe_at: int | None
    missing: int
    gone: bool
    labels: bool
    capped: bool
    phase: str
    uidvalidity: int | None
    uidnext: int | None
    highest_modseq: int | None
    modseq_ok: bool
    backfill_low: int | None
    backfill_floor: int | None
    last_full_scan_at: int | None
    synced_at: int | None
    resets: int
    live: int
    mailbox_id: MailboxId | None
    pushed_modseq: int


FOLDER: Final = (
    "SELECT f.id, f.connector_id, f.raw, f.name, f.delimiter, f.role, f.remote_id, f.selectable, f.select_failures,"
    " f.probe_at, f.missing, f.gone, f.labels, f.capped, f.phase, f.uidvalidity, f.uidnext, f.highest_modseq,"
    " f.modseq_ok, f.backfill_low, f.backfill_floor, f.last_full_scan_at, f.synced_at, f.resets, f.live, f.mailbox_id,"
    " f.pushed_modseq FROM remote_folder f"
)
_TRUTHS: Final = (7, 11, 12, 13, 18)


def folder(row: tuple[Any, ...]) -> RemoteFolder:
    values = list(row)
    values[2] = bytes(row[2])
    for at in _TRUTHS:
        values[at] = bool(row[at])
    return RemoteFolder(*values)


class Gone(StrEnum):
    """Why a message upstream that was taken in is there no more, where its row is kept."""

    VANISHED = "vanished"
    """It vanished upstream, and what stands for it here is kept."""
    UNKNOWN = "unknown"
    """Not found again after a change of UIDVALIDITY: what stands for it here is never deleted for that."""


@dataclass(frozen=True, slots=True)
class RemoteMessage:
    """A message upstream with what both sides last agreed upon (`flags`, `labels`). `gone` None: it is there."""

    uid: int
    flags: Flags
    labels: tuple[str, ...]
    modseq: int | None
    source_key: str | None
    size: int | None
    internal_date: int | None
    id_hash: int | None
    gone: Gone | None


MESSAGE: Final = (
    "SELECT r.uid, r.system, r.keywords, r.labels, r.modseq, r.source_key, r.size, r.internal_date, r.id_hash, r.gone"
    " FROM remote_message r"
)


def message(row: tuple[Any, ...]) -> RemoteMessage:
    uid, system, names, labels, modseq, source, size, date, hashed, gone = row
    flags = (system, keywords_in(names))
    return RemoteMessage(
        uid, flags, labels_in(labels), modseq, source, size, date, hashed, None if gone is None else Gone(gone)
    )


@dataclass(frozen=True, slots=True)
class Place:
    """The local message that stands for message `uid` of a folder upstream, and for `label` where there are labels."""

    folder_id: FolderId
    uidvalidity: int
    uid: int
    mailbox_id: MailboxId
    local_uid: int
    email_id: str
    label: str | None = None


PLACE: Final = (
    "SELECT p.folder_id, p.uidvalidity, p.uid, p.mailbox_id, p.local_uid, p.email_id, p.label FROM remote_place p"
)


def keywords_out(names: Iterable[str]) -> str | None:
    """As a column holds them: they are atoms, so a blank ends each."""
    return " ".join(sorted(names)) or None


def keywords_in(stored: str | None) -> tuple[str, ...]:
    return tuple(stored.split(" ")) if stored else ()


def labels_out(labels: Iterable[str]) -> str | None:
    found = sorted(labels)
    return json.dumps(found, ensure_ascii=True) if found else None


def labels_in(stored: str | None) -> tuple[str, ...]:
    return tuple(json.loads(stored)) if stored else ()


def label_out(label: str | None) -> str | None:
    """As a column holds it: a server may put into a label what no database takes."""
    return None if label is None else made_storable(label)


def key_out(source_key: str | None) -> str | None:
    """A source key as a column and an index hold it; None for one that they cannot: it is then not known by any."""
    fits = source_key is not None and len(source_key) <= MAX_KEY and storable(source_key)
    return source_key if fits else None


def bounded(count: int, most: int, what: str) -> None:
    """InvalidRequest when a caller hands one unit more than it may hold the writer for."""
    if count > most:
        raise InvalidRequest(f"At most {most} {what} at once")
