"""SORT and THREAD in a reader process: keys are read, or made from headers, compared, and UIDs handed back."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.mime.sort_keys import sort_keys
from gateway.model.ids import ContentId, MailboxId
from gateway.model.sorting import SortKeys
from gateway.store import sort_keys as stored
from gateway.store.db import Rx
from gateway.store.sort_keys import Key
from gateway.wire.search import Algorithm, Criterion, SortKey

from .sorting import Keys, insert, ordered
from .threading import Message, threads

ROWS: Final = 5000
"""Messages a statement; what one sort reads is one transaction, so that all is of one moment."""
MADE: Final = 300
"""Headers read for keys in one job: 20-30 ms of a reader."""

_KEYS: Final[dict[Criterion, Key]] = {
    criterion: Key[criterion.value] for criterion in Criterion if criterion is not Criterion.RELEVANCY
}
_THREAD: Final = (Key.DATE, Key.SUBJECT, Key.REPLY, Key.LINKS)


def make_keys(rx: Rx, mailbox_id: MailboxId, uids: array[int]) -> list[tuple[ContentId, SortKeys]]:
    """Keys of the first MADE of `uids` that have none yet; fewer: all others have theirs."""
    return [(ContentId(row[0]), sort_keys(row[1])) for row in stored.missing(rx, mailbox_id, uids, MADE)]


def sort_order(rx: Rx, mailbox_id: MailboxId, order: Sequence[SortKey], uids: array[int]) -> array[int]:
    """The rising `uids` that exist, as `order` sorts them."""
    reverse = [key.reverse for key in order]
    found: array[int] = array("I")
    columns: list[list[Any]] = [[] for _ in order]
    same: dict[Any, Any] = {}  # subjects and senders repeat: each is kept once
    for uid, *row in _rows(rx, mailbox_id, uids, _columns(order)):
        found.append(uid)
        for column, value in zip(columns, row, strict=True):
            column.append(same.setdefault(value, value))
    return array("I", [found[at] for at in ordered(columns, reverse, len(found))])


def sort_further(
    rx: Rx, mailbox_id: MailboxId, order: Sequence[SortKey], known: array[int], fresh: array[int]
) -> array[int]:
    """`known`, which `order` has sorted, with the `fresh` messages, which are newer, where they belong."""
    keys, reverse = _columns(order), [key.reverse for key in order]
    cache: dict[int, Keys] = {}

    def keys_of(uid: int) -> Keys:
        found = cache.get(uid)
        if found is None:
            rows = list(_rows(rx, mailbox_id, array("I", [uid]), keys))
            if not rows:
                raise LookupError
            found = cache[uid] = tuple(rows[0][1:])
        return found

    longer = known[:]
    try:
        for uid, *row in _rows(rx, mailbox_id, fresh, keys):
            cache[uid] = tuple(row)
            insert(longer, uid, tuple(row), reverse, keys_of)
    except LookupError:  # one of `known` was expunged just now: nothing can be compared with it
        return sort_order(rx, mailbox_id, order, array("I", sorted((*known, *fresh))))
    return longer


def thread_tokens(rx: Rx, mailbox_id: MailboxId, algorithm: Algorithm, uids: array[int]) -> array[int]:
    """What `threading.threads` makes of the rising `uids` that exist."""
    messages = []
    for uid, date, subject, reply, links in _rows(rx, mailbox_id, uids, _THREAD):
        hashes: array[int] = array("q")
        hashes.frombytes(links)
        messages.append(Message(uid, date, subject, bool(reply), hashes))
    return threads(algorithm, messages)


def _columns(order: Sequence[SortKey]) -> list[Key]:
    return [_KEYS[key.criterion] for key in order]


def _rows(rx: Rx, mailbox_id: MailboxId, uids: array[int], keys: Sequence[Key]) -> Iterator[Sequence[Any]]:
    """(uid, *keys) in UID order, whether the keys are stored or not."""
    for at in range(0, len(uids), ROWS):
        rows = stored.key_rows(rx, mailbox_id, uids[at : at + ROWS], keys)
        late = [row[0] for row in rows if not row[1]]
        if not late:
            for row in rows:
                yield row[0], *row[2:]
            continue
        made = _made(rx, mailbox_id, late)
        for row in rows:
            if row[1]:
                yield row[0], *row[2:]
            elif row[0] in made:
                keys_made = made[row[0]]
                yield row[0], *(stored.value(keys_made, *pair) for pair in zip(keys, row[2:], strict=True))


def _made(rx: Rx, mailbox_id: MailboxId, uids: list[int]) -> dict[int, SortKeys]:
    found: dict[int, SortKeys] = {}
    for at in range(0, len(uids), MADE):
        for uid, header in stored.headers(rx, mailbox_id, uids[at : at + MADE]):
            found[uid] = sort_keys(header)
    return found
