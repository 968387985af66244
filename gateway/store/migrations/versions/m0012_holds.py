"""Submissions by the id that their sender was told, what was accepted before under which, drafts by their time.

Revision ID: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submission", sa.Column("trace", sa.Text()))
    op.add_column("accepted_once", sa.Column("trace", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_index(
        "ix_submission_release",
        "submission",
        ["release_at"],
        unique=False,
        sqlite_where=sa.text("draft IS NOT NULL"),
        postgresql_where=sa.text("draft IS NOT NULL"),
    )
