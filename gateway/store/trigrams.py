"""A trigram index over the texts for SEARCH: which messages cannot hold a needle, asked before their texts are read.

A file of its own beside the store (`trigram_file` writes it), for either database: SQLite's FTS5 without the texts and
without positions. Its rows are contents, so all inboxes share one index, and a content that lies in many is in it once.
It is a cache. What it says is only ever "this content has no such characters in a row": messages it does not know, and
those it cannot rule out, are looked at as without it (`imap.search_text`).

A needle in a text means that each three characters in a row of the needle are in the text: `match`. The texts are
folded already, so nothing is folded here.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import structlog

from gateway.model.errors import Unavailable
from gateway.model.ids import ContentId, MailboxId

from . import driver
from .db import Rx, Tx
from .search_text import SEPARATOR, large_text
from .sqlite_errors import CORRUPTIONS, error_code
from .statements import Stmt

log = structlog.get_logger(__name__)
T = TypeVar("T")

BLOCK: Final = 4096
"""Contents, by id, whose marks (one bit each: it is in the index) are one row."""
LEAST: Final = 512
"""Messages of a block that must be asked about: of a needle all of whose trigrams are common, the index reads as much
for a mailbox that has few of the ids there as for one that has all of them (docs/performance)."""
LEAST_PAGE: Final = 512
"""Messages of a page from which asking the index takes half the time of looking them through."""
MOST_TRIGRAMS: Final = 12
"""Of a long needle so many are asked for: a common one costs 40 ns a content, and the text is looked at anyway."""
_NEITHER: Final = bytes.maketrans(b"\x00" + SEPARATOR, b"\x01\x01")
"""FTS5 reads a text up to NUL; the separator is no UTF-8. Texts and needles are both changed so."""

_CONTENTS = Stmt(
    "SELECT uid, content_id FROM message WHERE mailbox_id = :mailbox AND uid BETWEEN :low AND :high ORDER BY uid"
)
_KEEP_TOKEN = Stmt("INSERT INTO meta (key, value) VALUES ('trigrams', :token) ON CONFLICT (key) DO NOTHING")
# A PostgreSQL that was restored, or failed over, is another store: ids of contents are given again there.
_TOKEN = Stmt(
    sqlite="SELECT value FROM meta WHERE key = 'trigrams'",
    postgresql="SELECT concat_ws(' ', value, (SELECT system_identifier FROM pg_control_system()),"
    " substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), CAST(CAST('message' AS regclass) AS oid))"
    " FROM meta WHERE key = 'trigrams'",
)
_LAST_ID = Stmt("SELECT next FROM sequence WHERE name = 'content'")
_NEXT = Stmt("SELECT content_id FROM message WHERE content_id >= :first ORDER BY content_id LIMIT 1")
_HELD = Stmt("SELECT DISTINCT content_id FROM message WHERE content_id BETWEEN :first AND :last ORDER BY content_id")
_SIZES = Stmt(
    "SELECT t.id, t.size + length(f.octets) FROM content_text t JOIN content_fields f ON f.id = t.id"
    " WHERE t.id IN :LIST(rows) ORDER BY t.id"
)
_TEXTS = Stmt(
    "SELECT t.id, f.octets, t.octets FROM content_text t JOIN content_fields f ON f.id = t.id"
    " WHERE t.id IN :LIST(rows) ORDER BY t.id"
)

MARKS: Final = "SELECT block, bits FROM mark WHERE block BETWEEN ? AND ? ORDER BY block"
_FIND: Final = "SELECT rowid FROM trigram WHERE trigram MATCH ? AND rowid BETWEEN ? AND ?"
_WHICH: Final = "SELECT value FROM fact WHERE key = 'token'"


@dataclass(frozen=True, slots=True)
class Index:
    """Where it is, and the token by which a reader knows that it is this one and no older or newer."""

    path: Path
    token: str


class IndexDamaged(Unavailable):
    """The file cannot be read: the index is to be made anew, and the question asked without it."""


class Trigrams(Protocol):
    """Who keeps the trigram index, if there is one."""

    @property
    def index(self) -> Index | None:
        """What searches may ask now."""

    def damaged(self, index: Index, /) -> None:
        """A search could not read `index`: from now on there is none, until another one is made."""


async def with_index(kept: Trigrams | None, ask: Callable[[Index | None], Awaitable[T]]) -> T:
    """What `ask` answers with the index there is now; where it turns out to be damaged, without one."""
    index = None if kept is None else kept.index
    if kept is None or index is None:
        return await ask(None)
    try:
        return await ask(index)
    except IndexDamaged:
        kept.damaged(index)
        return await ask(None)


def store_token(tx: Tx, fresh: str) -> str:
    """The token by which an index knows its store; it becomes `fresh` if there is none."""
    tx.run(_KEEP_TOKEN, token=fresh)
    kept: str = tx.scalar(_TOKEN)
    return kept


def last_id(rx: Rx) -> int:
    """All contents' ids are below it."""
    found: int | None = rx.scalar(_LAST_ID)
    return found or 0


def next_content(rx: Rx, first: int) -> ContentId | None:
    """The first content from id `first` on that a message has."""
    found: ContentId | None = rx.scalar(_NEXT, first=first)
    return found


def contents(rx: Rx, block: int) -> list[ContentId]:
    """All contents of a block that messages have, rising."""
    rows = rx.all(_HELD, first=block * BLOCK, last=(block + 1) * BLOCK - 1)
    return [ContentId(row[0]) for row in rows]


