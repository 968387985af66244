"""Who has begun a login at a provider over HTTP.

Revision ID: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "oauth_login_owner",
        sa.Column("state_hash", sa.Text(), nullable=False),
        sa.Column("key_id", BIG, nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("expires_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_oauth_login_owner")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_oauth_login_owner_expires_at"), "oauth_login_owner", ["expires_at"], unique=False)
