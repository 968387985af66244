"""One page of a SEARCH in a reader process: what memory could not decide, by rows, then by text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from gateway.model.ids import MailboxId
from gateway.store import messages
from gateway.store.db import Rx
from gateway.wire import search as keys

from .search_keys import Candidate, Compiler, Criteria
from .search_text import TextKey, Texts, text_keys

Found = list[tuple[int, int, int]]
"""(number, uid, mask)"""

_COLUMNS: Final = (
    messages.Columns.INTERNAL_DATE
    | messages.Columns.SIZE
    | messages.Columns.ENVELOPE
    | messages.Columns.EMAIL_ID
    | messages.Columns.THREAD_ID
    | messages.Columns.SAVE_DATE
)
_NO_ROWS: Final = (
    keys.All, keys.And, keys.Or, keys.Not, keys.Numbers, keys.SystemFlag, keys.Recent, keys.Keyword, TextKey,
)  # fmt: skip
"""Keys that need no row: memory or text answers them."""
_PROVING: Final = (keys.And, keys.Or, TextKey)
"""What only messages that exist can pass, if there is nothing else."""

Filter = Callable[[Sequence[int]], Sequence[int]]
"""Of rising UIDs those that match."""


def search_page(rx: Rx, mailbox_id: MailboxId, criteria: Criteria, batch: Found) -> tuple[Found, int]:
    """Those that pass the part of `criteria` that memory could not decide, and how many of `batch` were looked at.

    All are tested by one key before the next is looked at: so few statements do, and the dear keys see few messages.
    """
    used = list(keys.walk(criteria.key))
    if all(isinstance(key, _NO_ROWS) for key in used):
        candidates = None
        left: Sequence[int] = [uid for _, uid, _ in batch]
    else:
        candidates = {found.uid: found for found in _with_rows(rx, mailbox_id, batch)}
        left = list(candidates)
    wanted = text_keys(criteria.key)
    texts = Texts(rx, mailbox_id, wanted) if wanted else None
    if candidates is None and not all(isinstance(key, _PROVING) for key in used):
        candidates = {row[1]: Candidate(*row) for row in batch}
        left = [row[0] for row in messages.fetch_rows(rx, mailbox_id, left, messages.Columns(0))]
    left = _filter(criteria.key, criteria.compiler(), texts, candidates or {})(left)
    limit = None if texts is None else texts.limit
    if limit is None:
        passed = set(left)
        return [row for row in batch if row[1] in passed], len(batch)
    passed = {uid for uid in left if uid < limit}
    consumed = next(at for at, row in enumerate(batch) if row[1] >= limit)
    return [row for row in batch[:consumed] if row[1] in passed], consumed


def _filter(
    key: keys.SearchKey, compiler: Compiler, texts: Texts | None, candidates: Mapping[int, Candidate]
) -> Filter:
    if isinstance(key, TextKey):
        assert texts is not None
        return partial(texts.matching, key)
    if not text_keys(key):
        test = compiler.test(key)
        return lambda uids: [uid for uid in uids if test(candidates[uid])]
    if isinstance(key, keys.Not):
        inner = _filter(key.key, compiler, texts, candidates)
        return lambda uids: _without(uids, inner(uids))
    assert isinstance(key, keys.And | keys.Or)
    parts = sorted(key.keys, key=_cost)
    filters = [_filter(part, compiler, texts, candidates) for part in parts]
    return partial(_all_of if isinstance(key, keys.And) else _any_of, filters)


def _cost(key: keys.SearchKey) -> int:
    """What needs no text comes first, then what asks for fields only."""
    return max((1 if isinstance(found, keys.Header) else 2 for found in text_keys(key)), default=0)


def _all_of(filters: Sequence[Filter], uids: Sequence[int]) -> Sequence[int]:
    for each in filters:
        uids = each(uids)
    return uids


def _any_of(filters: Sequence[Filter], uids: Sequence[int]) -> Sequence[int]:
    left, found = uids, set[int]()
    for each in filters:
        hits = each(left)
        found.update(hits)
        left = _without(left, hits)
    return [uid for uid in uids if uid in found]


def _without(uids: Sequence[int], gone: Sequence[int]) -> Sequence[int]:
    if not gone:
        return uids
    away = set(gone)
    return [uid for uid in uids if uid not in away]


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
            found.append(Candidate(number, uid, mask, *row[1:]))
    return found
