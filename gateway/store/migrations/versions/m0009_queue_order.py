"""What is due, in pages: the queue's order ends with the row, so that 50,000 recipients of one second are walked once.

Revision ID: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_queue_recipient_due", table_name="queue_recipient")
    op.create_index("ix_queue_recipient_due", "queue_recipient", ["state", "next_attempt", "id"], unique=False)
