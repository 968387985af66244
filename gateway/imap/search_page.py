"""One page of a SEARCH in a reader process: what memory could not decide, by rows, then by text."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from gateway.model.ids import MailboxId
from gateway.store import messages
from gateway.store.db import Rx
from gateway.store.trigrams import Index
from gateway.wire import search as keys

from .search_keys import Candidate, Compiler, Criteria
from .search_text import TextKey, Texts, text_keys

Marks = list[tuple[int, int]]
"""(number, mask) of each message: what is known in memory."""

_COLUMNS: Final = (
    messages.Columns.INTERNAL_DATE
    | messages.Columns.SIZE
    | messages.Columns.ENVELOPE
    | messages.Columns.EMAIL_ID
    | messages.Columns.THREAD_ID
    | messages.Columns.SAVE_DATE
)
_JOINS: Final = (keys.All, keys.And, keys.Or, keys.Not)
_ROWS: Final = (keys.Date, keys.Size, keys.Within, keys.ObjectId)
"""Keys that ask for a row; `_JOINS` and TextKey ask for nothing of memory either."""
_PROVING: Final = (keys.And, keys.Or, TextKey)
"""What only messages that exist can pass, if there is nothing else."""

Filter = Callable[[Sequence[int]], Sequence[int]]
"""Of rising UIDs those that match."""


def asks_for_marks(key: keys.SearchKey) -> bool:
    """Whether a page needs to be told numbers and flags of its messages."""
    return not all(isinstance(found, (*_JOINS, *_ROWS, TextKey)) for found in keys.walk(key))


def search_page(
    rx: Rx, mailbox_id: MailboxId, criteria: Criteria, uids: array[int], marks: Marks | None, index: Index | None = None
) -> tuple[array[int], int]:
    """Those of the rising `uids` that pass `criteria`, and how many of them were looked at: never none.

    `marks` stand beside `uids` if `asks_for_marks`. All messages are tested by one key before the next is looked at: so
    few statements do, and the dear keys see few messages. `index` may be asked about texts; IndexDamaged.
    """
    used = list(keys.walk(criteria.key))
    candidates: dict[int, Candidate] = {}
    left: Sequence[int] = uids
    if not all(isinstance(key, _PROVING) for key in used):
        columns = _COLUMNS if any(isinstance(key, _ROWS) for key in used) else messages.Columns(0)
        candidates = _candidates(rx, mailbox_id, uids, marks, columns)
        left = list(candidates)
    wanted = text_keys(criteria.key)
    texts = Texts(rx, mailbox_id, wanted, index) if wanted else None
    left = _filter(criteria.key, criteria.compiler(), texts, candidates)(left)
    limit = None if texts is None else texts.limit
    if limit is None:
        return array("I", left), len(uids)
    return array("I", left[: bisect_left(left, limit)]), bisect_left(uids, limit)


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


def _candidates(
    rx: Rx, mailbox_id: MailboxId, uids: array[int], marks: Marks | None, columns: messages.Columns
) -> dict[int, Candidate]:
    """By UID, without those that another session expunged meanwhile."""
    known = dict(zip(uids, marks, strict=True)) if marks is not None else {}
    found: dict[int, Candidate] = {}
    for row in messages.fetch_rows(rx, mailbox_id, uids, columns, whole=False):
        uid = row[0]
        if None in row:  # too large to come with its page
            row = messages.fetch_rows(rx, mailbox_id, [uid], columns)[0]
        number, mask = known.get(uid, (0, 0))
        found[uid] = Candidate(number, uid, mask, *row[1:])
    return found
