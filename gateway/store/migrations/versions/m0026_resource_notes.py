"""What programs noted about inboxes, pods, domains and webhooks: an id of their own, and values that mean nothing here.

Revision ID: 0026
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "resource_note",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("owner", BIG, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "ref", name=op.f("pk_resource_note")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_resource_note_client", "resource_note", ["kind", "owner", "client_id"], unique=True)
