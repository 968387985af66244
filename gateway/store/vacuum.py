"""Pages of the SQLite file that hold nothing any more, and giving them back to the file system.

A deleted message leaves free pages inside the file; SQLite fills them before the file grows. Only when far more is
free than will be needed soon is it worth moving pages from the file's end into the holes and cutting the end off: what
`auto_vacuum=INCREMENTAL` is for. The file itself shrinks at the next checkpoint. PostgreSQL does all this by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .db import Rx, Tx
from .statements import Stmt

PIECE_PAGES: Final = 256
"""Pages a unit gives back: 1 MiB, about 3 ms of the writer."""
PIECE_OCTETS: Final = PIECE_PAGES * 4096

_PAGES = Stmt(
    sqlite="SELECT p.page_count, f.freelist_count FROM pragma_page_count AS p, pragma_freelist_count AS f",
    postgresql="SELECT 0, 0",
)
# A pragma has no binds, and its rows, one a page, have no columns.
_GIVE_BACK = Stmt(sqlite=f"PRAGMA incremental_vacuum({PIECE_PAGES})", postgresql="SELECT 1 WHERE false")


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages of 4096 octets in the file; `free` ones hold nothing. Both 0 on PostgreSQL."""

    all: int
    free: int


def pages(rx: Rx) -> Pages:
    """As of the last commit; two numbers of the file's first page."""
    row = rx.one(_PAGES)
    assert row is not None
    return Pages(*row)


def give_back(tx: Tx, keep: int) -> int:
    """Return PIECE_PAGES free pages to the file system if `keep` are left then; how many went."""
    before = pages(tx).free
    if before < keep + PIECE_PAGES:
        return 0
    tx.all(_GIVE_BACK)
    return before - pages(tx).free
