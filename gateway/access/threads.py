"""Threads: messages that answer each other, in order of their latest message, over the mailboxes that a key may read.

Which thread a message belongs to was settled when it came (`store.threads`). Pages are like those of messages
(`listing`): a thread is told where the latest of its messages stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.model.errors import NotFound
from gateway.model.ids import InboxId
from gateway.store import counters, same_message
from gateway.store.by_date import Point, Row
from gateway.store.db import Database, Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.store.same_message import PlaceRow
from gateway.store.texts import storable

from .caller import Caller, inbox_of
from .changing import Taken, checked
from .digest import Digests
from .listing import THREAD_ROWS, Cursor, Placed, Scan, placed
from .messages import Message, digested
from .query import Query
from .sight import Sight, glimpse, readable_inbox, sight

NO_THREAD: Final = "No such thread"
SHOWN: Final = 25
"""Latest messages of a thread whose senders a list tells."""
WHOLE: Final = 200
"""Messages of one thread that are told at once."""


@dataclass(frozen=True, slots=True)
class Thread:
    """`placed`: all its messages that may be read, oldest first. `told`: the first and the latest of them, with what
    they say."""

    id: str
    placed: tuple[Placed, ...]
    told: tuple[Message, ...]

    @property
    def weight(self) -> int:
        """As `Message.weight`, of all that is looked at to tell it."""
        return 1 + sum(message.weight for message in self.told) + len(self.placed) // 16

    @property
    def unread(self) -> int:
        return sum("\\Seen" not in message.flags for message in self.placed)


@dataclass(frozen=True, slots=True)
class ThreadPage:
    threads: list[Thread]
    next: Cursor | None


async def list_threads(
    db: Database, kept: Digests, who: Caller, inbox: str, query: Query, cursor: Cursor | None, limit: int
) -> ThreadPage:
    """Threads any message of which is asked for; of `query` all counts but the texts. NotFound, NoPermission."""
    found, following = await db.offload(thread_page, who, inbox, query, cursor, limit)
    messages = await digested(db, kept, [each for some in found for each in _shown(some)])
    known = {message.id: message for message in messages}
    return ThreadPage([_thread(some, known) for some in found], following)


async def thread(db: Database, kept: Digests, who: Caller, inbox: str, thread_id: str) -> Thread:
    """With the latest WHOLE of its messages. NotFound."""

    def query(rx: Rx) -> list[Placed]:
        there = readable_inbox(rx, who, inbox)
        rows = _rows(rx, there.id, [thread_id])
        return _of(rx, glimpse(rx, who, there, {row.mailbox_id for row in rows}), rows)

    found = await db.read(query)
    messages = await digested(db, kept, found[-WHOLE:])
    return Thread(thread_id, tuple(found), tuple(messages))


def thread_taken(tx: Tx, who: Caller, inbox: str, thread_id: str, unchanged_since: int | None = None) -> Taken:
    """All its messages, for a unit that changes them. Errors as `changing.taken`."""
    counters.lock(tx, inbox_of(tx, who, inbox).id)
    seen = sight(tx, who, inbox)
    found = _of(tx, seen, _rows(tx, seen.inbox_id, [thread_id]))
    checked(found, unchanged_since)
    return Taken(seen, found, [])


def thread_page(
    rx: Rx, who: Caller, inbox: str, query: Query, cursor: Cursor | None, limit: int
) -> tuple[list[list[Placed]], Cursor | None]:
    """Messages of each thread, oldest first. A job of a reader process."""
    # The walk meets all messages: whether a thread is asked for is known only once all of its messages are.
    walked = replace(query, unread=None, flagged=None, answered=None, draft=None, keyword=None, no_keyword=None)
    scan = _Threads(rx, who, readable_inbox(rx, who, inbox), walked, limit, query)
    following = scan.run(cursor)
    return scan.threads, following


class _Threads(Scan):
    """As a page of messages, with a thread in place of each."""

    def __init__(self, rx: Rx, who: Caller, inbox: Inbox, walked: Query, limit: int, asked: Query) -> None:
        super().__init__(rx, who, inbox, walked, limit)
        self._asked = asked
        self.threads: list[list[Placed]] = []

    def name_of(self, row: Row) -> str:
        return row.thread_id

    def _count(self) -> int:
        return len(self.threads)

    def _tell(self, rows: Sequence[Row]) -> bool:
        ids = list(dict.fromkeys(row.thread_id for row in rows))
        found = _by_thread(self._placed(_rows(self._rx, self._inbox.id, ids)))
        told: set[str] = set()
        for row in rows:
            messages = found.get(row.thread_id)
            if messages is None or row.thread_id in told or self._latest(messages) != row.point:
                continue
            told.add(row.thread_id)
            if not any(self._asked.fits(each.mask, {word.lower() for word in each.keywords}) for each in messages):
                continue
            if len(self.threads) == self._limit:
                return True
            self.threads.append(messages)
            self._last = Cursor(*row.point, row.thread_id)
        return False

    def _latest(self, messages: Sequence[Placed]) -> Point:
        return max(
            place.row.point for each in messages for place in each.places if place.row.mailbox_id in self._walked
        )


def _of(rx: Rx, seen: Sight, rows: Sequence[PlaceRow]) -> list[Placed]:
    """The messages of one thread."""
    found = list(_by_thread(placed(rx, seen, rows)).values())
    if not found:
        raise NotFound(NO_THREAD)
    return found[0]


def _rows(rx: Rx, inbox_id: InboxId, thread_ids: Sequence[str]) -> list[PlaceRow]:
    ids = [each for each in thread_ids if storable(each)]
    return same_message.of_threads(rx, inbox_id, ids, THREAD_ROWS * len(ids)) if ids else []


def _by_thread(known: Mapping[str, Placed]) -> dict[str, list[Placed]]:
    """Thread -> its messages that may be read, oldest first."""
    found: dict[str, list[Placed]] = {}
    for message in known.values():
        found.setdefault(message.thread_id, []).append(message)
    for messages in found.values():
        messages.sort(key=lambda message: (message.received_at, message.content_id, message.id))
    return found


def _shown(messages: Sequence[Placed]) -> list[Placed]:
    return [*messages[:1], *messages[max(len(messages) - SHOWN, 1) :]]


def _thread(messages: list[Placed], known: dict[str, Message]) -> Thread:
    told = tuple(known[each.id] for each in _shown(messages) if each.id in known)
    return Thread(messages[0].thread_id, tuple(messages), told)
