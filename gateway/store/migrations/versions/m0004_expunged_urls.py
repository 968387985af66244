"""What a message was before it was expunged, for sessions that were not told yet; the access keys of URLAUTH.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for name in ("size", "internal_date", "save_date"):
        op.add_column("expunged", sa.Column(name, BIG))
    for name in ("email_id", "thread_id"):
        op.add_column("expunged", sa.Column(name, sa.Text()))
    op.create_table(
        "url_key",
        sa.Column("mailbox_id", BIG, autoincrement=False, nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", name=op.f("pk_url_key")),
    )
    op.create_index("ix_url_key_inbox", "url_key", ["inbox_id"], unique=False)
