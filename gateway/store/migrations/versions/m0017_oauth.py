"""OAuth 2: clients that providers know us as, what accounts have granted, logins that are under way.

Revision ID: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "oauth_app",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary()),
        sa.Column("key_sealed", sa.LargeBinary()),
        sa.Column("key_name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("endpoints", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("redirect", sa.Text()),
        sa.Column("status", sa.Text(), server_default=sa.text("'ok'"), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("retry_at", BIG),
        sa.Column("failures", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_app")),
        sa.UniqueConstraint("name", name=op.f("uq_oauth_app_name")),
        sa.UniqueConstraint("uuid", name=op.f("uq_oauth_app_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "oauth_grant",
        sa.Column("id", BIG, sa.Identity(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("app_id", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("refresh_sealed", sa.LargeBinary()),
        sa.Column("access_sealed", sa.LargeBinary()),
        sa.Column("access_expires", BIG),
        sa.Column("refresh_at", BIG),
        sa.Column("version", BIG, server_default=sa.text("1"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("last_error_at", BIG),
        sa.Column("failures", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", BIG, server_default=sa.text("0"), nullable=False),
        sa.Column("refresh_owner", sa.Text()),
        sa.Column("refresh_until", BIG),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("updated_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["oauth_app.id"], name=op.f("fk_oauth_grant_app_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_grant")),
        sa.UniqueConstraint("uuid", name=op.f("uq_oauth_grant_uuid")),
        postgresql_with={"fillfactor": 70},
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_oauth_grant_app_id"), "oauth_grant", ["app_id"], unique=False)
    op.create_table(
        "oauth_login",
        sa.Column("state_hash", sa.Text(), nullable=False),
        sa.Column("app_id", BIG, nullable=False),
        sa.Column("grant_id", BIG),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("identities", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("redirect", sa.Text(), nullable=False),
        sa.Column("verifier_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("expires_at", BIG, nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["oauth_app.id"], name=op.f("fk_oauth_login_app_id")),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_oauth_login")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_oauth_login_app_id"), "oauth_login", ["app_id"], unique=False)
    op.create_index(op.f("ix_oauth_login_expires_at"), "oauth_login", ["expires_at"], unique=False)
