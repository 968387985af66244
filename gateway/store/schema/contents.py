"""The octets of messages and what was made of them; and what the store itself keeps its books with."""

from __future__ import annotations

from sqlalchemy import Column, SmallInteger, Table, Text

from .columns import Big, Octets, flag, metadata

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Facts about this store: created_at, restored_at …"""

sequence = Table(
    "sequence",
    metadata,
    Column("name", Text, primary_key=True),
    Column("next", Big, nullable=False),
    sqlite_with_rowid=False,
)
"""Numbers drawn in blocks before the unit that uses them (content and body ids)."""

content_meta = Table(
    "content_meta",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("body_id", Big, nullable=False, index=True),
    Column("size", Big, nullable=False),
    Column("header_size", Big, nullable=False),
    Column("sha256", Octets, nullable=False),
    flag("has_nul"),
    Column("parser_version", SmallInteger, nullable=False),
    Column("parts", Octets, nullable=False),
    Column("body", Octets, nullable=False),
    Column("message_id", Octets),
    Column("in_reply_to", Octets),
    Column("refs", Octets),
    Column("sent_date", Big),
    Column("created_at", Big, nullable=False),
)
"""A row here means complete: staged octets have none, so nothing can refer to half a message."""

content_fetch = Table(
    "content_fetch",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("envelope", Octets, nullable=False),
    Column("bodystructure", Octets, nullable=False),
)
"""The narrow row FETCH joins: what is rendered once and asked for most."""

content_header = Table(
    "content_header",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("octets", Octets, nullable=False),
)

content_chunk = Table(
    "content_chunk",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),  # body id << 16 | number of the 64 KiB piece
    Column("octets", Octets, nullable=False),
)

content_fields = Table(
    "content_fields",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("octets", Octets, nullable=False),
)
"""Header fields as SEARCH compares them. Narrow, for most searches ask for a field."""

content_text = Table(
    "content_text",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("size", Big, nullable=False),
    Column("body_id", Big),
    Column("octets", Octets),
)
"""Text parts as SEARCH compares them; a large text lies in content_chunk, under a body id of its own.

A content has a row in both tables, or its text is still to be made.
"""

text_due = Table(
    "text_due",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
)
"""Contents whose text for SEARCH is still to be made."""

content_sort = Table(
    "content_sort",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("sent_date", Big),
    Column("reply", SmallInteger, nullable=False),
    Column("subject", Octets, nullable=False),
    Column("from_box", Octets, nullable=False),
    Column("to_box", Octets, nullable=False),
    Column("cc_box", Octets, nullable=False),
    Column("from_name", Octets, nullable=False),
    Column("to_name", Octets, nullable=False),
    Column("links", Octets, nullable=False),  # hashes of the Message-ID and of its ancestors', eight octets each
)
"""What SORT and THREAD compare, made when a mailbox is first sorted."""

staging = Table(
    "staging",
    metadata,
    Column("body_id", Big, primary_key=True, autoincrement=False),
    Column("started_at", Big, nullable=False, index=True),
)
"""Bodies that are still arriving; a row older than the longest session is an orphan."""

garbage = Table(
    "garbage",
    metadata,
    Column("content_id", Big, primary_key=True, autoincrement=False),
    Column("at", Big, nullable=False, index=True),
)
"""Contents that lost a reference other than an expunged message: the janitor looks whether any is left."""

unit_done = Table(
    "unit_done",
    metadata,
    Column("writer", Text, primary_key=True),
    Column("last", Big, nullable=False),
    Column("at", Big, nullable=False),
    postgresql_with={"fillfactor": 10},  # one row a writer, updated in place by each transaction
)
"""PostgreSQL: the last transaction each writer committed, which a retry after a broken COMMIT asks for first."""
