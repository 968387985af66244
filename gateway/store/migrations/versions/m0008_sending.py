"""What sending knows beside its recipients: notifications asked for, holds, lists, rates, what was accepted before.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _columns(table: str, *columns: sa.Column[object]) -> None:
    for column in columns:
        op.add_column(table, column)


def upgrade() -> None:
    _columns(
        "submission",
        sa.Column("ret", sa.Text()),
        sa.Column("message_id", sa.LargeBinary()),
        sa.Column("size", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("release_at", BIG),
        sa.Column("draft", sa.Text()),
        sa.Column("bodybinary", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.create_index("ix_submission_message", "submission", ["inbox_id", "message_id"], unique=False)
    op.create_index("ix_submission_draft", "submission", ["inbox_id", "draft"], unique=False)
    _columns(
        "queue_recipient",
        sa.Column("notify", sa.SmallInteger()),
        sa.Column("orcpt", sa.Text()),
        sa.Column("delay_told", BIG),
        sa.Column("hold_reason", sa.Text()),
    )
    op.create_table(
        "accepted_once",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_accepted_once")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_accepted_once_at"), "accepted_once", ["at"], unique=False)
    op.create_table(
        "send_count",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("start", BIG, nullable=False),
        sa.Column("count", BIG, nullable=False),
        sa.Column("before", BIG, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("subject", "period", name=op.f("pk_send_count")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "list_entry",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("pod_id", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("inbox_id", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("created_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_list_entry")),
        sa.UniqueConstraint("uuid", name=op.f("uq_list_entry_uuid")),
        sa.UniqueConstraint(
            "direction", "pattern", "scope", "pod_id", "inbox_id",
            name=op.f("uq_list_entry_direction_pattern_scope_pod_id_inbox_id"),
        ),
        sqlite_autoincrement=True,
    )
