"""People in a browser: who is logged in."""

from __future__ import annotations

from sqlalchemy import Column, Table

from .columns import Big, Octets, metadata

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
