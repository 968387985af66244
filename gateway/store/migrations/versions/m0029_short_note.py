"""What the HTTP side asks and expects an answer to within minutes, by whichever node.

Revision ID: 0029
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "short_note",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("expires_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_short_note")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_short_note_expires_at"), "short_note", ["expires_at"], unique=False)
