"""Pages over several inboxes: those of each, put in one order.

Where a page ends is a date, a content and an id, which are in one order over all inboxes (`access.listing.Cursor`): so
one cursor serves them all, and none of them keeps the others waiting longer than it takes to look.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from gateway.access import listing, messages, threads
from gateway.access.caller import Caller, inboxes_of
from gateway.access.listing import Cursor, Placed
from gateway.access.query import Query
from gateway.access.sight import Sight, sight
from gateway.access.threads import NO_THREAD, Thread
from gateway.model.errors import LimitReached, NotFound
from gateway.store import same_message
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.store.texts import storable
from gateway.web.services import WebServices

from .finding import Asked, Filters, point_of, token_of
from .labels import labels_of
from .parts import Area

T = TypeVar("T")
INBOXES: Final = 500
"""Inboxes that one list looks at."""


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """Of one inbox: what was found, each with where it stands, and how far was looked; None: to the end."""

    found: list[tuple[Cursor, T]]
    next: Cursor | None


def merged(pieces: list[Piece[T]], limit: int, *, rising: bool) -> tuple[list[T], Cursor | None]:
    """The first `limit` of all; what stands behind a point that some inbox was not looked at beyond is left out."""
    ends = [_key(piece.next) for piece in pieces if piece.next is not None]
    bound = (min(ends) if rising else max(ends)) if ends else None
    found = sorted(
        (each for piece in pieces for each in piece.found), key=lambda each: _key(each[0]), reverse=not rising
    )
    if bound is not None:
        found = [each for each in found if (_key(each[0]) <= bound if rising else _key(each[0]) >= bound)]
    if len(found) > limit:
        return [each for _, each in found[:limit]], found[limit - 1][0]
    return [each for _, each in found], None if bound is None else Cursor(*bound)


def _key(cursor: Cursor) -> tuple[int, int, str]:
    return cursor.date, cursor.content, cursor.name


def inboxes_in(rx: Rx, who: Caller, area: Area) -> list[Inbox]:
    """Those with any mail. LimitReached: too many to be looked through."""
    found = [inbox for inbox in inboxes_of(rx, area.of(rx, who)) if inbox.messages]
    if len(found) > INBOXES:
        raise LimitReached(f"A list looks at {INBOXES} inboxes at most: ask for a pod or an inbox")
    return found


def inbox_of_thread(rx: Rx, who: Caller, thread_id: str) -> Inbox:
    """NotFound."""
    for inbox in inboxes_of(rx, who) if storable(thread_id) else ():
        if same_message.of_threads(rx, inbox.id, [thread_id], 1):
            return inbox
    raise NotFound(NO_THREAD)


async def threads_page(
    services: WebServices, who: Caller, area: Area, filters: Filters, limit: int, token: str | None
) -> tuple[list[tuple[Inbox, Thread]], str | None]:
    """NotFound, NoPermission, InvalidRequest, LimitReached."""
    asked, cursor = filters.asked(), point_of(token)

    def look(rx: Rx) -> list[Sight]:
        inner = area.of(rx, who)
        return [sight(rx, inner, inbox.address) for inbox in inboxes_in(rx, who, area)]

    pieces = []
    one = _by_message if asked.query.needles else _by_thread
    for seen in await services.db.read(look):
        query = asked.within(seen)
        if query is not None:
            pieces.append(await one(services, who, seen.inbox, query, asked, cursor, limit))
    found, following = merged(pieces, limit, rising=filters.ascending)
    return found, token_of(following)


async def _by_thread(
    services: WebServices, who: Caller, inbox: Inbox, query: Query, asked: Asked, cursor: Cursor | None, limit: int
) -> Piece[tuple[Inbox, Thread]]:
    page = await threads.list_threads(services.db, services.digests, who, inbox.address, query, cursor, limit)
    found = [
        (Cursor(*max(_points(each, query, asked.role) for each in thread.placed if _lies(each, query, asked.role)),
                thread.id), (inbox, thread))
        for thread in page.threads if _labelled(thread, asked.labels)
    ]  # fmt: skip
    return Piece(found, page.next)


async def _by_message(
    services: WebServices, who: Caller, inbox: Inbox, query: Query, asked: Asked, cursor: Cursor | None, limit: int
) -> Piece[tuple[Inbox, Thread]]:
    """Threads with a message that holds what is sought: each stands where the latest of such messages does."""
    page = await messages.list_messages(
        services.db, services.digests, who, inbox.address, query, cursor, limit, services.trigrams
    )
    found = []
    for message in page.messages:
        if not asked.fits(inbox, message):
            continue
        latest = await services.db.offload_bulk(
            listing.page, who, inbox.address, replace(query, thread=message.placed.thread_id, rising=False), None, 1
        )
        if [each.id for each in latest.messages] != [message.id]:
            continue
        thread = await threads.thread(services.db, services.digests, who, inbox.address, message.placed.thread_id)
        point = _points(message.placed, query, asked.role)
        found.append((Cursor(*point, message.id), (inbox, thread)))
    return Piece(found, page.next)


def _labelled(thread: Thread, labels: tuple[str, ...]) -> bool:
    """Whether any of its messages bears them all."""
    if not labels:
        return True
    return any(
        {label.lower() for label in labels_of(each, False)}.issuperset(labels) for each in thread.placed
    )


def _lies(message: Placed, query: Query, role: str | None) -> bool:
    return bool(_walked(message, query, role))


def _points(message: Placed, query: Query, role: str | None) -> tuple[int, int]:
    return max(_walked(message, query, role))


def _walked(message: Placed, query: Query, role: str | None) -> list[tuple[int, int]]:
    """Where it stands in the mailboxes that were looked through."""
    return [
        place.row.point for place in message.places
        if (place.role == role if role is not None else place.role not in query.without)
    ]  # fmt: skip


