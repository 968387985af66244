"""Every statement of the store finds its rows by key on SQLite: none walks a large table, or an inbox's share of one.

A statement that walks what it could look up is right and fast in every test and slow in every large mailbox. What
SQLite will do is asked here instead (EXPLAIN QUERY PLAN), and each walk that is meant stands in WALKS with its reason.

An empty store does for that: nobody runs ANALYZE on ours, so plans know the indexes and nothing of how full tables are.
"""

from __future__ import annotations

import importlib
import itertools
import json
import pkgutil
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

import gateway.store
import gateway.store.connectors
from gateway.store import rows, sqlite
from gateway.store.rows import Columns
from gateway.store.statements import Stmt

LARGE: Final = frozenset(
    {
        "message", "message_flags", "expunged", "change", "thread_ref", "sent_mark", "garbage", "staging", "submission",
        "queue_recipient", "queue_attempt", "content_meta", "content_fetch", "content_header", "content_chunk",
        "content_fields", "content_text", "text_due", "accepted_once", "remote_message", "remote_place",
        "local_source", "connector_event",
    }
)
"""Tables that grow with mail. The others grow with people."""

CHECK: Final = "the consistency check reads all there is, in a reader"
REPAIR: Final = "only a repair asks, for what only a defect leaves"
HOURLY: Final = "the janitor asks once an hour"
WHOLE: Final = "each message of a mailbox that ends, or whose messages all move, is what it is about"
DELETED: Final = "by an index that holds only what bears \\Deleted"
PIECES: Final = "pieces with a LIMIT, deleted before the next is asked for"
SERIES: Final = "a person asks for a chart, in a reader: submissions of inboxes, of which the history keeps a month"
WALKS: Final[dict[str, str]] = {
    "changes._FROM_INBOX": "of mailboxes that were just made: their record is short",
    "check.RULES": CHECK,
    "check_deep._FLAGS": CHECK,
    "check_deep._CHANGES": CHECK,
    "recount._MAILBOXES": REPAIR,
    "recount._STRAY": REPAIR,
    "cleanup._ORPHANS": REPAIR,
    "cleanup._ORPHAN_BODIES": REPAIR,
    "cleanup._HALVES": REPAIR,
    "cleanup._LONG_RECORDS": HOURLY,
    "cleanup._SUPERSEDED": HOURLY,
    "cleanup._FIRST_KEPT": f"{HOURLY}, of mailboxes with too long a record; goes no further than what is kept",
    "cleanup._OLDEST": f"{HOURLY}, of mailboxes with too long a record; goes no further than one piece",
    "cleanup._SAVED_BEFORE": f"{HOURLY}, of Trash and Spam, if they are to expire; the oldest are met first",
    "connectors.own_copies._LAST": "goes no further than the last few hundred",
    "connectors.places._EMAILS_OF": "of messages that nothing stands for, where All Mail is shown no more",
    "connectors.pushing._END_FOLDER": "each message of a folder that ends is what it is about",
    "connectors.removal._OF_FOLDER": PIECES,
    "connectors.reset._PROVEN": "somebody resets a connector: all of a folder is what it is about",
    "connectors.removal._OF_CONNECTOR": PIECES,
    "event_log._KEPT": f"{HOURLY}, of inboxes with too long a record; goes no further than what is kept",
    "event_log._LONG": HOURLY,
    "event_log._OLDEST": f"{HOURLY}, of inboxes with too long a record; goes no further than one piece",
    "event_rows._ENDS": "from the last message back, a few",
    "event_rows._FIRST_UID": "the first of all",
    "event_rows._FLAGGED_BEFORE": "for who is further behind than the mailbox's record of changed flags, in a reader",
    "expunge._FLAGGED": "for callers without a session; IMAP's EXPUNGE knows the UIDs from its state",
    "flag_rows._ALL": "by somebody who is further behind than the mailbox's record of changed flags, in a reader",
    "flag_rows._LAST": "from the last message back, with a LIMIT: to the first that is old, all before is the answer",
    "inboxes._MESSAGES": PIECES,
    "inboxes._EXPUNGED": PIECES,
    "inboxes._SUBMISSIONS": PIECES,
    "inboxes._WIDE": PIECES,
    "inboxes._SUBMISSION_GARBAGE": "an inbox is purged: its submissions, of which the history keeps a month",
    "inboxes._COLD": "an inbox is purged, after everything large in it",
    "inboxes._INSERT": "the foreign key's own look-up; a new inbox has no submissions",
    "listing._ALL": DELETED,
    "listing._ONE_DELETED": DELETED,
    "mailboxes._END": WHOLE,
    "mailboxes._UIDS": WHOLE,
    "mailboxes._COPY_MESSAGES": WHOLE,
    "mailboxes._KEEP_EXPUNGED": WHOLE,
    "mailboxes._DELETE_MESSAGES": WHOLE,
    "mailboxes._COPY_FLAGS": WHOLE,
    "mailboxes._DELETE_FLAGS": WHOLE,
    "search_text._MISSING": REPAIR,
    "search_text._COUNT_DUE": "a figure for the metrics, once a minute: a number a content that waits",
    "metric_series._SENT": SERIES,
    "metric_series._SENT_TO": SERIES,
    "metric_series._HERE": SERIES,
    "metric_series._OUTCOMES": SERIES,
    "metric_series._THREADS": "a person asks how many threads there are, in a reader: by the index of threads alone",
    "queue_list._BY_TRACE": "a person asks, and the newest are met first",
    "queue_account._OPEN": "somebody switches an account on, or removes it: the same submissions",
    "queue._OPEN_OF_INBOX": "an inbox is deleted: its submissions, of which the history keeps a month",
}
"""Statement -> why it may walk."""

