"""Reports about mail: what arrived and may be one, who is still owed one, and submissions by their envelope id.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "report_due",
        sa.Column("content_id", BIG, nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("content_id", "inbox_id", name=op.f("pk_report_due")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "notice_due",
        sa.Column("submission_id", BIG, autoincrement=False, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("submission_id", name=op.f("pk_notice_due")),
    )
    op.create_index("ix_submission_envelope", "submission", ["inbox_id", "envelope_id"], unique=False)
