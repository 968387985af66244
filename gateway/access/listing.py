"""Messages of an inbox in order of arrival, over all mailboxes that a key may read or one of them, a page a call.

A message that lies in several mailboxes is one: it is told where the newest of its places stands. Where a page ends is
a message's date, content and id, none of which ever change, so what comes, goes or is moved meanwhile neither repeats
nor hides another one. A scan ends after LOOKED rows or SECONDS and says how far it came: a page may be short, or empty,
and still have a next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from gateway.model.flags import FIRST_KEYWORD_BIT, SYSTEM_MASK, names_of
from gateway.model.ids import ContentId, MailboxId
from gateway.model.rights import Action, allowed
from gateway.store import by_date, same_message
from gateway.store import listing as mailboxes
from gateway.store.by_date import NEWEST, OLDEST, Point, Row, Stretch
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.store.same_message import PlaceRow
from gateway.store.texts import storable
from gateway.store.trigrams import Index

from .caller import Caller
from .needles import holding, may_hold
from .query import Query
from .sight import Sight, glimpse, glimpse_of, readable_inbox, sight_of

LOOKED: Final = 20_000
"""Rows of one scan: some 60 ms of a reader."""
SECONDS: Final = 0.1
"""For texts that are looked through, after which a scan ends."""
MOST_ROWS: Final = 2000
"""Rows of one statement, but where so many copies of one message lie together."""
ASKED_ROWS: Final = 4000
"""The same where the trigram index is asked about them, which pays for many at once: behind the first, no statement has
less than MOST_ROWS then."""
THREAD_ROWS: Final = 10_000
"""Places of one thread that are looked at."""
TOGETHER: Final = 100
"""Messages whose places are looked up in one statement, at least."""
LAST_NAME: Final = "\U0010ffff"
"""Behind all that messages are called."""
TEXTS: Final = 32
"""Messages whose texts are looked through before the clock is asked: 32 MiB each at most, mostly some KB."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last message that was told, or looked at."""

    date: int
    content: int
    name: str
    """The message's id; of a page of threads the thread's."""

    @property
    def point(self) -> Point:
        return self.date, self.content


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message lies: `mailbox_id` is the RFC 8474 object id. `flags`: system flags (`\\Seen`)."""

    mailbox_id: str
    mailbox: str
    role: str | None
    uid: int
    flags: tuple[str, ...]
    keywords: tuple[str, ...]
    modseq: int
    saved_at: int
    row: PlaceRow


@dataclass(frozen=True, slots=True)
class Placed:
    """A message and its places that may be read, by the names of mailboxes. Without what its octets say."""

    id: str
    thread_id: str
    received_at: int
    size: int
    content_id: ContentId
    sha256: bytes
    places: tuple[Place, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """System flags of any place."""
        return tuple(names_of(self.mask & SYSTEM_MASK, {}))

    @property
    def mask(self) -> int:
        joined = 0
        for place in self.places:
            joined |= place.row.flags & SYSTEM_MASK
        return joined

    @property
    def keywords(self) -> tuple[str, ...]:
        """Of any place, in small letters' order; the spelling of the first mailbox that has it."""
        found = {word.lower(): word for place in reversed(self.places) for word in place.keywords}
        return tuple(found[word] for word in sorted(found))

    @property
    def modseq(self) -> int:
        """The last change of any place."""
        return max(place.modseq for place in self.places)

    @property
    def cursor(self) -> Cursor:
        top = max(place.row.point for place in self.places)
        return Cursor(*top, self.id)


@dataclass(frozen=True, slots=True)
class Page:
    """`next`: where to go on, None at the end."""

    messages: list[Placed]
    next: Cursor | None


def placed(rx: Rx, seen: Sight, rows: Sequence[PlaceRow]) -> dict[str, Placed]:
    """Messages by id, made of all their rows; without those of which no place may be read."""
    rows = [row for row in rows if row.mailbox_id in seen.boxes]
    bearing = {row.mailbox_id for row in rows if row.flags >> FIRST_KEYWORD_BIT}
    words = same_message.keywords(rx, sorted(bearing)) if bearing else {}
    by_id: dict[str, list[Place]] = {}
    for row in rows:
        box = seen.boxes[row.mailbox_id]
        place = Place(
            box.object_id, box.name, box.role, row.uid, tuple(names_of(row.flags & SYSTEM_MASK, {})),
            tuple(names_of(row.flags & ~SYSTEM_MASK, words.get(row.mailbox_id, {}))), row.modseq, row.save_date, row,
        )  # fmt: skip
        by_id.setdefault(row.email_id, []).append(place)
    return {email_id: _message(email_id, places) for email_id, places in by_id.items()}


