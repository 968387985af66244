"""Threads of an inbox: messages that answer each other."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from gateway.access import freshness, threads
from gateway.access import query as queries
from gateway.access.rendered import Person
from gateway.access.threads import Thread
from gateway.store.db import Tx

from .message_changes import Change, FlagsChange, ManyDone, deleting, marking
from .message_values import AddressOut, MessageOut, people, shown
from .messages import Flag, Time, Words, cursor_of, point_of
from .parts import Cursor, Limit, Page, Services, Who, told, told_page

router = APIRouter(prefix="/api/v1/inboxes/{inbox}/threads", tags=["threads"])

IDS: Final = 200


class ThreadOut(BaseModel):
    """`subject`: of its first message; `preview`: of its latest. `senders`, `message_ids`: of the latest messages.

    `flags`, `keywords`: of any of its messages. Times: Unix seconds.
    """

    id: str
    subject: str
    preview: str
    first_at: int
    latest_at: int
    messages: int
    unread: int
    size: int
    senders: list[AddressOut]
    flags: list[str]
    keywords: list[str]
    message_ids: list[str]


class ThreadFull(ThreadOut):
    """`items`: its latest 200 messages, oldest first; the list of messages with `thread` has all."""

    items: list[MessageOut]


def shown_thread(thread: Thread) -> ThreadOut:
    first, latest = thread.told[:1], thread.told[-1:]
    placed = thread.placed
    senders: dict[str, Person] = {}
    for message in thread.told:
        for person in message.digest.from_:
            senders.setdefault(person.address.lower(), person)
    flags = {flag for message in placed for flag in message.flags}
    keywords = {word.lower(): word for message in placed for word in message.keywords}
    return ThreadOut(
        id=thread.id, subject=first[0].digest.subject if first else "",
        preview=latest[0].digest.preview if latest else "", first_at=placed[0].received_at,
        latest_at=placed[-1].received_at, messages=len(placed), unread=thread.unread,
        size=sum(message.size for message in placed),
        senders=[AddressOut.model_validate(each) for each in people(list(senders.values())[:50])],
        flags=sorted(flags), keywords=[keywords[word] for word in sorted(keywords)],
        message_ids=[message.id for message in placed[-IDS:]],
    )  # fmt: skip


@router.get("", response_model=Page[ThreadOut])
async def list_threads(
    services: Services, who: Who, inbox: str,
    mailbox: Annotated[str | None, Query(max_length=1000, description="Id or name; all without it")] = None,
    since: Time = None, before: Time = None, unread: Flag = None, flagged: Flag = None, keyword: Words = None,
    order: Literal["newest", "oldest"] = "newest", limit: Limit = 50, cursor: Cursor = None,
) -> Any:  # fmt: skip
    """Threads by their latest message, newest first; filters ask for a thread any message of which fits.

    A page may be short, or empty, and still have a `next`: go on until it is null. Accounts with `sync.on_access` are
    looked at as for a list of messages.
    """
    if cursor is None:
        await freshness.look(services.db, services.freshness, who, inbox, mailbox)
    asked = queries.Query(
        mailbox=mailbox, since=since, before=before, unread=unread, flagged=flagged, keyword=keyword,
        rising=order == "oldest",
    )  # fmt: skip
    found = await threads.list_threads(services.db, services.digests, who, inbox, asked, point_of(cursor), limit)
    weight = sum(thread.weight for thread in found.threads)
    return await told_page(found.threads, shown_thread, cursor_of(found.next), weight)


@router.get("/{thread}", response_model=ThreadFull)
async def get_thread(services: Services, who: Who, inbox: str, thread: str) -> Any:
    """A thread with its messages, oldest first."""
    found = await threads.thread(services.db, services.digests, who, inbox, thread)
    return await told(lambda: _whole(found), found.weight)


def _whole(found: Thread) -> ThreadFull:
    return ThreadFull(**shown_thread(found).model_dump(), items=[shown(message) for message in found.told])


@router.patch("/{thread}")
async def change_flags_of_thread(services: Services, who: Who, inbox: str, thread: str, body: FlagsChange) -> ManyDone:
    """Change flags and keywords of all messages of a thread."""
    return await _changed(services, who, inbox, thread, marking(body), body.unchanged_since)


@router.delete("/{thread}", status_code=204)
async def delete_thread(
    services: Services, who: Who, inbox: str, thread: str,
    permanent: Annotated[bool, Query(description="Remove them for good instead")] = False,
) -> None:  # fmt: skip
    """Move all messages of a thread to Trash, or remove them for good."""
    await _changed(services, who, inbox, thread, deleting(permanent), None)


async def _changed(
    services: Services, who: Who, inbox: str, thread: str, change: Change, since: int | None
) -> ManyDone:
    now = int(services.clock())

    def unit(tx: Tx) -> ManyDone:
        taken = threads.thread_taken(tx, who, inbox, thread, since)
        change(tx, taken, now)
        return ManyDone(done=[message.id for message in taken.found], missing=[])

    return await services.db.write(unit)
