"""Lists by their place: whether a scope allows anybody at all is asked for each message where there are lists.

Revision ID: 0011
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_list_entry_place", "list_entry", ["direction", "verdict", "scope", "pod_id", "inbox_id"], unique=False
    )