def sizes(rx: Rx, content_ids: Sequence[ContentId]) -> dict[ContentId, int]:
    """Octets of fields and text of those that have theirs stored."""
    return {ContentId(row[0]): row[1] for row in rx.all(_SIZES, rows=content_ids)}


def texts(rx: Rx, content_ids: Sequence[ContentId]) -> list[tuple[ContentId, bytes]]:
    """What the index is made of: fields and text of each, rising by id. The caller knows how much it is."""
    return [
        (ContentId(row[0]), row[1] + (row[2] if row[2] is not None else large_text(rx, ContentId(row[0]))))
        for row in rx.all(_TEXTS, rows=content_ids)
    ]


def indexed_form(octets: bytes) -> bytes:
    """Folded text as the index takes it: UTF-8 without NUL."""
    return octets.translate(_NEITHER)


def match(needle: bytes) -> str | None:
    """FTS5's expression for what may hold the folded `needle`; None for one that is too short to be asked for."""
    text = indexed_form(needle).decode("utf-8", "replace")
    found = list(dict.fromkeys(text[at : at + 3] for at in range(len(text) - 2)))
    if len(found) > MOST_TRIGRAMS:  # some from everywhere, the ends too
        found = [found[at * (len(found) - 1) // (MOST_TRIGRAMS - 1)] for at in range(MOST_TRIGRAMS)]
    return " AND ".join(['"' + each.replace('"', '""') + '"' for each in found]) or None


def to_look_at(rx: Rx, index: Index, mailbox_id: MailboxId, uids: Sequence[int], needle: bytes) -> Sequence[int]:
    """The rising `uids` without messages that surely do not hold the folded `needle`, and those that are gone.

    All of them where the index does not pay: a short needle, few messages, or few of this mailbox among the contents
    of others. Raises IndexDamaged.
    """
    if not pays(len(uids), needle) or uids[-1] - uids[0] >= 4 * len(uids):
        return uids
    rows = rx.all(_CONTENTS, mailbox=mailbox_id, low=uids[0], high=uids[-1])
    if len(rows) != uids[-1] - uids[0] + 1 or len(rows) != len(uids):
        asked = set(uids)
        rows = [row for row in rows if row[0] in asked]
    may = may_hold(index, [row[1] for row in rows], needle)
    return uids if may is None else [uid for uid, content_id in rows if may(content_id)]


def pays(count: int, needle: bytes) -> bool:
    """Whether the index may be asked about so many messages and the folded `needle`."""
    return count >= LEAST_PAGE and match(needle) is not None


def may_hold(index: Index, content_ids: Sequence[ContentId], needle: bytes) -> Callable[[ContentId], bool] | None:
    """Which of the contents, in any order, may hold the folded `needle`; None: the index does not pay.

    Raises IndexDamaged.
    """
    expression = match(needle)
    counted = Counter([content_id // BLOCK for content_id in content_ids])
    blocks = sorted(block for block, count in counted.items() if count >= LEAST)
    if expression is None or not blocks:
        return None
    answer = _asked(index, expression, list(_runs(blocks)))
    if answer is None:
        return None
    marks, hits = answer
    none = bytes(BLOCK // 8)
    return lambda content_id: (
        content_id in hits
        or not marks.get(content_id // BLOCK, none)[content_id % BLOCK >> 3] >> (content_id & 7) & 1
    )


def _runs(blocks: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Neighbours of the rising `blocks` as (first, last): one question each."""
    first = last = -1
    for block in blocks:
        if block != last + 1 or first < 0:
            if first >= 0:
                yield first, last
            first = block
        last = block
    yield first, last


def _asked(
    index: Index, expression: str, runs: Sequence[tuple[int, int]]
) -> tuple[dict[int, bytes], set[ContentId]] | None:
    """Marks of the blocks, and contents that may hold it; None when there is no such index now."""
    errors = driver.load().Error
    try:
        connection = _opened(index)
        if connection is None:
            return None
        marks: dict[int, bytes] = {}
        hits: set[ContentId] = set()
        connection.execute("BEGIN")  # marks and rows as of one moment
        try:
            for first, last in runs:
                marks.update(connection.execute(MARKS, (first, last)))
                found = connection.execute(_FIND, (expression, first * BLOCK, (last + 1) * BLOCK - 1))
                hits.update([row[0] for row in found])
        finally:
            connection.execute("ROLLBACK")
    except errors as error:
        close_reader()
        if error_code(error) in CORRUPTIONS:
            raise IndexDamaged("The trigram index is damaged") from error
        log.warning("trigrams.unreadable", reason=str(error))
        return None
    return marks, hits


class _Reader(threading.local):
    """Each thread that searches has one connection, for threads cannot share theirs."""

    def __init__(self) -> None:
        self.index: Index | None = None
        self.connection: Any = None


_READER: Final = _Reader()


def _opened(index: Index) -> Any:
    """A connection to exactly this index that cannot write; None if there is another one now, or none."""
    if _READER.index == index:
        return _READER.connection
    close_reader()
    if not index.path.exists():
        return None
    connection = driver.load().connect(f"{index.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA cache_size=-8192")
        held = connection.execute(_WHICH).fetchone()
    except BaseException:
        connection.close()
        raise
    if held is None or held[0] != index.token:
        connection.close()
        return None
    _READER.index, _READER.connection = index, connection
    return connection


def close_reader() -> None:
    """Close what this thread has open."""
    if _READER.connection is not None:
        _READER.connection.close()
    _READER.index = _READER.connection = None
