"""The HTTP side: who is logged in in a browser, what a request was answered with, names of drafts."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, Table, Text, text

from .columns import Big, Octets, flag, metadata

web_session = Table(
    "web_session",
    metadata,
    Column("token", Octets, primary_key=True),  # SHA-256 of what the cookie holds
    Column("key_id", Big, nullable=False, index=True),
    Column("created_at", Big, nullable=False),
    Column("seen_at", Big, nullable=False),
    Column("expires_at", Big, nullable=False, index=True),
    sqlite_with_rowid=False,
)
"""A login is a key's: what the key may not, or may no longer, the browser may not either."""

short_note = Table(
    "short_note",
    metadata,
    Column("kind", Text, nullable=False),
    Column("name", Octets, nullable=False),  # SHA-256
    Column("value", Text, nullable=False, server_default=text("''")),
    Column("expires_at", Big, nullable=False, index=True),
    PrimaryKeyConstraint("kind", "name"),
    sqlite_with_rowid=False,
)
"""What was asked of a browser or a program, and is to be answered within minutes, perhaps to another node."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("digest", Octets, nullable=False),  # of who asked, what for, and his Idempotency-Key
    Column("body", Octets, nullable=False),  # SHA-256 of the request's body
    Column("at", Big, nullable=False, index=True),
    Column("status", Integer, nullable=False),
    Column("answer", Octets, nullable=False),
    PrimaryKeyConstraint("digest"),
    sqlite_with_rowid=False,
)
"""Requests that were carried out lately: written by the unit that did so, so that none is carried out twice."""

draft_name = Table(
    "draft_name",
    metadata,
    Column("inbox_id", Big, nullable=False),
    Column("name", Text, nullable=False),  # EMAILID of its first state
    Column("email_id", Text, nullable=False),  # of its present one: a message never changes, so each edit is another
    Column("client_id", Text),
    Column("original", Text),  # EMAILID of the message that it answers or forwards
    flag("forwards"),
    Column("created_at", Big, nullable=False),
    PrimaryKeyConstraint("inbox_id", "name"),
    Index("ix_draft_name_email", "inbox_id", "email_id"),
    Index("ix_draft_name_client", "inbox_id", "client_id", unique=True),
    sqlite_with_rowid=False,
)
"""Drafts by the name that programs know them under, whatever became of them."""

resource_note = Table(
    "resource_note",
    metadata,
    Column("kind", Text, nullable=False),  # inbox, pod, webhook
    Column("ref", Text, nullable=False),  # its uuid
    Column("owner", Big, nullable=False),  # pod of the key that made it; 0: a key that opens everything
    Column("client_id", Text),
    Column("metadata", Text),  # JSON: an object of texts, numbers and truth values
    PrimaryKeyConstraint("kind", "ref"),
    Index("ix_resource_note_client", "kind", "owner", "client_id", unique=True),
    sqlite_with_rowid=False,
)
"""What a program calls a thing that it has made, so that a creation that is repeated makes nothing, and what it wants
to find with it. They go with what they are about."""
