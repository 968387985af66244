"""Who has mail here: pods, domains, inboxes with their addresses, keys, and the lists of whom they deal with."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table, Text, UniqueConstraint, text

from .columns import Big, counter, flag, id_column, metadata

pod = Table(
    "pod",
    metadata,
    id_column(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Big, nullable=False),
    sqlite_autoincrement=True,
)

domain = Table(
    "domain",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("pod_id", Big, ForeignKey("pod.id"), nullable=False, index=True),
    flag("local", 1),
    Column("created_at", Big, nullable=False, server_default=text("0")),
    sqlite_autoincrement=True,
)

inbox = Table(
    "inbox",
    metadata,
    id_column(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("pod_id", Big, ForeignKey("pod.id"), nullable=False, index=True),
    Column("name", Text),
    Column("created_at", Big, nullable=False),
    Column("deleted_at", Big),
    Column("settings", Text, nullable=False, server_default=text("'{}'")),
    counter("modseq", 1),
    counter("last_uidvalidity"),
    Column("epoch", Text, nullable=False),
    counter("messages"),
    counter("octets"),
    counter("mailboxes"),  # without \Noselect names
    counter("tree_modseq"),  # of the last change of names, subscriptions or special uses
    Column("quota_octets", Big),  # NULL: no limit
    Column("quota_messages", Big),
    Column("quota_mailboxes", Big),
    sqlite_autoincrement=True,
    postgresql_with={"fillfactor": 50},  # the counters change with each delivery: keep those updates on the page
)

address = Table(
    "address",
    metadata,
    Column("address", Text, primary_key=True),
    Column("inbox_id", Big, ForeignKey("inbox.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),  # primary, alias, external
    Column("created_at", Big, nullable=False, server_default=text("0")),
    sqlite_with_rowid=False,
)

api_key = Table(
    "api_key",
    metadata,
    id_column(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("key_id", Text, nullable=False, unique=True),
    Column("hash", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("pod_id", Big, ForeignKey("pod.id"), index=True),
    Column("inbox_id", Big, ForeignKey("inbox.id"), index=True),
    Column("permissions", Text, nullable=False),  # names, sorted, joined by a blank
    Column("created_at", Big, nullable=False),
    Column("expires_at", Big),
    Column("revoked_at", Big),
    Column("last_used_at", Big),
    Column("parent", Big),
    Column("settings", Text, nullable=False, server_default=text("'{}'")),
    Column("scram", Text),  # RFC 5803 3; null: made before there was SCRAM
    Index("ix_api_key_opens", "pod_id", "inbox_id"),
    sqlite_autoincrement=True,
)

list_entry = Table(
    "list_entry",
    metadata,
    id_column(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False),  # all, pod, inbox
    counter("pod_id"),  # 0 where the scope has none, so that the constraint below counts it
    counter("inbox_id"),
    Column("direction", Text, nullable=False),  # send, receive, reply
    Column("verdict", Text, nullable=False),  # allow, block
    Column("pattern", Text, nullable=False),  # an address or a domain, in lower case
    Column("reason", Text),
    Column("created_at", Big, nullable=False),
    UniqueConstraint("direction", "pattern", "scope", "pod_id", "inbox_id"),
    Index("ix_list_entry_place", "direction", "verdict", "scope", "pod_id", "inbox_id"),
    sqlite_autoincrement=True,
)
