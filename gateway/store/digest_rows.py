"""What is kept of contents beside their octets, for lists of messages: many contents in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.ids import ContentId

from .content import split_ids
from .db import Rx
from .statements import Stmt

LONGEST: Final = 512 * 1024
"""Octets of a column; of what is longer, as hostile mail has it, b"" is told: a page of rows must fit in memory."""


@dataclass(frozen=True, slots=True)
class DigestRow:
    content_id: ContentId
    size: int
    header_size: int
    parts: bytes
    message_id: bytes | None
    in_reply_to: tuple[bytes, ...]
    references: tuple[bytes, ...]
    sent_date: int | None
    envelope: bytes
    bodystructure: bytes


def _short(column: str) -> str:
    return f"CASE WHEN length({column}) <= {LONGEST} THEN {column} END"


_ROWS = Stmt(
    f"SELECT c.id, c.size, c.header_size, {_short('c.parts')}, c.message_id, c.in_reply_to, c.refs, c.sent_date,"
    f" {_short('f.envelope')}, {_short('f.bodystructure')}"
    " FROM content_meta c JOIN content_fetch f ON f.id = c.id WHERE c.id IN :LIST(contents)"
)


def rows(rx: Rx, content_ids: Sequence[ContentId]) -> list[DigestRow]:
    """Those that are there, in no order."""
    return [
        DigestRow(
            row[0], row[1], row[2], bytes(row[3] or b""), row[4], split_ids(row[5]), split_ids(row[6]), row[7],
            bytes(row[8] or b""), bytes(row[9] or b""),
        )
        for row in rx.all(_ROWS, contents=list(content_ids))
    ]  # fmt: skip
