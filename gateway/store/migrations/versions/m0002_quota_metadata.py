"""Quotas of inboxes, annotations of mailboxes, and the index that counts messages with \\Deleted.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("inbox", sa.Column("mailboxes", BIG, server_default=sa.text("0"), nullable=False))
    op.add_column("inbox", sa.Column("quota_octets", BIG))
    op.add_column("inbox", sa.Column("quota_messages", BIG))
    op.add_column("inbox", sa.Column("quota_mailboxes", BIG))
    op.execute(
        "UPDATE inbox SET mailboxes ="
        " (SELECT count(*) FROM mailbox b WHERE b.inbox_id = inbox.id AND b.noselect = 0)"
    )
    op.create_table(
        "annotation",
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary()),
        sa.Column("modseq", BIG, nullable=False),
        sa.PrimaryKeyConstraint("inbox_id", "mailbox_id", "entry", name=op.f("pk_annotation")),
    )
    op.create_index("ix_annotation_inbox_modseq", "annotation", ["inbox_id", "modseq"], unique=False)
    op.create_index(
        "ix_message_deleted",
        "message",
        ["inbox_id", "mailbox_id", "size"],
        unique=False,
        sqlite_where=sa.text("flags & 8 <> 0"),
        postgresql_where=sa.text("flags & 8 <> 0"),
    )