def _message(email_id: str, places: list[Place]) -> Placed:
    places.sort(key=lambda place: (place.mailbox, place.uid))
    top = max((place.row for place in places), key=lambda row: row.point)
    return Placed(
        email_id, top.thread_id, top.internal_date, top.size, top.content_id, bytes(top.sha256 or b""), tuple(places)
    )


def find(rx: Rx, seen: Sight, email_ids: Sequence[str]) -> dict[str, Placed]:
    """Those of the messages that are in the inbox and may be read."""
    ids = [email_id for email_id in dict.fromkeys(email_ids) if storable(email_id)]
    return placed(rx, seen, same_message.places(rx, seen.inbox_id, ids)) if ids else {}


def find_in(rx: Rx, who: Caller, inbox: str, email_ids: Sequence[str]) -> dict[str, Placed]:
    """The same, and no mailboxes are read but theirs. Errors as `sight`."""
    there = readable_inbox(rx, who, inbox)
    ids = [email_id for email_id in dict.fromkeys(email_ids) if storable(email_id)]
    rows = same_message.places(rx, there.id, ids) if ids else []
    return placed(rx, glimpse(rx, who, there, {row.mailbox_id for row in rows}), rows)


def page(
    rx: Rx, who: Caller, inbox: str, query: Query, cursor: Cursor | None, limit: int, index: Index | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Page:  # fmt: skip
    """Errors as `sight`; NotFound for a mailbox that is none; IndexDamaged. A job of a reader process."""
    scan = Scan(rx, who, readable_inbox(rx, who, inbox), query, limit, clock, index)
    following = scan.run(cursor)
    return Page(scan.found, following)


class Scan:
    """One page. Rows come in order, a group a point; what they stand for is looked up for many at once."""

    def __init__(
        self, rx: Rx, who: Caller, inbox: Inbox, query: Query, limit: int,
        clock: Callable[[], float] = time.monotonic, index: Index | None = None,
    ) -> None:  # fmt: skip
        self._rx = rx
        self._who = who
        self._inbox = inbox
        self._seen = glimpse(rx, who, inbox, ())
        self._looked_up: frozenset[MailboxId] = frozenset()
        self._query = query
        self._limit = limit
        self.found: list[Placed] = []
        self._needles = query.needles
        self._index = index if query.text else None
        self._clock = clock
        self._end = clock() + SECONDS
        self._boxes = self._where()
        self._keyword = self._bits(query.keyword)
        if query.keyword is not None:
            self._boxes = [box for box in self._boxes if box in self._keyword]
        self._walked = frozenset(self._boxes)
        self._last: Cursor | None = None

    def run(self, cursor: Cursor | None) -> Cursor | None:
        """Where the page ends; None: nothing is behind it."""
        query = self._query
        if query.rising:
            first = max(OLDEST if query.since is None else (query.since, 0), OLDEST if cursor is None else cursor.point)
            last = (NEWEST[0] if query.before is None else query.before) - 1
        else:
            first = NEWEST if query.before is None else (query.before - 1, NEWEST[0])
            first = first if cursor is None else min(first, cursor.point)
            last = OLDEST[0] if query.since is None else query.since
        looked = 0
        for rows in self._chunks(Stretch(first, last, query.rising)):
            left = rows if self._index is None else may_hold(self._index, rows, self._needles)
            if self._take(self._ahead(left, cursor)):
                return self._last
            looked += len(rows)
            behind = Cursor(*rows[-1].point, LAST_NAME if query.rising else "") if rows else None
            if looked >= LOOKED:
                return behind
            if behind is not None and self._count() < self._limit:
                self._last = behind
        return None

    def _where(self) -> list[MailboxId]:
        """Mailboxes where there may be some."""
        query, who = self._query, self._who
        if query.mailbox is not None:
            box = glimpse_of(self._rx, who, self._inbox, query.mailbox).selectable(query.mailbox)
            return [MailboxId(box.id)] if (box.unseen if query.unread else box.messages) else []
        return [
            mailbox
            for mailbox, role in mailboxes.holding(self._rx, self._inbox.id, unseen=bool(query.unread))
            if role not in query.without and allowed(who.permissions, Action.READ, role)
        ]

    def _placed(self, rows: Sequence[PlaceRow]) -> dict[str, Placed]:
        """As `placed`; mailboxes are read when the first message is met that lies in them."""
        if new := {row.mailbox_id for row in rows} - self._looked_up:
            self._looked_up |= new
            boxes = glimpse(self._rx, self._who, self._inbox, new).boxes.values()
            self._seen = sight_of(self._who, self._inbox, [*self._seen.boxes.values(), *boxes])
        return placed(self._rx, self._seen, rows)

    def _bits(self, keyword: str | None) -> dict[MailboxId, int]:
        if keyword is None:
            return {}
        words = same_message.keywords(self._rx, self._boxes)
        return {
            mailbox: 1 << bit
            for mailbox, known in words.items()
            for bit, word in known.items()
            if word.lower() == keyword.lower()
        }

    def _may_fit(self, mailbox: MailboxId, flags: int) -> bool:
        """Whether a place with these flags may be one of a message that is asked for: one flag of those it must have,
        for others may have the rest."""
        query = self._query
        if flags & query.lacks:
            return False
        if query.keyword is not None:
            return bool(flags & self._keyword.get(mailbox, 0))
        return not query.has or bool(flags & query.has & -query.has)

    def _chunks(self, stretch: Stretch) -> Iterator[list[Row]]:
        """Rows of whole groups; each chunk is larger than the one before, for then few are what is asked for."""
        if not self._boxes:
            return
        if self._query.thread is not None:
            yield self._thread(stretch)
            return
        flags = bool(self._query.has or self._query.lacks or self._query.keyword)
        most = self._limit + 1
        least, cap = (0, MOST_ROWS) if self._index is None else (MOST_ROWS, ASKED_ROWS)
        while True:
            rows = by_date.walk(self._rx, self._boxes, stretch, most, flags=flags)
            if len(rows) < most:
                yield rows
                return
            last = rows[-1].point
            whole = [row for row in rows if row.point != last]
            if not whole:
                most *= 4  # so many copies of one message
                continue
            yield whole
            stretch = Stretch(last, stretch.last, stretch.rising)
            most = max(most, least, min(most * 2, cap))

    def _thread(self, stretch: Stretch) -> list[Row]:
        thread = self._query.thread
        if thread is None or not storable(thread):
            return []
        sign = 1 if stretch.rising else -1
        rows = [
            Row(row.internal_date, row.content_id, row.mailbox_id, row.uid, row.email_id, row.thread_id, row.flags)
            for row in same_message.of_threads(self._rx, self._inbox.id, [thread], THREAD_ROWS)
            if row.mailbox_id in self._walked
            and sign * row.internal_date <= sign * stretch.last
            and (row.point >= stretch.first if stretch.rising else row.point <= stretch.first)
        ]
        return sorted(rows, key=lambda row: row.point, reverse=not stretch.rising)

    def _ahead(self, rows: list[Row], cursor: Cursor | None) -> list[Row]:
        """Rows behind the cursor that may be of messages which are asked for; those of one point by their ids."""
        rising = self._query.rising
        kept = []
        for point, group in groupby(rows, key=lambda row: row.point):
            some = sorted(group, key=self.name_of, reverse=not rising)
            if cursor is not None and point == cursor.point:
                last = cursor.name
                some = [row for row in some if (self.name_of(row) > last if rising else self.name_of(row) < last)]
            kept += some
        return [row for row in kept if self._may_fit(row.mailbox_id, row.flags)]

    def _take(self, rows: list[Row]) -> bool:
        """Adds what is asked for; True where the page ends, behind `_last`: it is full, or the time is over."""
        at = 0
        while at < len(rows):
            some = rows[at : at + max(self._limit, TOGETHER)]
            if self._needles:
                if self._last is not None and self._clock() > self._end:
                    return True
                some = some[:TEXTS]
            at += len(some)
            held = holding(self._rx, some, self._needles) if self._needles else some
            if self._tell(held):
                return True
            if self._count() < self._limit:
                self._last = Cursor(*some[-1].point, self.name_of(some[-1]))
        return False

    def name_of(self, row: Row) -> str:
        """What is told once."""
        return row.email_id

    def _count(self) -> int:
        return len(self.found)

    def _tell(self, rows: Sequence[Row]) -> bool:
        """Adds what these rows stand for; True: there is one more than the page takes."""
        ids = list(dict.fromkeys(row.email_id for row in rows))
        known = self._placed(same_message.places(self._rx, self._inbox.id, ids)) if ids else {}
        told: set[str] = set()
        for row in rows:
            message = known.get(row.email_id)
            if message is None or row.email_id in told or self._point_of(message) != row.point:
                continue
            told.add(row.email_id)
            if not self._query.fits(message.mask, {word.lower() for word in message.keywords}):
                continue
            if len(self.found) == self._limit:
                return True
            self.found.append(message)
            self._last = Cursor(*row.point, row.email_id)
        return False

    def _point_of(self, message: Placed) -> Point:
        """The place among those that are walked at which the message is told: the first that the walk meets."""
        points = [
            place.row.point
            for place in message.places
            if place.row.mailbox_id in self._walked and self._may_fit(place.row.mailbox_id, place.row.flags)
        ]
        return min(points) if self._query.rising else max(points)
