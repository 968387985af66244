"""One page of a SEARCH in a reader process: what memory could not decide, by rows, headers and decoded texts."""

from __future__ import annotations

from gateway.mime import decode_body, decode_parts, fold, text_of, text_parts
from gateway.model.ids import ContentId, MailboxId
from gateway.store import content, messages
from gateway.store.db import Rx

from .search_keys import Candidate, Cost, Criteria
from .settings import SEARCH_BODY_LIMIT

Found = list[tuple[int, int, int]]
"""(number, uid, mask)"""


def search_page(rx: Rx, mailbox_id: MailboxId, criteria: Criteria, batch: Found) -> Found:
    """Those of `batch` that pass the part of `criteria` that memory could not decide."""
    compiled = criteria.compile()
    test = compiled.rest
    assert test is not None
    columns = messages.Columns.INTERNAL_DATE | messages.Columns.SIZE | messages.Columns.ENVELOPE
    if compiled.cost >= Cost.HEADER:
        columns |= messages.Columns.HEADER | messages.Columns.CONTENT_ID
    uids = [uid for _, uid, _ in batch]
    rows = {row[0]: row for row in messages.fetch_rows(rx, mailbox_id, uids, columns, whole=False)}
    kept: Found = []
    for number, uid, mask in batch:
        row = rows.get(uid)
        if row is not None and None in row:  # too large to come with its page
            row = next(iter(messages.fetch_rows(rx, mailbox_id, [uid], columns)), None)
        if row is None:  # expunged by another session meanwhile
            continue
        candidate = Candidate(number, uid, mask, row[1], row[2], row[3])
        if compiled.cost >= Cost.HEADER:
            candidate.give_octets(row[4], lambda row=row: _texts(rx, ContentId(row[5])))  # type: ignore[misc]
        if test(candidate):
            kept.append((number, uid, mask))
    return kept


def _texts(rx: Rx, content_id: ContentId) -> list[bytes]:
    """Folded text of each text part: decoded, of HTML what a reader sees (parsing.md)."""
    row = content.content_row(rx, content_id)
    found: list[bytes] = []
    budget = SEARCH_BODY_LIMIT
    for part in text_parts(decode_parts(row.parts)):
        size = min(part.size, budget)
        if size <= 0:
            continue
        budget -= size
        octets = content.read_body(rx, content_id, part.header_end, part.header_end + size)
        found.append(fold(text_of(decode_body(octets, part.encoding), part.charset, part.subtype)))
    return found
