"""Keys of SEARCH that ask for text, answered for a page of messages: stored text where there is any, else their octets.

Stored text is looked through by the database, hundreds of messages a statement. A large text is read in pieces, and a
message whose text is still to be made (`store.search_text`) is decoded here, once for all keys. All three compare the
same octets.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

from gateway.ingest.search_text import field_holds, folded_fields, folded_text, label_of
from gateway.mime import fold
from gateway.model.ids import ContentId, MailboxId
from gateway.store import content, search_text, trigrams
from gateway.store.db import Rx
from gateway.store.search_text import State
from gateway.store.trigrams import Index
from gateway.wire import search as keys

from .settings import SEARCH_SECONDS, SEARCH_SLICE

TextKey = keys.Header | keys.Body | keys.Text

LEAST: Final = 8
"""Messages a statement at least, however many keys there are: one costs as much as looking through 100 KB."""


class Texts:
    """Looks through the texts of one page. It ends early rather than hold the reader longer than SEARCH_SECONDS."""

    def __init__(
        self,
        rx: Rx,
        mailbox_id: MailboxId,
        wanted: Sequence[TextKey],
        index: Index | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wanted`: all keys that may be asked for. `clock` counts seconds."""
        self._rx = rx
        self._mailbox_id = mailbox_id
        self._index = index
        self._clock = clock
        # Each key has its share: what one found is in vain where the next finds no time to look.
        self._seconds = SEARCH_SECONDS / len(wanted)
        self._slice = max(SEARCH_SLICE // len(wanted), min(SEARCH_SLICE, LEAST))
        self._needles = {key: fold(key.value) for key in wanted}
        self._with_text = any(not isinstance(key, keys.Header) for key in wanted)
        self._late: dict[ContentId, frozenset[TextKey]] = {}
        self.limit: int | None = None
        """From this UID on no answer is one; never the first UID that was asked about."""

    def matching(self, key: TextKey, uids: Sequence[int]) -> list[int]:
        """Those of the rising `uids` below `limit` that exist and have what `key` asks for."""
        if self.limit is not None:
            uids = uids[: bisect_left(uids, self.limit)]
        if self._index is not None and not isinstance(key, keys.Header):  # looking into fields is as quick as asking
            uids = trigrams.to_look_at(self._rx, self._index, self._mailbox_id, uids, self._needles[key])
        stop = len(uids)
        until = self._clock() + self._seconds
        found: list[int] = []
        at = 0
        while at < stop:
            end = min(at + self._slice, stop)
            late = self._slice_of(key, uids[at:end], until, found)
            if late is not None or (self._clock() > until and end < stop):
                self.limit = uids[end] if late is None else late
                break
            at = end
        return found

    def _slice_of(self, key: TextKey, uids: Sequence[int], until: float, found: list[int]) -> int | None:
        """Adds those of `uids` that match to `found`; the first UID that there was no time for, if any."""
        needle = self._needles[key]
        looked = 0
        for uid, content_id, state, fields in self._ask(key, needle, uids):
            if state is State.LATE or state is State.LARGE:
                if looked and self._clock() > until:
                    return uid
                looked += 1
                if not (
                    key in self._decoded(content_id)
                    if state is State.LATE
                    else search_text.in_large_text(self._rx, content_id, needle)
                ):
                    continue
            elif isinstance(key, keys.Header) and not field_holds(fields, label_of(key.name), needle):
                continue
            found.append(uid)
        return None

    def _ask(self, key: TextKey, needle: bytes, uids: Sequence[int]) -> list[search_text.Looked]:
        rx, mailbox_id = self._rx, self._mailbox_id
        if isinstance(key, keys.Header):
            return search_text.look_in_fields(rx, mailbox_id, uids, needle or label_of(key.name))
        if isinstance(key, keys.Body):
            return search_text.look_in_text(rx, mailbox_id, uids, needle)
        return search_text.look_in_all(rx, mailbox_id, uids, needle)

    def _decoded(self, content_id: ContentId) -> frozenset[TextKey]:
        """The keys that a message without stored text answers; the text itself is forgotten again."""
        answers = self._late.get(content_id)
        if answers is None:
            fields = folded_fields(content.read_header(self._rx, content_id))
            text = folded_text(self._rx, content_id) if self._with_text else b""
            answers = frozenset(key for key, needle in self._needles.items() if _holds(key, needle, fields, text))
            self._late[content_id] = answers
        return answers


def text_keys(key: keys.SearchKey) -> list[TextKey]:
    """The different ones of a criterion."""
    return list(dict.fromkeys(found for found in keys.walk(key) if isinstance(found, TextKey)))


def _holds(key: TextKey, needle: bytes, fields: bytes, text: bytes) -> bool:
    if isinstance(key, keys.Header):
        return field_holds(fields, label_of(key.name), needle)
    return needle in text or (isinstance(key, keys.Text) and needle in fields)
