"""Passkeys: what lets a person into the dashboard without typing a key."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from .columns import Big, Octets, counter, id_column, metadata

passkey = Table(
    "passkey",
    metadata,
    id_column(),
    Column("credential", Octets, nullable=False, unique=True),
    Column("key_id", Big, nullable=False, index=True),  # whom it logs in as
    Column("public_key", Octets, nullable=False),
    counter("sign_count"),
    Column("name", Text, nullable=False),
    Column("created_at", Big, nullable=False),
    Column("used_at", Big),
    sqlite_autoincrement=True,
)
"""It logs in as a key, and lives as long as that one is good."""
