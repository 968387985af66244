"""Indexes for lists newest first, and for the messages of a thread: what the HTTP API asks for.

Revision ID: 0022
"""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_message_mailbox_date", "message", ["mailbox_id", "internal_date", "content_id"])
    op.create_index("ix_message_inbox_thread", "message", ["inbox_id", "thread_id"])
