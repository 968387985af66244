"""Who did what, and links by which a device is set up once.

Revision ID: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("key_id", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("pod_id", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    op.create_table(
        "setup_link",
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("key_id", BIG, nullable=False),
        sa.Column("with_key", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("expires_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_setup_link")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_setup_link_expires_at"), "setup_link", ["expires_at"], unique=False)
