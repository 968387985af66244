"""Which rows of messages hold what is looked for, by the texts and the trigram index that are kept for IMAP's SEARCH.

A content whose text is still to be made is decoded here, and a large text is read in pieces: both compare the same
octets, so the answer never depends on how far the store is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.ingest.search_text import field_holds, folded_fields, folded_text, label_of
from gateway.model.ids import ContentId, MailboxId
from gateway.store import content, search_text, trigrams
from gateway.store.by_date import Row
from gateway.store.db import Rx
from gateway.store.search_text import Looked, State
from gateway.store.trigrams import Index


def holding(rx: Rx, rows: Sequence[Row], needles: Mapping[tuple[str, ...], bytes]) -> list[Row]:
    """Those of `rows` that hold all of the folded `needles`.

    A key of `needles` names the header fields any of which may hold it; none: the whole message.
    """
    left = list(rows)
    for names, needle in needles.items():
        look = search_text.look_in_fields if names else search_text.look_in_all
        found = {
            (mailbox, looked[0])
            for mailbox, uids in _by_mailbox(left).items()
            for looked in look(rx, mailbox, uids, needle)
            if _holds(rx, looked, names, needle)
        }
        left = [row for row in left if (row.mailbox_id, row.uid) in found]
    return left


def may_hold(index: Index, rows: list[Row], needles: Mapping[tuple[str, ...], bytes]) -> list[Row]:
    """`rows` without those that surely do not hold what the whole message shall; about fields the index is not asked,
    for looking into them is as quick. IndexDamaged.
    """
    needle = needles.get(())
    if needle is None or not trigrams.pays(len(rows), needle):
        return rows
    may = trigrams.may_hold(index, [row.content_id for row in rows], needle)
    return rows if may is None else [row for row in rows if may(row.content_id)]


def _by_mailbox(rows: Sequence[Row]) -> dict[MailboxId, list[int]]:
    found: dict[MailboxId, list[int]] = {}
    for row in rows:
        found.setdefault(row.mailbox_id, []).append(row.uid)
    return {mailbox: sorted(uids) for mailbox, uids in found.items()}


def _holds(rx: Rx, looked: Looked, names: tuple[str, ...], needle: bytes) -> bool:
    _uid, content_id, state, fields = looked
    if state is State.LARGE:
        return search_text.in_large_text(rx, content_id, needle)
    if names:
        if state is State.LATE:
            fields = folded_fields(content.read_header(rx, content_id))
        return any(field_holds(fields, label_of(name), needle) for name in names)
    return state is State.FOUND or _late(rx, content_id, needle)


def _late(rx: Rx, content_id: ContentId, needle: bytes) -> bool:
    return needle in folded_fields(content.read_header(rx, content_id)) or needle in folded_text(rx, content_id)
