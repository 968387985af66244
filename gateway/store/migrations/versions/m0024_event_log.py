"""What those know who follow an inbox from outside: how a message came and when, what a mailbox was; and webhooks.

Revision ID: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table in ("message", "expunged"):
        op.add_column(table, sa.Column("arrived", BIG, server_default=sa.text("0"), nullable=False))
        op.add_column(table, sa.Column("came", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("change", sa.Column("detail", sa.Text()))
    op.create_table(
        "webhook",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("pod_id", BIG),
        sa.Column("inbox_id", BIG),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("types", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("signing_secret", sa.LargeBinary()),
        sa.Column("former_secret", sa.LargeBinary()),
        sa.Column("former_until", BIG),
        sa.Column("headers_sealed", sa.LargeBinary()),
        sa.Column("reads", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("enabled", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("failing_since", BIG),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
        sa.UniqueConstraint("uuid", name=op.f("uq_webhook_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_webhook_pod_id"), "webhook", ["pod_id"])
    op.create_index(op.f("ix_webhook_inbox_id"), "webhook", ["inbox_id"])
    op.create_table(
        "webhook_cursor",
        sa.Column("webhook_id", BIG, nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("modseq", BIG, nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("attempts", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("owned_until", BIG, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", "inbox_id", name=op.f("pk_webhook_cursor")),
        postgresql_with={"fillfactor": 50},
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_webhook_cursor_inbox_id"), "webhook_cursor", ["inbox_id"])
    op.create_table(
        "webhook_once",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("webhook_id", BIG, nullable=False),
        sa.Column("inbox_id", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("attempts", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("owned_until", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_once")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_webhook_once_webhook_id"), "webhook_once", ["webhook_id"])
    op.create_table(
        "webhook_attempt",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("webhook_id", BIG, nullable=False),
        sa.Column("inbox_id", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("ok", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", BIG),
        sa.Column("failure", sa.Text()),
        sa.Column("duration_ms", BIG, nullable=False),
        sa.Column("answer", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempt")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_attempt_webhook_id", "webhook_attempt", ["webhook_id", "id"])
    op.create_index(op.f("ix_webhook_attempt_at"), "webhook_attempt", ["at"])
