"""What an Idempotency-Key was answered with, and names of drafts that outlive their edits.

Revision ID: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_idempotency")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_idempotency_at"), "idempotency", ["at"], unique=False)
    op.create_table(
        "draft_name",
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("original", sa.Text(), nullable=True),
        sa.Column("forwards", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("inbox_id", "name", name=op.f("pk_draft_name")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_draft_name_email", "draft_name", ["inbox_id", "email_id"], unique=False)
    op.create_index("ix_draft_name_client", "draft_name", ["inbox_id", "client_id"], unique=True)
