"""Mail that was submitted: its recipients, attempts and history, reports, and what limits and retries are known by."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, SmallInteger, Table, Text, text

from .columns import Big, Octets, counter, flag, id_column, metadata

submission = Table(
    "submission",
    metadata,
    id_column(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("inbox_id", Big, ForeignKey("inbox.id"), nullable=False, index=True),
    Column("key_id", Big),
    Column("mail_from", Text, nullable=False),
    Column("content_id", Big, nullable=False, index=True),
    Column("envelope_id", Text),
    flag("smtputf8"),
    flag("body8bit"),
    flag("bodybinary"),  # RFC 3030: lines and octets that DATA cannot carry
    Column("created_at", Big, nullable=False),
    Column("finished_at", Big, index=True),
    Column("ret", Text),  # RFC 3461 4.3: FULL or HDRS
    Column("message_id", Octets),  # without its brackets: what a bounce from elsewhere names
    counter("size"),  # octets that were accepted, for the history outlives the content
    Column("release_at", Big),  # RFC 4865: not before
    Column("draft", Text),  # EMAILID of the message in Drafts that waits for somebody's consent or its time
    Column("trace", Text),  # the id in its Received field, which its sender was told
    Column("account_gone", Text),  # name of the connector that was to send it and was removed
    flag("gone_fallback"),  # whose mail might go by the default relay
    Column("hold", Text),  # RFC 4865 5.1.2: for;seconds or until;moment, as its sender asked
    Index("ix_submission_message", "inbox_id", "message_id"),
    Index("ix_submission_envelope", "inbox_id", "envelope_id"),
    Index("ix_submission_draft", "inbox_id", "draft"),
    Index(
        "ix_submission_release",
        "release_at",
        sqlite_where=text("draft IS NOT NULL"),
        postgresql_where=text("draft IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)
"""One acceptance; also of mail that stayed here, whose recipients are `sent` at once: its history."""

queue_recipient = Table(
    "queue_recipient",
    metadata,
    id_column(),
    Column("submission_id", Big, ForeignKey("submission.id"), nullable=False, index=True),
    Column("inbox_id", Big, nullable=False, index=True),
    Column("address", Text, nullable=False),
    Column("domain", Text, nullable=False, server_default=text("''")),  # destination: a slow one must not hold others
    Column("state", Text, nullable=False),  # queued, sending, deferred, held, sent, bounced, cancelled
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt", Big),
    Column("lease_owner", Text),
    Column("lease_until", Big),
    Column("code", Integer),
    Column("enhanced", Text),
    Column("text", Octets),
    Column("updated_at", Big, nullable=False),
    Column("notify", SmallInteger),  # RFC 3461 4.1: 1 success, 2 failure, 4 delay; 0 never; null: not said
    Column("orcpt", Text),  # RFC 3461 4.2, as the client wrote it
    Column("delay_told", Big),  # when the sender was told of the delay
    Column("hold_reason", Text),  # while `held`: approval, scheduled, operator, outcome, route, restore, key
    Index("ix_queue_recipient_due", "state", "next_attempt", "id"),
    sqlite_autoincrement=True,
)

queue_attempt = Table(
    "queue_attempt",
    metadata,
    id_column(),
    Column("recipient_id", Big, ForeignKey("queue_recipient.id"), nullable=False, index=True),
    Column("at", Big, nullable=False),
    Column("state", Text, nullable=False),
    Column("code", Integer),
    Column("enhanced", Text),
    Column("text", Octets),
    Column("remote", Text),
    sqlite_autoincrement=True,
)

report_due = Table(
    "report_due",
    metadata,
    Column("content_id", Big, nullable=False),
    Column("inbox_id", Big, nullable=False),
    Column("at", Big, nullable=False),
    PrimaryKeyConstraint("content_id", "inbox_id"),
    sqlite_with_rowid=False,
)
"""Mail that came into an inbox and may be a report about what that inbox sent: still to be looked at."""

notice_due = Table(
    "notice_due",
    metadata,
    Column("submission_id", Big, primary_key=True, autoincrement=False),
    Column("at", Big, nullable=False),
)
"""Submissions delivered here whose sender asked to be told so (RFC 3461 4.1) and is not told yet."""

accepted_once = Table(
    "accepted_once",
    metadata,
    Column("digest", Octets, nullable=False),
    Column("at", Big, nullable=False, index=True),
    Column("trace", Text, nullable=False, server_default=text("''")),  # of the submission that it became
    PrimaryKeyConstraint("digest"),
    sqlite_with_rowid=False,
)
"""Hash of key, reverse-path, Message-ID, octets and recipient of what was accepted lately: a retry is known by it."""

send_count = Table(
    "send_count",
    metadata,
    Column("subject", Text, nullable=False),  # k<api_key.id> or i<inbox.id>
    Column("period", Integer, nullable=False),  # seconds: an hour, a day
    Column("start", Big, nullable=False),
    Column("count", Big, nullable=False),
    counter("before"),  # of the period before, which counts by the share of it that is not past yet
    PrimaryKeyConstraint("subject", "period"),
    sqlite_with_rowid=False,
)
"""Recipients that a key or an inbox has sent to."""
