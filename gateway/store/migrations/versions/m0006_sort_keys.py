"""Keys for SORT and THREAD beside contents, made when somebody sorts.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "content_sort",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("sent_date", BIG),
        sa.Column("reply", sa.SmallInteger(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("from_box", sa.LargeBinary(), nullable=False),
        sa.Column("to_box", sa.LargeBinary(), nullable=False),
        sa.Column("cc_box", sa.LargeBinary(), nullable=False),
        sa.Column("from_name", sa.LargeBinary(), nullable=False),
        sa.Column("to_name", sa.LargeBinary(), nullable=False),
        sa.Column("links", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_sort")),
    )
