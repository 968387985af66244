"""The file of the trigram index, as the process that serves writes it; `trigrams` reads it. All calls block.

One writer, which `maintain.trigrams` is. Each piece is one transaction that has the rows of FTS5 and their marks, so a
kill leaves whole pieces, and whatever has no mark is indexed again. The file is flushed at checkpoints only: a power
failure may take the last pieces away and damages nothing (WAL, synchronous=NORMAL).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from gateway.model.ids import ContentId

from . import driver
from .sqlite_errors import CORRUPTIONS, error_code, translate
from .trigrams import BLOCK, MARKS, Index, IndexDamaged, indexed_form

FORMAT: Final = "1"
"""Of the file and of what is in it, so of folding too; one of another format is made anew."""
SUFFIXES: Final = ("", "-wal", "-shm", "-journal")
WAL_OCTETS: Final = 16 << 20

_SCHEMA: Final = (
    "CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE mark (block INTEGER PRIMARY KEY, bits BLOB NOT NULL)",
    "CREATE VIRTUAL TABLE trigram USING fts5(text, content='', contentless_delete=1, detail=none,"
    " tokenize='trigram case_sensitive 1')",
)
_HAS_FACTS: Final = "SELECT 1 FROM sqlite_master WHERE name = 'fact'"
_FACTS: Final = "SELECT key, value FROM fact"
_PUT_FACT: Final = "INSERT INTO fact (key, value) VALUES (?, ?)"
_PUT_MARK: Final = "INSERT INTO mark (block, bits) VALUES (?, ?) ON CONFLICT (block) DO UPDATE SET bits = excluded.bits"
_DROP_MARK: Final = "DELETE FROM mark WHERE block = ?"
_PUT: Final = "INSERT INTO trigram (rowid, text) VALUES (?, CAST(? AS TEXT))"
_DROP: Final = "DELETE FROM trigram WHERE rowid = ?"
_NEXT_MARK: Final = "SELECT min(block) FROM mark WHERE block >= ?"
_LAST_MARKS: Final = "SELECT block, bits FROM mark ORDER BY block DESC LIMIT 1"

Marks = dict[int, bytearray]


class TrigramFile:
    """Open for writing. Everything raises Unavailable (no space, no rights) and IndexDamaged."""

    def __init__(self, path: Path, store: str, *, last_id: int) -> None:
        """Open the file, or make it if there is none, or a damaged one, or of another store, format or later time.

        `store` is the store's token, `last_id` where its ids end (`trigrams.last_id`): a file that knows others is
        newer than the store, which somebody put back.
        """
        self._path = path
        self._store = store
        self._lock = threading.Lock()  # a close may come while a piece is being written
        self._connection: Any = None
        self._facts: dict[str, str] = {}
        if path.exists():
            try:
                self._guarded(lambda: self._connect(last_id))
            except (IndexDamaged, driver.load().Error):  # also one of another make, whose tables are others
                self.close()
        self.fresh = self._connection is None
        """Whether it was made now, so nothing is in it."""
        if self.fresh:
            remove(path)
            self._guarded(self._create)

    @property
    def index(self) -> Index:
        """What readers need to find it, and to know that they found this one."""
        return Index(self._path, self._facts["token"])

    def _connect(self, last_id: int) -> None:
        self._open()
        self._facts = self._read_facts()
        if (self._facts.get("store"), self._facts.get("format")) != (self._store, FORMAT) or self._last() >= last_id:
            self._connection.close()
            self._connection = None

    def _create(self) -> None:
        self._path.touch(mode=0o600)
        self._open()
        self._facts = {"store": self._store, "token": uuid.uuid4().hex, "format": FORMAT}
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.executemany(_PUT_FACT, list(self._facts.items()))

    def _open(self) -> None:
        self._connection = driver.load().connect(str(self._path), isolation_level=None, check_same_thread=False)
        execute = self._connection.execute
        execute("PRAGMA journal_mode=WAL").fetchall()
        execute("PRAGMA synchronous=NORMAL")
        execute(f"PRAGMA journal_size_limit={WAL_OCTETS}").fetchall()
        execute("PRAGMA cache_size=-16384")

    def _read_facts(self) -> dict[str, str]:
        """Without any when it was never finished."""
        if not self._connection.execute(_HAS_FACTS).fetchone():
            return {}
        return dict(self._connection.execute(_FACTS))

    def _last(self) -> int:
        """The highest id that has a mark; -1 without any."""
        row = self._connection.execute(_LAST_MARKS).fetchone()
        return -1 if row is None else row[0] * BLOCK + int.from_bytes(row[1], "little").bit_length() - 1

    def marks(self, block: int) -> bytes:
        """One bit for each content of the block, the lowest id first in the lowest bit; 1: it is in the index."""
        return bytes(self._guarded(lambda: self._marks(block)))

    def next_block(self, block: int) -> int | None:
        """The first block from `block` on with anything in it."""
        found: int | None = self._guarded(lambda: self._connection.execute(_NEXT_MARK, (block,)).fetchone()[0])
        return found

    def put(self, texts: Sequence[tuple[ContentId, bytes]], gone: Sequence[ContentId]) -> None:
        """Index folded texts, rising by id, and take contents away that are `gone`. One transaction."""
        self._guarded(lambda: self._put(texts, gone))

    def close(self) -> None:
        """Its connection only: readers may go on."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _put(self, texts: Sequence[tuple[ContentId, bytes]], gone: Sequence[ContentId]) -> None:
        execute = self._connection.execute
        marks: Marks = {}
        with self._connection:
            execute("BEGIN IMMEDIATE")
            for content_id in gone:
                if self._mark(marks, content_id, present=False):
                    execute(_DROP, (content_id,))
            for content_id, octets in texts:
                if self._mark(marks, content_id, present=True):
                    execute(_PUT, (content_id, indexed_form(octets)))
            for block, bits in marks.items():
                if any(bits):
                    execute(_PUT_MARK, (block, bytes(bits)))
                else:
                    execute(_DROP_MARK, (block,))

    def _mark(self, marks: Marks, content_id: ContentId, *, present: bool) -> bool:
        """Set or clear a mark; whether it was otherwise."""
        block, at = divmod(content_id, BLOCK)
        bits = marks.get(block)
        if bits is None:
            bits = marks[block] = self._marks(block)
        mask = 1 << (at & 7)
        if bool(bits[at >> 3] & mask) is present:
            return False
        bits[at >> 3] ^= mask
        return True

    def _marks(self, block: int) -> bytearray:
        row = self._connection.execute(MARKS, (block, block)).fetchone()
        return bytearray(row[1] if row is not None else BLOCK // 8)

    def _guarded(self, work: Any) -> Any:
        """What `work` gives; errors of SQLite as ours."""
        try:
            with self._lock:
                return work()
        except driver.load().Error as error:
            if error_code(error) in CORRUPTIONS:
                raise IndexDamaged("The trigram index is damaged") from error
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error


def remove(path: Path) -> bool:
    """Take the file away, with what lies beside it; whether there was one."""
    there = path.exists()
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    return there


def check_file(path: Path) -> str | None:
    """What is wrong with a file that nobody needs to have open, or None. Reads all of it. Blocking."""
    try:
        with closing(driver.load().connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
    except driver.load().Error as error:
        return str(error)
    return None if found == ["ok"] else str(found[0])
