"""The first schema: pods, inboxes, mailboxes, messages, content, keys, queue.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "change",
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("modseq", BIG, nullable=False),
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("uids", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("inbox_id", "modseq", "mailbox_id", "kind", name=op.f("pk_change")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_change_mailbox_modseq", "change", ["mailbox_id", "modseq"], unique=False)
    op.create_table(
        "content_chunk",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_chunk")),
    )
    op.create_table(
        "content_fetch",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("bodystructure", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_fetch")),
    )
    op.create_table(
        "content_header",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_header")),
    )
    op.create_table(
        "content_meta",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("body_id", BIG, nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("header_size", BIG, nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("has_nul", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("parser_version", sa.SmallInteger(), nullable=False),
        sa.Column("parts", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=True),
        sa.Column("in_reply_to", sa.LargeBinary(), nullable=True),
        sa.Column("refs", sa.LargeBinary(), nullable=True),
        sa.Column("sent_date", BIG, nullable=True),
        sa.Column("created_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_meta")),
    )
    op.create_index(op.f("ix_content_meta_body_id"), "content_meta", ["body_id"], unique=False)
    op.create_table(
        "expunged",
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("uid", BIG, nullable=False),
        sa.Column("content_id", BIG, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "uid", name=op.f("pk_expunged")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_expunged_at", "expunged", ["at"], unique=False)
    op.create_index("ix_expunged_content", "expunged", ["content_id"], unique=False)
    op.create_table(
        "garbage",
        sa.Column("content_id", BIG, autoincrement=False, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("content_id", name=op.f("pk_garbage")),
    )
    op.create_index(op.f("ix_garbage_at"), "garbage", ["at"], unique=False)
    op.create_table(
        "keyword",
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("bit", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "bit", name=op.f("pk_keyword")),
        sa.UniqueConstraint("mailbox_id", "folded", name=op.f("uq_keyword_mailbox_id_folded")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message",
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("uid", BIG, nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("content_id", BIG, nullable=False),
        sa.Column("modseq", BIG, nullable=False),
        sa.Column("internal_date", BIG, nullable=False),
        sa.Column("save_date", BIG, nullable=False),
        sa.Column("flags", BIG, nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("email_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox_id", "uid", name=op.f("pk_message")),
        postgresql_with={"fillfactor": 80},
        sqlite_with_rowid=False,
    )
    op.create_index("ix_message_content", "message", ["content_id"], unique=False)
    op.create_index("ix_message_inbox_email", "message", ["inbox_id", "email_id"], unique=False)
    op.create_index("ix_message_mailbox_modseq", "message", ["mailbox_id", "modseq"], unique=False)
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pod",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pod")),
        sa.UniqueConstraint("name", name=op.f("uq_pod_name")),
        sa.UniqueConstraint("uuid", name=op.f("uq_pod_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sent_mark",
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("hash", BIG, nullable=False),
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("uid", BIG, nullable=False),
        sa.Column("auto", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("inbox_id", "hash", "mailbox_id", "uid", name=op.f("pk_sent_mark")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sent_mark_inbox_at", "sent_mark", ["inbox_id", "at"], unique=False)
    op.create_table(
        "sequence",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sequence")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "staging",
        sa.Column("body_id", BIG, autoincrement=False, nullable=False),
        sa.Column("started_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("body_id", name=op.f("pk_staging")),
    )
    op.create_index(op.f("ix_staging_started_at"), "staging", ["started_at"], unique=False)
    op.create_table(
        "thread_ref",
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("hash", BIG, nullable=False),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("inbox_id", "hash", name=op.f("pk_thread_ref")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unit_done",
        sa.Column("writer", sa.Text(), nullable=False),
        sa.Column("last", BIG, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("writer", name=op.f("pk_unit_done")),
        postgresql_with={"fillfactor": 10},
    )
    op.create_table(
        "domain",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pod_id", BIG, nullable=False),
        sa.Column("local", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", BIG, server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["pod_id"], ["pod.id"], name=op.f("fk_domain_pod_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain")),
        sa.UniqueConstraint("name", name=op.f("uq_domain_name")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_domain_pod_id"), "domain", ["pod_id"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("pod_id", BIG, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("deleted_at", BIG, nullable=True),
        sa.Column("settings", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("modseq", BIG, server_default=sa.text("1"), nullable=False),
        sa.Column("last_uidvalidity", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("messages", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("octets", BIG, server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["pod_id"], ["pod.id"], name=op.f("fk_inbox_pod_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("uuid", name=op.f("uq_inbox_uuid")),
        postgresql_with={"fillfactor": 50},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_inbox_pod_id"), "inbox", ["pod_id"], unique=False)
    op.create_table(
        "address",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", BIG, server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_address_inbox_id")),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_address")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_address_inbox_id"), "address", ["inbox_id"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("pod_id", BIG, nullable=True),
        sa.Column("inbox_id", BIG, nullable=True),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("expires_at", BIG, nullable=True),
        sa.Column("revoked_at", BIG, nullable=True),
        sa.Column("last_used_at", BIG, nullable=True),
        sa.Column("parent", BIG, nullable=True),
        sa.Column("settings", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_api_key_inbox_id")),
        sa.ForeignKeyConstraint(["pod_id"], ["pod.id"], name=op.f("fk_api_key_pod_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_id", name=op.f("uq_api_key_key_id")),
        sa.UniqueConstraint("uuid", name=op.f("uq_api_key_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_api_key_inbox_id"), "api_key", ["inbox_id"], unique=False)
    op.create_index(op.f("ix_api_key_pod_id"), "api_key", ["pod_id"], unique=False)
    op.create_table(
        "mailbox",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("uidvalidity", BIG, nullable=False),
        sa.Column("uidnext", BIG, server_default=sa.text("1"), nullable=False),
        sa.Column("highest_modseq", BIG, server_default=sa.text("1"), nullable=False),
        sa.Column("pruned_modseq", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("messages", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("unseen", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("octets", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("noselect", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", BIG, server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_mailbox_inbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox")),
        sa.UniqueConstraint("inbox_id", "name", name=op.f("uq_mailbox_inbox_id_name")),
        sa.UniqueConstraint("object_id", name=op.f("uq_mailbox_object_id")),
        postgresql_with={"fillfactor": 50},
        sqlite_autoincrement=True,
    )
    op.create_table(
        "submission",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("key_id", BIG, nullable=True),
        sa.Column("mail_from", sa.Text(), nullable=False),
        sa.Column("content_id", BIG, nullable=False),
        sa.Column("envelope_id", sa.Text(), nullable=True),
        sa.Column("smtputf8", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("body8bit", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("finished_at", BIG, nullable=True),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_submission_inbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submission")),
        sa.UniqueConstraint("uuid", name=op.f("uq_submission_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_submission_content_id"), "submission", ["content_id"], unique=False)
    op.create_index(op.f("ix_submission_finished_at"), "submission", ["finished_at"], unique=False)
    op.create_index(op.f("ix_submission_inbox_id"), "submission", ["inbox_id"], unique=False)
    op.create_table(
        "subscription",
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_subscription_inbox_id")),
        sa.PrimaryKeyConstraint("inbox_id", "name", name=op.f("pk_subscription")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "queue_recipient",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("submission_id", BIG, nullable=False),
        sa.Column("inbox_id", BIG, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt", BIG, nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", BIG, nullable=True),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("enhanced", sa.Text(), nullable=True),
        sa.Column("text", sa.LargeBinary(), nullable=True),
        sa.Column("updated_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name=op.f("fk_queue_recipient_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_recipient")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_queue_recipient_due", "queue_recipient", ["state", "next_attempt"], unique=False)
    op.create_index(op.f("ix_queue_recipient_inbox_id"), "queue_recipient", ["inbox_id"], unique=False)
    op.create_index(op.f("ix_queue_recipient_submission_id"), "queue_recipient", ["submission_id"], unique=False)
    op.create_table(
        "queue_attempt",
        sa.Column("id", BIG, sa.Identity(always=False), nullable=False),
        sa.Column("recipient_id", BIG, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("enhanced", sa.Text(), nullable=True),
        sa.Column("text", sa.LargeBinary(), nullable=True),
        sa.Column("remote", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["recipient_id"], ["queue_recipient.id"], name=op.f("fk_queue_attempt_recipient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_attempt")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_queue_attempt_recipient_id"), "queue_attempt", ["recipient_id"], unique=False)