_TABLE = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+([a-z_]+)\b(?!\s*\()(?:\s+(?:AS\s+)?(?!(?:ON|WHERE|SET|JOIN|CROSS|"
                    r"LEFT|GROUP|ORDER|LIMIT|UNION|VALUES|SELECT|DO|USING|AS)\b)([a-z_]\w*))?")
_WALK = re.compile(r"SCAN (\S+)|SEARCH (\S+) USING .*\((?:inbox_id|mailbox_id|folder_id|connector_id)=\?\)$")
_BINDS = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")


def walked(connection: Any, statement: Stmt) -> set[str]:
    """Large tables that the statement walks: in whole, or all rows of one inbox or mailbox."""
    compiled = statement.for_sqlite()
    names = set(_BINDS.findall(compiled.sql))
    binds = {name: json.dumps([[1, 2]] if name == "ranges" else [1, 2]) if name in compiled.lists else 1
             for name in names} | dict(compiled.defaults)
    tables: dict[str, set[str]] = {}
    for table, alias in _TABLE.findall(compiled.sql):
        tables.setdefault(alias or table, set()).add(table)
    found: set[str] = set()
    for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {compiled.sql}", binds):
        if (walk := _WALK.match(detail)) is not None:
            name = walk[1] or walk[2]
            found |= tables.get(name, {name})
    return found & LARGE


def statements() -> Iterator[tuple[str, Stmt]]:
    """(module.name, statement) of all that have a text for SQLite; those of a tuple or a table bear its name."""
    for columns in itertools.chain([Columns(0)], Columns, [~Columns(0)]):
        for dense, whole in itertools.product((True, False), repeat=2):
            yield "rows._statement", rows._statement(columns, dense, whole)
    for module in itertools.chain(
        pkgutil.iter_modules(gateway.store.__path__, "gateway.store."),
        pkgutil.iter_modules(gateway.store.connectors.__path__, "gateway.store.connectors."),
    ):
        if not module.ispkg:
            for name, value in vars(importlib.import_module(module.name)).items():
                for statement in _within(value):
                    yield f"{module.name.removeprefix('gateway.store.')}.{name}", statement


def _within(value: Any) -> Iterator[Stmt]:
    if isinstance(value, Stmt):
        text = value._sources["sqlite"]
        if text is not None and "FOR UPDATE" not in str(text):  # that one runs on PostgreSQL only
            yield value
    elif isinstance(value, dict):
        yield from _within(list(value.values()))
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _within(each)
    elif type(value).__module__.startswith("gateway.store."):  # an object that holds statements, such as ByUids
        names = getattr(value, "__dict__", None) or getattr(type(value), "__slots__", ())
        yield from _within([getattr(value, name, None) for name in names])


@pytest.fixture
def connection(sqlite_url: str) -> Iterator[Any]:
    from gateway.store.urls import parse_url

    opened = sqlite.connect(parse_url(sqlite_url).path, reading=False)
    yield opened
    opened.close()


def test_no_statement_walks_a_large_table_unless_it_is_meant_to(connection: Any) -> None:
    walks: dict[str, set[str]] = {}
    seen = 0
    for name, statement in statements():
        seen += 1
        if tables := walked(connection, statement):
            walks.setdefault(name, set()).update(tables)
    assert seen > 250, "all statements of the package are looked at"
    assert {name: tables for name, tables in walks.items() if name not in WALKS} == {}
    assert WALKS.keys() - walks.keys() == set(), "these do not walk any more"


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("SELECT r.thread FROM json_each(:hashes) AS o JOIN thread_ref AS r ON r.inbox_id = :inbox"
         " AND r.hash = o.value ORDER BY o.key LIMIT 1", "thread_ref"),
        ("SELECT 1 FROM message WHERE email_id = :email", "message"),
        ("SELECT m.uid FROM message_flags AS m WHERE m.mailbox_id = :mailbox AND m.flags = :flags", "message_flags"),
        ("DELETE FROM change WHERE inbox_id = :inbox AND kind = :kind", "change"),
        ("UPDATE submission SET finished_at = :now WHERE uuid <> :uuid", "submission"),
        ("SELECT id FROM content_meta c WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.uid = c.id)", "message"),
    ],
)
def test_a_walk_is_seen(connection: Any, text: str, table: str) -> None:
    assert table in walked(connection, Stmt(text))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT flags FROM message_flags WHERE mailbox_id = :mailbox AND uid BETWEEN :low AND :high",
        "SELECT r.thread FROM json_each(:hashes) AS o CROSS JOIN thread_ref AS r ON r.inbox_id = :inbox"
        " AND r.hash = o.value ORDER BY o.key LIMIT 1",
        "SELECT id FROM pod",
        "INSERT INTO thread_ref (inbox_id, hash, thread) SELECT :inbox, h.value, :t FROM json_each(:hashes) AS h",
    ],
)
def test_a_look_up_is_none(connection: Any, text: str) -> None:
    assert walked(connection, Stmt(text)) == set()
