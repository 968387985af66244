"""Which removed account was to send a submission, and whether its mail might go by the default relay.

Revision ID: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submission", sa.Column("account_gone", sa.Text()))
    op.add_column(
        "submission", sa.Column("gone_fallback", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)
    )
