"""What connectors keep: external accounts, their folders and messages, and where each of those lies here.

Rows of a connector are held together by its units, under the lock of its inbox, and proved by the consistency check.
Every index here answers a question that is asked while mail comes; what people ask now and then walks one connector.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from .columns import Big, Octets, counter, flag, id_column, metadata

node = Table(
    "node",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("incarnation", Text, nullable=False),  # drawn at each start: who was frozen and replaced is another one
    Column("alive_until", Big, nullable=False),
    Column("started_at", Big, nullable=False),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 10},  # one row a node, updated in place every few seconds
)
"""Processes that work on connectors. One heartbeat a node, not one a connector: thousands of rows stay untouched."""

connector = Table(
    "connector",
    metadata,
    id_column(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("pod_id", Big, ForeignKey("pod.id"), nullable=False),
    Column("inbox_id", Big, ForeignKey("inbox.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False, index=True),  # of the account, canonical
    flag("own_address"),  # the inbox has the address because of this connector
    Column("provider", Text),
    flag("enabled", 1),
    Column("removed_at", Big),  # it is gone for everybody; its rows go piece by piece
    Column("mode", Text, nullable=False),  # pull, two-way, import
    Column("interval_s", Big),  # between syncs; NULL: as the provider's profile says
    Column("state", Text, nullable=False),
    Column("reason", Text),  # for people
    Column("failure", Text),  # outbound.failure.Failure
    Column("state_since", Big, nullable=False),
    counter("failures"),  # in a row
    counter("not_before"),  # nobody claims it before
    Column("sync_asked_at", Big),  # somebody wants a sync now; answered by one that begins later
    Column("last_sync_at", Big),  # begun
    Column("last_success_at", Big),
    Column("node_id", Text),  # the lease: who works on it, and in which life
    Column("node_inc", Text),
    counter("epoch"),  # rises with each change of owner: what an earlier owner still writes is refused
    counter("version", 1),  # of what people set, for compare-and-set
    Column("created_at", Big, nullable=False),
    Column("updated_at", Big, nullable=False),
    Column("grant_id", Big),
    Column("imap_secret", Octets),  # sealed; the store cannot read them
    Column("smtp_secret", Octets),
    Column("options", Text, nullable=False, server_default=text("'{}'")),  # JSON that the store does not read
    Column("files_sent", SmallInteger),  # whether its server files what it sends in Sent, as was found; NULL: unknown
    UniqueConstraint("pod_id", "name"),
    Index("ix_connector_owner", "node_id", "node_inc"),
    sqlite_autoincrement=True,
    postgresql_with={"fillfactor": 70},
)

remote_folder = Table(
    "remote_folder",
    metadata,
    id_column(),
    Column("connector_id", Big, ForeignKey("connector.id"), nullable=False),
    Column("raw", Octets, nullable=False),  # the name as the server spells it
    Column("name", Text, nullable=False),
    Column("delimiter", Text),
    Column("role", Text),
    Column("remote_id", Text),  # MAILBOXID (RFC 8474): finds a folder that was renamed
    flag("selectable", 1),
    counter("select_failures"),
    Column("probe_at", Big),  # when one that refuses SELECT is tried again
    counter("missing"),  # times in a row that LIST did not show it
    flag("gone"),
    flag("labels"),  # its messages bear labels, which give the local mailboxes
    flag("capped"),  # the server shows fewer messages than there are
    Column("phase", Text, nullable=False, server_default=text("'new'")),
    Column("uidvalidity", Big),
    Column("uidnext", Big),
    Column("highest_modseq", Big),
    flag("modseq_ok", 1),  # 0: what it says about MODSEQ proved wrong
    Column("backfill_low", Big),  # all from here on are known
    Column("backfill_floor", Big),
    Column("last_full_scan_at", Big),
    Column("synced_at", Big),  # when a pass over it ended well
    counter("resets"),  # changes of UIDVALIDITY in a row
    counter("live"),  # rows of remote_message that are not gone, of this UIDVALIDITY
    Column("mailbox_id", Big),  # the local mailbox; NULL: not linked, or its labels say where
    counter("pushed_modseq"),  # local changes up to here were agreed upon
    Column("created_at", Big, nullable=False),
    Column("updated_at", Big, nullable=False),
    UniqueConstraint("connector_id", "raw"),
    sqlite_autoincrement=True,
    postgresql_with={"fillfactor": 50},
)

remote_message = Table(
    "remote_message",
    metadata,
    Column("folder_id", Big, nullable=False),
    Column("uidvalidity", Big, nullable=False),
    Column("uid", Big, nullable=False),
    Column("system", SmallInteger, nullable=False),  # model.flags, without keywords: their bits are a mailbox's own
    Column("keywords", Text),  # names, sorted, joined by a blank; NULL: none
    Column("labels", Text),  # JSON, sorted; NULL: none
    Column("modseq", Big),
    Column("source_key", Text),
    Column("size", Big),  # with the next two: what finds it again under a new UIDVALIDITY
    Column("internal_date", Big),
    Column("id_hash", Big),  # of its Message-ID
    Column("gone", Text),  # NULL: it is there
    PrimaryKeyConstraint("folder_id", "uidvalidity", "uid"),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 80},
)
"""Messages upstream that were taken in, with the flags and labels that both sides last agreed upon."""

remote_place = Table(
    "remote_place",
    metadata,
    Column("folder_id", Big, nullable=False),
    Column("uidvalidity", Big, nullable=False),
    Column("uid", Big, nullable=False),
    Column("mailbox_id", Big, nullable=False),
    Column("local_uid", Big, nullable=False),
    Column("email_id", Text, nullable=False),
    Column("label", Text),  # the one it stands for
    PrimaryKeyConstraint("folder_id", "uidvalidity", "uid", "mailbox_id"),
    UniqueConstraint("mailbox_id", "local_uid"),
    sqlite_with_rowid=False,
)
"""Which local message stands for which upstream: one to one in folders, one a mailbox where labels are.

