"""One page of a SEARCH in a reader process: what memory could not decide, by rows, then by text."""

from __future__ import annotations

from typing import Final

from gateway.model.ids import MailboxId
from gateway.store import messages, search_text
from gateway.store.db import Rx
from gateway.wire import search as keys

from .search_keys import Candidate, Cost, Criteria
from .search_text import TextKey, Texts, affordable, text_keys

Found = list[tuple[int, int, int]]
"""(number, uid, mask)"""

_COLUMNS: Final = messages.Columns.INTERNAL_DATE | messages.Columns.SIZE | messages.Columns.ENVELOPE
_NO_ROWS: Final = (
    keys.All, keys.And, keys.Or, keys.Not, keys.Numbers, keys.SystemFlag, keys.Recent, keys.Keyword, TextKey,
)  # fmt: skip
"""Keys that need no row: memory or text answers them."""


def search_page(rx: Rx, mailbox_id: MailboxId, criteria: Criteria, batch: Found) -> tuple[Found, int]:
    """Those that pass the part of `criteria` that memory could not decide, and how many of `batch` were looked at."""
    rest = criteria.compile().rest
    assert rest is not None
    if all(isinstance(key, _NO_ROWS) for key in keys.walk(criteria.key)):
        left = [Candidate(*each) for each in batch]
    else:
        left = _with_rows(rx, mailbox_id, batch)
    for cost, test in rest:
        if cost < Cost.HEADER:
            left = [found for found in left if test(found)]
    by_text = [test for cost, test in rest if cost >= Cost.HEADER]
    consumed = len(batch)
    if by_text and left:
        wanted = text_keys(criteria.key)
        weights = search_text.weigh(rx, mailbox_id, [found.uid for found in left])
        count = affordable(weights, wanted)
        if count < len(weights):
            next_uid = weights[count].uid
            consumed = next(at for at, (_, uid, _) in enumerate(batch) if uid == next_uid)
            del weights[count:]
        texts = Texts(rx, weights, wanted)
        left = [found for found in left if found.uid in texts]  # the others: too many, or expunged meanwhile
        for found in left:
            found.texts = texts
        for test in by_text:
            left = [found for found in left if test(found)]
            texts.narrow([found.uid for found in left])
    return [(found.number, found.uid, found.mask) for found in left], consumed


def _with_rows(rx: Rx, mailbox_id: MailboxId, batch: Found) -> list[Candidate]:
    """Without those that another session expunged meanwhile."""
    uids = [uid for _, uid, _ in batch]
    rows = {row[0]: row for row in messages.fetch_rows(rx, mailbox_id, uids, _COLUMNS, whole=False)}
    found = []
    for number, uid, mask in batch:
        row = rows.get(uid)
        if row is not None and None in row:  # too large to come with its page
            row = next(iter(messages.fetch_rows(rx, mailbox_id, [uid], _COLUMNS)), None)
        if row is not None:
            found.append(Candidate(number, uid, mask, row[1], row[2], row[3]))
    return found
