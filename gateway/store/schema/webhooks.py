"""Webhooks: who wants to be told of which events, how far each was told, and what became of it.

There is no row for a waiting event: the change log of each inbox is the queue, and a cursor for each webhook and inbox
says up to where it was delivered. Events that are to go again by themselves (a replay, a test) have rows of their own.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, SmallInteger, Table, Text, text

from .columns import Big, Octets, counter, flag, id_column, metadata

webhook = Table(
    "webhook",
    metadata,
    id_column(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False),  # all, pod, inbox
    Column("pod_id", Big, index=True),
    Column("inbox_id", Big, index=True),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("url", Text, nullable=False),
    Column("dialect", Text, nullable=False, server_default=text("'native'")),  # whose words it is told in
    Column("types", Text, nullable=False, server_default=text("''")),  # of that dialect, joined by blanks; '': all
    Column("signing_secret", Octets),  # sealed, as the following
    Column("former_secret", Octets),
    Column("former_until", Big),  # till then it signs as well
    Column("headers_sealed", Octets),  # JSON: custom fields, which may be secrets too
    Column("reads", Text, nullable=False, server_default=text("''")),  # permissions to read that its maker had
    Column("enabled", SmallInteger, nullable=False, server_default=text("1")),
    Column("reason", Text),  # for people: why it was switched off, or what goes wrong
    Column("failing_since", Big),
    Column("created_at", Big, nullable=False),
    Column("updated_at", Big, nullable=False),
    sqlite_autoincrement=True,
)

webhook_cursor = Table(
    "webhook_cursor",
    metadata,
    Column("webhook_id", Big, nullable=False),
    Column("inbox_id", Big, nullable=False, index=True),
    Column("modseq", Big, nullable=False),  # all up to here was delivered, and of the next …
    Column("position", Text, nullable=False),  # … what access.positions says
    counter("attempts"),  # of the event that is next
    counter("not_before"),
    Column("owner", Text),
    counter("owned_until"),
    PrimaryKeyConstraint("webhook_id", "inbox_id"),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 50},
)
"""A missing row means that nothing was delivered: the inbox is younger than the webhook."""

webhook_once = Table(
    "webhook_once",
    metadata,
    id_column(),
    Column("webhook_id", Big, nullable=False, index=True),
    counter("inbox_id"),  # 0: of none
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", Text, nullable=False),
    counter("attempts"),
    counter("not_before"),
    Column("owner", Text),
    counter("owned_until"),
    Column("created_at", Big, nullable=False),
    sqlite_autoincrement=True,
)

webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    id_column(),
    Column("webhook_id", Big, nullable=False),
    counter("inbox_id"),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", Big, nullable=False, index=True),
    Column("number", Big, nullable=False),
    flag("ok"),
    Column("status", Big),  # of HTTP; NULL: no answer
    Column("failure", Text),
    Column("duration_ms", Big, nullable=False),
    Column("answer", Octets),  # the first octets of it
    Index("ix_webhook_attempt_webhook_id", "webhook_id", "id"),
    sqlite_autoincrement=True,
)
"""Kept for a week."""