A place outlives its local message until both sides agreed that it is gone: that is how a local EXPUNGE is seen."""

local_source = Table(
    "local_source",
    metadata,
    Column("connector_id", Big, nullable=False),
    Column("source_key", Text, nullable=False),
    Column("content_id", Big, nullable=False, index=True),  # asked when contents are collected
    PrimaryKeyConstraint("connector_id", "source_key"),
    sqlite_with_rowid=False,
)
"""Contents that this connector has fetched, by what the server calls them: saves a second download. No reference: the
row goes with its content."""

remote_poison = Table(
    "remote_poison",
    metadata,
    Column("folder_id", Big, nullable=False),
    Column("uidvalidity", Big, nullable=False),
    Column("uid", Big, nullable=False),
    Column("reason", Text, nullable=False),
    counter("tries"),
    Column("next_try", Big, nullable=False),
    Column("first_at", Big, nullable=False),
    PrimaryKeyConstraint("folder_id", "uidvalidity", "uid"),
    sqlite_with_rowid=False,
)
"""Messages that are listed upstream and cannot be had: they block no cursor, and are tried again now and then."""

pending_op = Table(
    "pending_op",
    metadata,
    id_column(),
    Column("connector_id", Big, nullable=False),
    Column("key", Text, nullable=False),  # what it is about: planned twice, it is one
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),  # JSON
    Column("state", Text, nullable=False),  # planned, started, done, failed
    Column("evidence", Text),  # JSON: what was true upstream before it began
    counter("attempts"),
    counter("not_before"),
    counter("epoch"),  # of the lease under which it was started
    Column("failure", Text),
    Column("reason", Text),
    Column("created_at", Big, nullable=False),
    Column("updated_at", Big, nullable=False),
    Index("ix_pending_op_state", "connector_id", "state", "id"),
    Index("ix_pending_op_key", "connector_id", "key"),
    sqlite_autoincrement=True,
)
"""What must not be done twice upstream: append, move, copy, delete, changes of folders."""

connector_event = Table(
    "connector_event",
    metadata,
    id_column(),
    Column("connector_id", Big, nullable=False),
    Column("kind", Text, nullable=False),  # SEND, SYNC
    Column("status", Text, nullable=False),
    Column("at", Big, nullable=False),
    Column("run", Text),
    Column("failure", Text),
    Column("size", Big),
    Column("message", Text),
    Column("detail", Text, nullable=False, server_default=text("'{}'")),  # JSON: counts, EMAILIDs
    flag("seen"),
    flag("packed"),  # the log is compressed
    Column("log", Octets),
    Index("ix_connector_event_connector", "connector_id", "id"),
    Index("ix_connector_event_at", "at"),
    sqlite_autoincrement=True,
)

poll_cursor = Table(
    "poll_cursor",
    metadata,
    Column("connector_id", Big, nullable=False),
    Column("name", Text, nullable=False),
    Column("raw", Octets, nullable=False),  # the folder
    Column("uidvalidity", Big, nullable=False),
    Column("uid", Big, nullable=False),  # the last one delivered
    counter("version", 1),
    Column("updated_at", Big, nullable=False),
    PrimaryKeyConstraint("connector_id", "name"),
    sqlite_with_rowid=False,
)
"""How far a poller of new e-mails has come; it needs no sync."""
