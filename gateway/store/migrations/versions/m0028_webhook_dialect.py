"""In whose words a webhook is told: ours, or those of a vendor's API that it was made by.

Revision ID: 0028
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhook", sa.Column("dialect", sa.Text(), server_default=sa.text("'native'"), nullable=False))
