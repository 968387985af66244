"""The tables of the store: this metadata is the truth, migrations lead to it, a test compares the two.

Rules that hold for all tables:
- Everything derived from mail is `Octets` (BLOB, `bytea`): PostgreSQL's text refuses NUL and broken UTF-8.
- Truth values are 0 or 1 in a small integer, times are Unix seconds UTC, so that rows read the same on both dialects.
- Ids that something outside this process may remember are never used again (AUTOINCREMENT, identity columns).
- Foreign keys stand on cold tables only. Hot tables (message, content) are held together by the units that write
  them and proved by `store.check`; a foreign key there costs a look-up a row and locks the parent on PostgreSQL.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

Big: Final = BigInteger().with_variant(Integer(), "sqlite")  # SQLite: only INTEGER PRIMARY KEY is the rowid
Octets: Final = LargeBinary()


def _id() -> Column[Any]:
    return Column("id", Big, Identity(), primary_key=True)


def _flag(name: str, default: int = 0) -> Column[Any]:
    return Column(name, SmallInteger, nullable=False, server_default=text(str(default)))


def _counter(name: str, default: int = 0) -> Column[Any]:
    return Column(name, Big, nullable=False, server_default=text(str(default)))


meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Facts about this store: created_at, restored_at …"""

sequence = Table(
    "sequence",
    metadata,
    Column("name", Text, primary_key=True),
    Column("next", Big, nullable=False),
    sqlite_with_rowid=False,
)
"""Numbers drawn in blocks before the unit that uses them (content and body ids)."""

pod = Table(
    "pod",
    metadata,
    _id(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Big, nullable=False),
    sqlite_autoincrement=True,
)

domain = Table(
    "domain",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("pod_id", Big, ForeignKey("pod.id"), nullable=False, index=True),
    _flag("local", 1),
    Column("created_at", Big, nullable=False, server_default=text("0")),
    sqlite_autoincrement=True,
)

