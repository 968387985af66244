"""What proves a key in SCRAM, the salt of all of them, and the index that finds the keys of an inbox.

Revision ID: 0003
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_key", sa.Column("scram", sa.Text()))
    op.create_index("ix_api_key_opens", "api_key", ["pod_id", "inbox_id"], unique=False)
    meta = sa.table("meta", sa.column("key", sa.Text()), sa.column("value", sa.Text()))
    op.bulk_insert(meta, [{"key": "scram_salt", "value": secrets.token_hex(16)}])
