"""Beside what people own: the record of who did what, and links by which a device is set up once."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from .columns import Big, Octets, counter, flag, id_column, metadata

audit = Table(
    "audit",
    metadata,
    id_column(),
    Column("at", Big, nullable=False),
    Column("who", Text, nullable=False),  # key gw_…, user root (0), or what was tried by nobody who is known
    counter("key_id"),  # 0: no key
    counter("pod_id"),  # of the key; 0: none
    Column("via", Text, nullable=False),  # control, http, login
    Column("what", Text, nullable=False),  # an operation, or method and route
    Column("target", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("source", Text, nullable=False),  # IP address, or ""
    Index("ix_audit_at", "at"),
    sqlite_autoincrement=True,
)

setup_link = Table(
    "setup_link",
    metadata,
    Column("token", Octets, primary_key=True),  # SHA-256 of what the link holds
    Column("inbox_id", Big, nullable=False),
    Column("key_id", Big, nullable=False),
    flag("with_key"),
    Column("name", Text, nullable=False),
    Column("expires_at", Big, nullable=False, index=True),
    sqlite_with_rowid=False,
)
"""`key_id`: who made it. `with_key`: the profile brings a key of its own, made when the link is opened."""
