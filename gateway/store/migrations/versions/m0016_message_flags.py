"""Flags and MODSEQs of messages in a table of their own; what changed lately stands with the mailbox.

Revision ID: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "message_flags",
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("uid", BIG, nullable=False),
        sa.Column("flags", BIG, nullable=False),
        sa.Column("modseq", BIG, nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "uid", name=op.f("pk_message_flags")),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": 80},
    )
    op.execute(
        "INSERT INTO message_flags (mailbox_id, uid, flags, modseq)"
        " SELECT mailbox_id, uid, flags, modseq FROM message ORDER BY mailbox_id, uid"
    )
    op.create_index(
        "ix_message_flags_deleted",
        "message_flags",
        ["mailbox_id", "uid"],
        unique=False,
        sqlite_where=sa.text("flags & 8 <> 0"),
        postgresql_where=sa.text("flags & 8 <> 0"),
    )
    op.drop_index("ix_message_deleted", "message")
    op.drop_index("ix_message_mailbox_modseq", "message")
    op.drop_column("message", "flags")
    op.drop_column("message", "modseq")
    op.add_column("mailbox", sa.Column("flag_record", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("mailbox", sa.Column("flag_floor", BIG, server_default=sa.text("0"), nullable=False))
    op.execute("UPDATE mailbox SET flag_floor = highest_modseq")  # nothing of before is on record
