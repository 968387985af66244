"""The text for SEARCH of mail with reports is made anew: it holds what they say. So is an index of trigrams.

Revision ID: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_LEAF = '[0,0,"message",'
"""How a part that is a leaf of type message begins in the table of parts."""


def upgrade() -> None:
    bind = op.get_bind()
    has = "instr(parts, :leaf) > 0" if bind.dialect.name == "sqlite" else "position(:leaf IN parts) > 0"
    found = bind.execute(
        sa.text(f"SELECT id FROM content_meta WHERE {has}").bindparams(sa.bindparam("leaf", type_=sa.LargeBinary())),
        {"leaf": _LEAF.encode("ascii")},
    )
    contents = [row.id for row in found]
    for statement in (
        "INSERT INTO staging (body_id, started_at) SELECT body_id, 0 FROM content_text WHERE id = :id"
        " AND body_id IS NOT NULL ON CONFLICT DO NOTHING",  # for the janitor
        "DELETE FROM content_text WHERE id = :id",
        "DELETE FROM content_fields WHERE id = :id",
        "INSERT INTO text_due (id) SELECT DISTINCT content_id FROM message WHERE content_id = :id"
        " ON CONFLICT DO NOTHING",
    ):
        if contents:
            bind.execute(sa.text(statement), [{"id": content_id} for content_id in contents])
    if contents:
        op.execute("DELETE FROM meta WHERE key = 'trigrams'")  # it rules out what it does not hold