inbox = Table(
    "inbox",
    metadata,
    _id(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("pod_id", Big, ForeignKey("pod.id"), nullable=False, index=True),
    Column("name", Text),
    Column("created_at", Big, nullable=False),
    Column("deleted_at", Big),
    Column("settings", Text, nullable=False, server_default=text("'{}'")),
    _counter("modseq", 1),
    _counter("last_uidvalidity"),
    Column("epoch", Text, nullable=False),
    _counter("messages"),
    _counter("octets"),
    _counter("mailboxes"),  # without \Noselect names
    _counter("tree_modseq"),  # of the last change of names, subscriptions or special uses
    Column("quota_octets", Big),  # NULL: no limit
    Column("quota_messages", Big),
    Column("quota_mailboxes", Big),
    sqlite_autoincrement=True,
    postgresql_with={"fillfactor": 50},  # the counters change with each delivery: keep those updates on the page
)

address = Table(
    "address",
    metadata,
    Column("address", Text, primary_key=True),
    Column("inbox_id", Big, ForeignKey("inbox.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),  # primary, alias, external
    Column("created_at", Big, nullable=False, server_default=text("0")),
    sqlite_with_rowid=False,
)

mailbox = Table(
    "mailbox",
    metadata,
    _id(),
    Column("inbox_id", Big, ForeignKey("inbox.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text),
    Column("object_id", Text, nullable=False, unique=True),
    Column("uidvalidity", Big, nullable=False),
    _counter("uidnext", 1),
    _counter("highest_modseq", 1),
    _counter("pruned_modseq"),  # expunges at or below this MODSEQ are no longer on record
    _counter("messages"),
    _counter("unseen"),
    _counter("octets"),
    _flag("noselect"),
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
    Column("modseq", Big, nullable=False),
    Column("internal_date", Big, nullable=False),
    Column("save_date", Big, nullable=False),
    Column("flags", Big, nullable=False),
    Column("size", Big, nullable=False),
    Column("email_id", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    PrimaryKeyConstraint("mailbox_id", "uid"),
    Index("ix_message_mailbox_modseq", "mailbox_id", "modseq"),
    Index("ix_message_inbox_email", "inbox_id", "email_id"),
    Index("ix_message_content", "content_id"),
    Index(  # what an EXPUNGE would free (RFC 9208 4.1.4): few rows at any time
        "ix_message_deleted",
        "inbox_id",
        "mailbox_id",
        "size",
        sqlite_where=text("flags & 8 <> 0"),
        postgresql_where=text("flags & 8 <> 0"),
    ),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 80},
)

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
    _flag("auto"),
    Column("at", Big, nullable=False),
    PrimaryKeyConstraint("inbox_id", "hash", "mailbox_id", "uid"),
    Index("ix_sent_mark_inbox_at", "inbox_id", "at"),
    sqlite_with_rowid=False,
)
"""Arrivals in \\Sent within the last hour by Message-ID: `auto` 1 is our own copy, which a client's replaces."""

content_meta = Table(
    "content_meta",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("body_id", Big, nullable=False, index=True),
    Column("size", Big, nullable=False),
    Column("header_size", Big, nullable=False),
    Column("sha256", Octets, nullable=False),
    _flag("has_nul"),
    Column("parser_version", SmallInteger, nullable=False),
    Column("parts", Octets, nullable=False),
    Column("body", Octets, nullable=False),
    Column("message_id", Octets),
    Column("in_reply_to", Octets),
    Column("refs", Octets),
    Column("sent_date", Big),
    Column("created_at", Big, nullable=False),
)
"""A row here means complete: staged octets have none, so nothing can refer to half a message."""

content_fetch = Table(
    "content_fetch",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("envelope", Octets, nullable=False),
    Column("bodystructure", Octets, nullable=False),
)
"""The narrow row FETCH joins: what is rendered once and asked for most."""

content_header = Table(
    "content_header",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("octets", Octets, nullable=False),
)

content_chunk = Table(
    "content_chunk",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),  # body id << 16 | number of the 64 KiB piece
    Column("octets", Octets, nullable=False),
)

content_fields = Table(
    "content_fields",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("octets", Octets, nullable=False),
)
"""Header fields as SEARCH compares them. Narrow, for most searches ask for a field."""

content_text = Table(
    "content_text",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("size", Big, nullable=False),
    Column("body_id", Big),
    Column("octets", Octets),
)
"""Text parts as SEARCH compares them; a large text lies in content_chunk, under a body id of its own.

A content has a row in both tables, or its text is still to be made.
"""

text_due = Table(
    "text_due",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
)
"""Contents whose text for SEARCH is still to be made."""

content_sort = Table(
    "content_sort",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("sent_date", Big),
    Column("reply", SmallInteger, nullable=False),
    Column("subject", Octets, nullable=False),
    Column("from_box", Octets, nullable=False),
    Column("to_box", Octets, nullable=False),
    Column("cc_box", Octets, nullable=False),
    Column("from_name", Octets, nullable=False),
    Column("to_name", Octets, nullable=False),
    Column("links", Octets, nullable=False),  # hashes of the Message-ID and of its ancestors', eight octets each
)
"""What SORT and THREAD compare, made when a mailbox is first sorted."""

staging = Table(
    "staging",
    metadata,
    Column("body_id", Big, primary_key=True, autoincrement=False),
    Column("started_at", Big, nullable=False, index=True),
)
"""Bodies that are still arriving; a row older than the longest session is an orphan."""

garbage = Table(
    "garbage",
    metadata,
    Column("content_id", Big, primary_key=True, autoincrement=False),
    Column("at", Big, nullable=False, index=True),
)
"""Contents that lost a reference other than an expunged message: the janitor looks whether any is left."""

unit_done = Table(
    "unit_done",
    metadata,
    Column("writer", Text, primary_key=True),
    Column("last", Big, nullable=False),
    Column("at", Big, nullable=False),
    postgresql_with={"fillfactor": 10},  # one row a writer, updated in place by each transaction
)
"""PostgreSQL: the last transaction each writer committed, which a retry after a broken COMMIT asks for first."""

api_key = Table(
    "api_key",
    metadata,
    _id(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("key_id", Text, nullable=False, unique=True),
    Column("hash", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("pod_id", Big, ForeignKey("pod.id"), index=True),
    Column("inbox_id", Big, ForeignKey("inbox.id"), index=True),
    Column("permissions", Text, nullable=False),  # names, sorted, joined by a blank
    Column("created_at", Big, nullable=False),
    Column("expires_at", Big),
    Column("revoked_at", Big),
    Column("last_used_at", Big),
    Column("parent", Big),
    Column("settings", Text, nullable=False, server_default=text("'{}'")),
    Column("scram", Text),  # RFC 5803 3; null: made before there was SCRAM
    Index("ix_api_key_opens", "pod_id", "inbox_id"),
    sqlite_autoincrement=True,
)

submission = Table(
    "submission",
    metadata,
    _id(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("inbox_id", Big, ForeignKey("inbox.id"), nullable=False, index=True),
    Column("key_id", Big),
    Column("mail_from", Text, nullable=False),
    Column("content_id", Big, nullable=False, index=True),
    Column("envelope_id", Text),
    _flag("smtputf8"),
    _flag("body8bit"),
    _flag("bodybinary"),  # RFC 3030: lines and octets that DATA cannot carry
    Column("created_at", Big, nullable=False),
    Column("finished_at", Big, index=True),
    Column("ret", Text),  # RFC 3461 4.3: FULL or HDRS
    Column("message_id", Octets),  # without its brackets: what a bounce from elsewhere names
    _counter("size"),  # octets that were accepted, for the history outlives the content
    Column("release_at", Big),  # RFC 4865: not before
    Column("draft", Text),  # EMAILID of the message in Drafts that waits for somebody's consent or its time
    Column("trace", Text),  # the id in its Received field, which its sender was told
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
    _id(),
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
    Column("hold_reason", Text),  # while `held`: approval, scheduled, operator, outcome, route, restore
    Index("ix_queue_recipient_due", "state", "next_attempt", "id"),
    sqlite_autoincrement=True,
)

queue_attempt = Table(
    "queue_attempt",
    metadata,
    _id(),
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
    _counter("before"),  # of the period before, which counts by the share of it that is not past yet
    PrimaryKeyConstraint("subject", "period"),
    sqlite_with_rowid=False,
)
"""Recipients that a key or an inbox has sent to."""

list_entry = Table(
    "list_entry",
    metadata,
    _id(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False),  # all, pod, inbox
    _counter("pod_id"),  # 0 where the scope has none, so that the constraint below counts it
    _counter("inbox_id"),
    Column("direction", Text, nullable=False),  # send, receive, reply
    Column("verdict", Text, nullable=False),  # allow, block
    Column("pattern", Text, nullable=False),  # an address or a domain, in lower case
    Column("reason", Text),
    Column("created_at", Big, nullable=False),
    UniqueConstraint("direction", "pattern", "scope", "pod_id", "inbox_id"),
    Index("ix_list_entry_place", "direction", "verdict", "scope", "pod_id", "inbox_id"),
    sqlite_autoincrement=True,
)
