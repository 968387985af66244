"""Waiting until an inbox holds mail of some kind: what is there counts, then what comes; nothing is asked meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import ContentId, MailboxId
from gateway.model.mailbox import DRAFTS, JUNK, SENT, TRASH
from gateway.model.names import canonical
from gateway.model.ports import Freshness
from gateway.store.by_date import Row
from gateway.store.db import Database, Rx
from gateway.store.trigrams import Trigrams

from .caller import Caller
from .digest import Digests
from .events import RESET, Event, Page
from .events_collect import Rank
from .events_live import Followers
from .events_place import shown
from .freshness import keep_looking, place
from .listing import find
from .messages import Message, list_messages, messages
from .needles import holding
from .query import Query
from .sight import sight

ELSEWHERE: Final = frozenset({SENT, DRAFTS, TRASH, JUNK})
"""Mailboxes whose mail nobody waits for, unless they are named."""


@dataclass(frozen=True, slots=True)
class Waited:
    """`messages`, newest first, as many as were wanted, if `complete`. `cursor`: of the log, behind all of them."""

    messages: list[Message]
    complete: bool
    cursor: str


class _Bell:
    """Rung by the one who follows the inbox."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def wake(self) -> None:
        self._rung.set()

    def gone(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        await self._rung.wait()
        self._rung.clear()


async def wait_for(
    db: Database, kept: Digests, followers: Followers, who: Caller, inbox: str, query: Query, count: int,
    seconds: float, cursors: Sequence[str] = (), texts: Trigrams | None = None, freshness: Freshness | None = None,
) -> Waited:  # fmt: skip
    """`count` messages that fit; with a cursor only such as came behind it. Accounts whose readers wait for a look are
    looked at meanwhile (`freshness`).

    NotFound (also when the inbox goes meanwhile), NoPermission, InvalidRequest: the log does not reach back so far.
    """
    if query.mailbox is None:
        query = replace(query, without=ELSEWHERE)
    inbox_id, mailbox_id = await db.read(lambda rx: place(rx, who, inbox, query.mailbox))
    bell = _Bell()
    follower = await followers.follow(inbox_id, bell)
    looking: asyncio.Task[None] | None = None
    try:
        start = await follower.start(cursors)
        at = start.place
        found: dict[str, None] = {}
        if not cursors:
            found = dict.fromkeys(await _there(db, kept, who, inbox, query, count, texts))
        if freshness is not None and len(found) < count:
            looking = asyncio.create_task(keep_looking(freshness, inbox_id, mailbox_id))
        try:
            async with asyncio.timeout(seconds):
                while len(found) < count:
                    page = await follower.after(at)
                    if page is None:
                        await bell.wait()
                        continue
                    found |= dict.fromkeys(await _came(db, who, inbox, query, page))
                    at = page.end
        except TimeoutError:
            pass
        told = await messages(db, kept, who, inbox, list(found))
        told.sort(key=lambda message: message.placed.cursor.point, reverse=True)
        return Waited(told, len(told) >= count, shown(start.epoch, at))
    finally:
        if looking is not None:
            looking.cancel()
        followers.leave(follower, bell)


async def _there(
    db: Database, kept: Digests, who: Caller, inbox: str, query: Query, count: int, texts: Trigrams | None
) -> list[str]:
    """What fits already, the newest."""
    found: list[str] = []
    cursor = None
    while len(found) < count:
        listed = await list_messages(db, kept, who, inbox, query, cursor, count - len(found), texts)
        found += [message.id for message in listed.messages]
        cursor = listed.next
        if cursor is None:
            break
    return found


async def _came(db: Database, who: Caller, inbox: str, query: Query, page: Page) -> list[str]:
    """What of a page of events fits. Texts are looked through where they hold up nobody."""
    if any(event.type == RESET for event in page.events):
        raise InvalidRequest("cursor is too old: the log does not reach back so far")
    rows = [_row(event) for event in page.events if _may_fit(event, query)]
    if not rows:
        return []
    if query.text:
        return await db.offload_bulk(fitting, who, inbox, query, rows)
    return await db.read(lambda rx: fitting(rx, who, inbox, query, rows))


def _may_fit(event: Event, query: Query) -> bool:
    if event.place.rank != Rank.ARRIVED or event.content_id is None or event.role in query.without:
        return False
    mailbox = event.data["mailbox"]
    return query.mailbox is None or query.mailbox == mailbox["id"] or canonical(query.mailbox) == mailbox["name"]


def _row(event: Event) -> Row:
    assert event.content_id is not None
    return Row(
        event.at or 0, ContentId(event.content_id), MailboxId(event.place.within), event.place.number,
        event.data["message"], event.data["thread"], 0,
    )  # fmt: skip


def fitting(rx: Rx, who: Caller, inbox: str, query: Query, rows: Sequence[Row]) -> list[str]:
    """Ids of messages of these rows that fit and are still there. A job of a reader process."""
    try:
        held = holding(rx, rows, query.needles)
    except NotFound:  # one of them is collected: each by itself
        if len(rows) == 1:
            return []
        return [found for row in rows for found in fitting(rx, who, inbox, query, [row])]
    known = find(rx, sight(rx, who, inbox), [row.email_id for row in held])
    return [
        email_id
        for email_id, message in known.items()
        if query.fits(message.mask, {word.lower() for word in message.keywords})
    ]
