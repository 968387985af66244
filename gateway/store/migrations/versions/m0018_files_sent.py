"""Whether an account's server files what it sends, as was found out.

Revision ID: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connector", sa.Column("files_sent", sa.SmallInteger()))
