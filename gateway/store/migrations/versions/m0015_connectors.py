"""Connectors: accounts, their folders and messages, operations, events, leases.

Revision ID: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "connector_event",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("connector_id", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("run", sa.Text()),
        sa.Column("failure", sa.Text()),
        sa.Column("size", BIG),
        sa.Column("message", sa.Text()),
        sa.Column("detail", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("seen", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("packed", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("log", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connector_event")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_connector_event_at", "connector_event", ["at"], unique=False)
    op.create_index("ix_connector_event_connector", "connector_event", ["connector_id", "id"], unique=False)
    op.create_table(
        "local_source",
        sa.Column("connector_id", BIG, nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("content_id", BIG, nullable=False),
        sa.PrimaryKeyConstraint("connector_id", "source_key", name=op.f("pk_local_source")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_local_source_content_id"), "local_source", ["content_id"], unique=False)
    op.create_table(
        "node",
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("alive_until", BIG, nullable=False),
        sa.Column("started_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_node")),
        postgresql_with={"fillfactor": 10},
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pending_op",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("connector_id", BIG, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text()),
        sa.Column("attempts", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("epoch", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("failure", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_op")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pending_op_key", "pending_op", ["connector_id", "key"], unique=False)
    op.create_index("ix_pending_op_state", "pending_op", ["connector_id", "state", "id"], unique=False)
    op.create_table(
        "poll_cursor",
        sa.Column("connector_id", BIG, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("uidvalidity", BIG, nullable=False),
        sa.Column("uid", BIG, nullable=False),
        sa.Column("version", BIG, server_default=sa.text("1"), nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("connector_id", "name", name=op.f("pk_poll_cursor")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "remote_message",
        sa.Column("folder_id", BIG, nullable=False),
        sa.Column("uidvalidity", BIG, nullable=False),
        sa.Column("uid", BIG, nullable=False),
        sa.Column("system", sa.SmallInteger(), nullable=False),
        sa.Column("keywords", sa.Text()),
        sa.Column("labels", sa.Text()),
        sa.Column("modseq", BIG),
        sa.Column("source_key", sa.Text()),
        sa.Column("size", BIG),
        sa.Column("internal_date", BIG),
        sa.Column("id_hash", BIG),
        sa.Column("gone", sa.Text()),
        sa.PrimaryKeyConstraint("folder_id", "uidvalidity", "uid", name=op.f("pk_remote_message")),
        postgresql_with={"fillfactor": 80},
        sqlite_with_rowid=False,
    )
    op.create_table(
        "remote_place",
        sa.Column("folder_id", BIG, nullable=False),
        sa.Column("uidvalidity", BIG, nullable=False),
        sa.Column("uid", BIG, nullable=False),
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("local_uid", BIG, nullable=False),
        sa.Column("email_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.PrimaryKeyConstraint("folder_id", "uidvalidity", "uid", "mailbox_id", name=op.f("pk_remote_place")),
        sa.UniqueConstraint("mailbox_id", "local_uid", name=op.f("uq_remote_place_mailbox_id_local_uid")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "remote_poison",
        sa.Column("folder_id", BIG, nullable=False),
        sa.Column("uidvalidity", BIG, nullable=False),
        sa.Column("uid", BIG, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("tries", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("next_try", BIG, nullable=False),
        sa.Column("first_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("folder_id", "uidvalidity", "uid", name=op.f("pk_remote_poison")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "connector",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("pod_id", BIG, nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("own_address", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("provider", sa.Text()),
        sa.Column("enabled", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("removed_at", BIG),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("interval_s", BIG),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("failure", sa.Text()),
        sa.Column("state_since", BIG, nullable=False),
        sa.Column("failures", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("sync_asked_at", BIG),
        sa.Column("last_sync_at", BIG),
        sa.Column("last_success_at", BIG),
        sa.Column("node_id", sa.Text()),
        sa.Column("node_inc", sa.Text()),
        sa.Column("epoch", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("version", BIG, server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
        sa.Column("grant_id", BIG),
        sa.Column("imap_secret", sa.LargeBinary()),
        sa.Column("smtp_secret", sa.LargeBinary()),
        sa.Column("options", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_connector_inbox_id")),
        sa.ForeignKeyConstraint(["pod_id"], ["pod.id"], name=op.f("fk_connector_pod_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connector")),
        sa.UniqueConstraint("pod_id", "name", name=op.f("uq_connector_pod_id_name")),
        sa.UniqueConstraint("uuid", name=op.f("uq_connector_uuid")),
        postgresql_with={"fillfactor": 70},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_connector_address"), "connector", ["address"], unique=False)
    op.create_index(op.f("ix_connector_inbox_id"), "connector", ["inbox_id"], unique=False)
    op.create_index("ix_connector_owner", "connector", ["node_id", "node_inc"], unique=False)
    op.create_table(
        "remote_folder",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("connector_id", BIG, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("delimiter", sa.Text()),
        sa.Column("role", sa.Text()),
        sa.Column("remote_id", sa.Text()),
        sa.Column("selectable", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("select_failures", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("probe_at", BIG),
        sa.Column("missing", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("gone", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("labels", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("capped", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("phase", sa.Text(), server_default=sa.text("'new'"), nullable=False),
        sa.Column("uidvalidity", BIG),
        sa.Column("uidnext", BIG),
        sa.Column("highest_modseq", BIG),
        sa.Column("modseq_ok", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("backfill_low", BIG),
        sa.Column("backfill_floor", BIG),
        sa.Column("last_full_scan_at", BIG),
        sa.Column("synced_at", BIG),
        sa.Column("resets", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("live", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("mailbox_id", BIG),
        sa.Column("pushed_modseq", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], name=op.f("fk_remote_folder_connector_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remote_folder")),
        sa.UniqueConstraint("connector_id", "raw", name=op.f("uq_remote_folder_connector_id_raw")),
        postgresql_with={"fillfactor": 50},
        sqlite_autoincrement=True,
    )
