"""What an inbox holds: mailboxes, messages, what changed and went, and what threads and Sent copies are known by."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from .columns import Big, Octets, counter, flag, id_column, metadata

mailbox = Table(
    "mailbox",
    metadata,
    id_column(),
    Column("inbox_id", Big, ForeignKey("inbox.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text),
    Column("object_id", Text, nullable=False, unique=True),
    Column("uidvalidity", Big, nullable=False),
    counter("uidnext", 1),
    counter("highest_modseq", 1),
    counter("pruned_modseq"),  # expunges at or below this MODSEQ are no longer on record
    Column("flag_record", Text, nullable=False, server_default=text("''")),  # store.flag_record
    counter("flag_floor"),  # changes of flags at or below this MODSEQ are not in it
    counter("messages"),
    counter("unseen"),
    counter("octets"),
    flag("noselect"),
    Column("created_at", Big, nullable=False, server_default=text("0")),
    UniqueConstraint("inbox_id", "name"),
    sqlite_autoincrement=True,
    postgresql_with={"fillfactor": 50},
)

subscription = Table(
    "subscription",
    metadata,
    Column("inbox_id", Big, ForeignKey("inbox.id"), nullable=False),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("inbox_id", "name"),
    sqlite_with_rowid=False,
)
"""A table of its own: RFC 3501 6.3.6 lets a subscription outlive its mailbox."""

keyword = Table(
    "keyword",
    metadata,
    Column("mailbox_id", Big, nullable=False),
    Column("bit", SmallInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False),
    PrimaryKeyConstraint("mailbox_id", "bit"),
    UniqueConstraint("mailbox_id", "folded"),
    sqlite_with_rowid=False,
)
"""bit number (model.flags) -> keyword; rows are only ever added while the mailbox lives."""

message = Table(
    "message",
    metadata,
    Column("mailbox_id", Big, nullable=False),
    Column("uid", Big, nullable=False),
    Column("inbox_id", Big, nullable=False),
    Column("content_id", Big, nullable=False),
    Column("internal_date", Big, nullable=False),
    Column("save_date", Big, nullable=False),
    Column("size", Big, nullable=False),
    Column("email_id", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    counter("arrived"),  # MODSEQ of its arrival here; 0: before this was kept
    flag("came"),  # store.event_log.Came
    PrimaryKeyConstraint("mailbox_id", "uid"),
    Index("ix_message_inbox_email", "inbox_id", "email_id"),
    Index("ix_message_content", "content_id"),
    Index("ix_message_mailbox_date", "mailbox_id", "internal_date", "content_id"),  # lists newest first
    Index("ix_message_inbox_thread", "inbox_id", "thread_id"),
    sqlite_with_rowid=False,
)
"""What never changes of a message; one row of `message_flags` has what does."""

message_flags = Table(
    "message_flags",
    metadata,
    Column("mailbox_id", Big, nullable=False),
    Column("uid", Big, nullable=False),
    Column("flags", Big, nullable=False),
    Column("modseq", Big, nullable=False),
    PrimaryKeyConstraint("mailbox_id", "uid"),
    Index(  # what an EXPUNGE would free (RFC 9208 4.1.4): few rows at any time
        "ix_message_flags_deleted",
        "mailbox_id",
        "uid",
        sqlite_where=text("flags & 8 <> 0"),
        postgresql_where=text("flags & 8 <> 0"),
    ),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 80},
)
"""A table of its own, since a change of all flags writes all of it: a tenth of what messages take. No index by MODSEQ,
which each change would move: `store.flag_record` says what changed."""

expunged = Table(
    "expunged",
    metadata,
    Column("mailbox_id", Big, nullable=False),
    Column("uid", Big, nullable=False),
    Column("content_id", Big, nullable=False),
    Column("at", Big, nullable=False),
    Column("size", Big),  # NULL, as the following: recorded before they were kept
    Column("internal_date", Big),
    Column("save_date", Big),
    Column("email_id", Text),
    Column("thread_id", Text),
    counter("arrived"),
    flag("came"),
    PrimaryKeyConstraint("mailbox_id", "uid"),
    Index("ix_expunged_at", "at"),
    Index("ix_expunged_content", "content_id"),
    sqlite_with_rowid=False,
)
"""What sessions that were not told yet may still fetch (RFC 2180 4.1), for an hour."""

url_key = Table(
    "url_key",
    metadata,
    Column("mailbox_id", Big, primary_key=True, autoincrement=False),
    Column("inbox_id", Big, nullable=False),
    Column("key", Octets, nullable=False),
    Index("ix_url_key_inbox", "inbox_id"),
)
"""The secret that signs URLs of a mailbox (RFC 4467 2.2)."""

change = Table(
    "change",
    metadata,
    Column("inbox_id", Big, nullable=False),
    Column("modseq", Big, nullable=False),
    Column("mailbox_id", Big, nullable=False),  # 0: of the inbox as a whole
    Column("kind", Text, nullable=False),
    Column("uids", Text, nullable=False, server_default=text("''")),  # an RFC 3501 sequence-set
    Column("detail", Text),  # store.event_log: what a mailbox was that is gone or renamed, in JSON
    PrimaryKeyConstraint("inbox_id", "modseq", "mailbox_id", "kind"),
    Index("ix_change_mailbox_modseq", "mailbox_id", "modseq"),
    sqlite_with_rowid=False,
)

annotation = Table(
    "annotation",
    metadata,
    Column("inbox_id", Big, nullable=False),
    Column("mailbox_id", Big, nullable=False),  # 0: of the server, as this inbox sees it
    Column("entry", Text, nullable=False),
    Column("value", Octets),  # NULL: removed, and kept for a while so that other sessions can be told
    Column("modseq", Big, nullable=False),
    PrimaryKeyConstraint("inbox_id", "mailbox_id", "entry"),
    Index("ix_annotation_inbox_modseq", "inbox_id", "modseq"),
)
"""RFC 5464 entries by their names in small letters."""

thread_ref = Table(
    "thread_ref",
    metadata,
    Column("inbox_id", Big, nullable=False),
    Column("hash", Big, nullable=False),
    Column("thread", Text, nullable=False),
    PrimaryKeyConstraint("inbox_id", "hash"),
    sqlite_with_rowid=False,
)
"""hash of a Message-ID -> thread, for a message's own id and each id it refers to."""

sent_mark = Table(
    "sent_mark",
    metadata,
    Column("inbox_id", Big, nullable=False),
    Column("hash", Big, nullable=False),
    Column("mailbox_id", Big, nullable=False),
    Column("uid", Big, nullable=False),
    flag("auto"),
    Column("at", Big, nullable=False),
    PrimaryKeyConstraint("inbox_id", "hash", "mailbox_id", "uid"),
    Index("ix_sent_mark_inbox_at", "inbox_id", "at"),
    sqlite_with_rowid=False,
)
"""Arrivals in \\Sent within the last hour by Message-ID: `auto` 1 is our own copy, which a client's replaces."""
