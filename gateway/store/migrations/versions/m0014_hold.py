"""What a sender asked for by HOLDFOR or HOLDUNTIL, for reports repeat it (RFC 4865 5.1.2).

Revision ID: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submission", sa.Column("hold", sa.Text()))
