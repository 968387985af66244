"""Text for SEARCH beside each content; of what is stored already it is still to be made.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "content_fields",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_fields")),
    )
    op.create_table(
        "content_text",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("body_id", BIG, nullable=True),
        sa.Column("octets", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_text")),
    )
    op.create_table(
        "text_due",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_text_due")),
    )
    op.execute("INSERT INTO text_due (id) SELECT DISTINCT content_id FROM message")
