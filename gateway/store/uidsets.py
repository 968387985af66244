"""Statements over a set of UIDs: one text for a single range, one for many, never a list of statements.

A set arrives as ranges or numbers. One range is `BETWEEN` on the clustered key; several are joined as a table of
(low, high), so that a range costs one seek however many UIDs it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.model.sequence import Ranges, from_numbers

from .statements import DialectName, Stmt

CUT: Final = 4_000
"""Rows of one EXPUNGE or MOVE unit, or a fifth of a STORE: about 10 ms of the writer. Callers cut larger sets."""

_OF_MESSAGE: Final = "(SELECT g.{column} FROM message_flags AS g WHERE g.mailbox_id = m.mailbox_id AND g.uid = m.uid)"
FLAGS: Final = _OF_MESSAGE.format(column="flags")
MODSEQ: Final = _OF_MESSAGE.format(column="modseq")
"""Of the message `m`. Not joined: PostgreSQL, which may know nothing of either table, would compare all with all."""

_ONE: Final = "{uid} BETWEEN :low AND :high"
_MANY_SQLITE: Final = (
    "{uid} IN (SELECT x.uid FROM json_each(:ranges) AS r CROSS JOIN message_flags AS x"
    " WHERE x.mailbox_id = :mailbox AND x.uid BETWEEN r.value ->> 0 AND r.value ->> 1)"
)
# ARRAY (…) is evaluated once and the rows then found by key; as IN (…) it would be a join, planned without a
# notion of how many ranges there are (1 ms a message instead of 10 us).
_MANY_POSTGRESQL: Final = (
    "{uid} = ANY (ARRAY (SELECT x.uid FROM unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) AS r (low, high)"
    " CROSS JOIN LATERAL (SELECT m.uid FROM message_flags AS m"
    " WHERE m.mailbox_id = :mailbox AND m.uid BETWEEN r.low AND r.high OFFSET 0) AS x))"
)


class ByUids:
    """A statement on messages whose text holds `{uids}` where the set is tested; it binds `:mailbox` too.

    `uid`: the column's name in the text. `portable` False: SQLite has no such statement.
    """

    def __init__(self, text: str, uid: str = "uid", *, portable: bool = True) -> None:
        def over(members: str) -> str:
            return text.replace("{uids}", members.replace("{uid}", uid))

        if portable:
            self._one = Stmt(over(_ONE))
            self._many = Stmt(sqlite=over(_MANY_SQLITE), postgresql=over(_MANY_POSTGRESQL))
        else:
            self._one = Stmt(postgresql=over(_ONE))
            self._many = Stmt(postgresql=over(_MANY_POSTGRESQL))

    def over(self, dialect: DialectName, ranges: Ranges) -> tuple[Stmt, dict[str, Any]]:
        """The statement for `ranges` and the binds of the set."""
        if len(ranges) == 1:
            return self._one, {"low": ranges[0][0], "high": ranges[0][1]}
        if dialect == "sqlite":
            return self._many, {"ranges": ranges}
        return self._many, {"lows": [low for low, _ in ranges], "highs": [high for _, high in ranges]}


def as_ranges(uids: Ranges | Sequence[int]) -> Ranges:
    """Ranges as they are, numbers (any order) joined to ranges."""
    if uids and isinstance(uids[0], int):
        return from_numbers(uids)  # type: ignore[arg-type]
    return uids  # type: ignore[return-value]


def cuts(uids: Sequence[int], size: int = CUT) -> Iterator[list[int]]:
    """Pieces of at most `size` UIDs, for one unit each."""
    for start in range(0, len(uids), size):
        yield list(uids[start : start + size])
