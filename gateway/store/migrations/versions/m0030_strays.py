"""What inboxes, pods, keys and webhooks that are gone left behind, when they did not take it along yet.

Revision ID: 0030
"""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

STRAYS = (
    ("webhook", "inbox_id IS NOT NULL AND inbox_id NOT IN (SELECT id FROM inbox)"),
    ("webhook", "pod_id IS NOT NULL AND pod_id NOT IN (SELECT id FROM pod)"),
    *((table, "webhook_id NOT IN (SELECT id FROM webhook)")
      for table in ("webhook_cursor", "webhook_once", "webhook_attempt")),
    *((table, "inbox_id NOT IN (SELECT id FROM inbox)") for table in ("webhook_cursor", "setup_link", "draft_name")),
    ("webhook_once", "inbox_id <> 0 AND inbox_id NOT IN (SELECT id FROM inbox)"),
    ("passkey", "key_id NOT IN (SELECT id FROM api_key)"),
    *(("resource_note", f"kind = '{table}' AND ref NOT IN (SELECT uuid FROM {table})")
      for table in ("inbox", "pod", "webhook")),
)  # fmt: skip


def upgrade() -> None:
    for table, condition in STRAYS:
        op.execute(f"DELETE FROM {table} WHERE {condition}")
