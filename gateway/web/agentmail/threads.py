"""Threads of an inbox, of a pod's inboxes, or of all that the key opens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from gateway.access import changing, messages, threads
from gateway.access.caller import Caller
from gateway.access.messages import Message
from gateway.access.rendered import Person
from gateway.access.threads import Thread
from gateway.model.errors import LimitReached, NotFound
from gateway.model.mailbox import DRAFTS, SENT
from gateway.store.db import Tx
from gateway.store.inboxes import Inbox
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices

from . import across
from .changes import relabel
from .downloads import AttachmentPlace, attachment_download
from .finding import Filters
from .labels import labels_of
from .messages import Sought, UpdateMessage
from .parts import (
    MOST,
    USUAL,
    Area,
    Flag,
    In,
    Limit,
    Moment,
    PageToken,
    Theirs,
    Words,
    from_token,
    moment,
    new_router,
    to_token,
)
from .values import AttachmentOut, MessageOut, attachments, own, people, whole

router: APIRouter = new_router()
ROOM: Final = 4 << 20
"""Characters of texts after which a page of messages ends."""
SMALL: Final = 100
"""Messages of a thread from which on its labels cannot be changed at once."""
EVERYWHERE: Final = ("/threads", "/pods/{pod_id}/threads", "/inboxes/{inbox_id}/threads")


class ThreadItem(Theirs):
    inbox_id: str
    thread_id: str
    labels: list[str]
    timestamp: datetime
    received_timestamp: datetime | None = None
    sent_timestamp: datetime | None = None
    senders: list[str]
    recipients: list[str]
    subject: str | None = None
    preview: str | None = None
    attachments: list[AttachmentOut] | None = None
    last_message_id: str
    message_count: int
    size: int
    updated_at: datetime
    created_at: datetime


class ThreadOut(ThreadItem):
    """`messages`: a page of them, oldest first; the first page has the newest."""

    count: int
    limit: int
    next_page_token: str | None = None
    messages: list[MessageOut]


class ListThreads(Theirs):
    count: int
    limit: int
    next_page_token: str | None = None
    threads: list[ThreadItem]


class UpdatedThread(Theirs):
    thread_id: str
    labels: list[str]


def item(inbox: Inbox, thread: Thread) -> ThreadItem:
    return ThreadItem(**_values(inbox, thread))


def _values(inbox: Inbox, thread: Thread) -> dict[str, Any]:
    told, placed = thread.told, thread.placed
    mine = {message.id for message in told if own(inbox, message.digest)}
    labels = sorted({label for each in placed for label in labels_of(each, each.id in mine)})
    times: dict[bool, int] = {}
    for each in placed:
        roles = {place.role for place in each.places}
        if roles != {DRAFTS}:
            times[SENT in roles or each.id in mine] = each.received_at
    latest = placed[-1]
    return {
        "inbox_id": inbox.address, "thread_id": thread.id, "labels": labels, "timestamp": moment(latest.received_at),
        "received_timestamp": moment(times[False]) if False in times else None,
        "sent_timestamp": moment(times[True]) if True in times else None,
        "senders": _each(told, "from_"), "recipients": _each(told, "to", "cc"),
        "subject": told[0].digest.subject if told else None, "preview": told[-1].digest.preview if told else None,
        "attachments": [one for each in told for one in attachments(each.digest.attachments)] or None,
        "last_message_id": latest.id, "message_count": len(placed), "size": sum(each.size for each in placed),
        "updated_at": moment(max(place.saved_at for each in placed for place in each.places)),
        "created_at": moment(placed[0].received_at),
    }  # fmt: skip


def _each(told: tuple[Message, ...], *names: str) -> list[str]:
    found: dict[str, Person] = {}
    for message in told:
        for name in names:
            for person in getattr(message.digest, name):
                found.setdefault(person.address.lower(), person)
    return people(list(found.values())[:50])


async def one(services: WebServices, who: Caller, area: Area, thread_id: str) -> tuple[Inbox, Thread]:
    """NotFound: there is none within the area."""
    inbox = await services.db.read(lambda rx: across.inbox_of_thread(rx, area.of(rx, who), thread_id))
    return inbox, await threads.thread(services.db, services.digests, who, inbox.address, thread_id)


async def _page(
    services: WebServices, who: Caller, area: Area, filters: Filters, limit: int, token: str | None
) -> ListThreads:
    found, following = await across.threads_page(services, who, area, filters, min(limit, MOST), token)
    return ListThreads(
        count=len(found), limit=min(limit, MOST), next_page_token=following,
        threads=[item(inbox, thread) for inbox, thread in found],
    )  # fmt: skip


def _listed(path: str) -> None:
    @router.get(path)
    async def list_threads(
        services: Services, who: Who, area: In, limit: Limit = USUAL, page_token: PageToken = None,
        labels: Words = None, before: Moment = None, after: Moment = None, ascending: Flag = False,
        include_spam: Flag = False, include_blocked: Flag = False, include_unauthenticated: Flag = False,
        include_trash: Flag = False, senders: Words = None, recipients: Words = None, subject: Words = None,
    ) -> ListThreads:  # fmt: skip
        """Threads by their latest message, newest first; filters ask for a thread any message of which fits."""
        filters = Filters(
            labels=labels or (), before=before, after=after, ascending=ascending,
            spam=include_spam or include_blocked, trash=include_trash, from_=senders or (), to=recipients or (),
            subject=subject or (),
        )  # fmt: skip
        return await _page(services, who, area, filters, limit, page_token)

    @router.get(f"{path}/search")
    async def search_threads(
        services: Services, who: Who, area: In, q: Sought, limit: Limit = USUAL, page_token: PageToken = None,
        before: Moment = None, after: Moment = None,
    ) -> ListThreads:  # fmt: skip
        """Threads with a message whose header or text holds the words."""
        return await _page(services, who, area, Filters(before=before, after=after, text=q), limit, page_token)

    @router.get(f"{path}/{{thread_id}}")
    async def get_thread(
        services: Services, who: Who, area: In, thread_id: str, limit: Limit = MOST, page_token: PageToken = None
    ) -> ThreadOut:
        """A thread with a page of its messages and their texts."""
        inbox, found = await one(services, who, area, thread_id)
        parts = from_token(page_token, int)
        end = len(found.told) if parts is None else max(0, min(parts[0], len(found.told)))
        begin, room = end, ROOM
        told: list[MessageOut] = []
        while begin and len(told) < min(limit, MOST) and room > 0:
            begin -= 1
            message = found.told[begin]
            body = await services.db.offload(messages.body, message.placed.content_id)
            room -= len(body.text) + len(body.html or "")
            told.insert(0, whole(inbox, message, body))
        following = to_token(begin) if begin else None
        return ThreadOut(
            **item(inbox, found).model_dump(), count=len(told), limit=min(limit, MOST), next_page_token=following,
            messages=told,
        )  # fmt: skip

    @router.get(f"{path}/{{thread_id}}/attachments/{{attachment_id}}")
    async def get_attachment(
        services: Services, who: Who, area: In, thread_id: str, attachment_id: str,
        message_id: Annotated[str | None, Query(max_length=300)] = None,
    ) -> AttachmentPlace:  # fmt: skip
        """Where an attachment can be downloaded: of the latest message that has one of this id."""
        inbox, found = await one(services, who, area, thread_id)
        for message in reversed(found.told):
            known = {each.part for each in message.digest.attachments}
            if attachment_id in known and message_id in (None, message.id):
                return await attachment_download(services, who, inbox, message.id, message.digest, attachment_id)
        raise NotFound("No such attachment")

    @router.patch(f"{path}/{{thread_id}}")
    async def update_thread(
        services: Services, who: Who, area: In, thread_id: str, body: UpdateMessage
    ) -> UpdatedThread:
        """Add and remove labels of all its messages, 99 at most."""
        inbox, found = await one(services, who, area, thread_id)
        if len(found.placed) >= SMALL:
            raise LimitReached(f"The thread has {len(found.placed)} messages: change the labels of each")
        wanted, now = body.change, int(services.clock())
        mine = {message.id for message in found.told if own(inbox, message.digest)}

        def unit(tx: Tx) -> None:
            relabel(tx, threads.thread_taken(tx, who, inbox.address, thread_id), wanted, mine, now)

        await services.db.write(unit)
        after = await threads.thread(services.db, services.digests, who, inbox.address, thread_id)
        return UpdatedThread(thread_id=thread_id, labels=item(inbox, after).labels)

    @router.delete(f"{path}/{{thread_id}}", status_code=204)
    async def delete_thread(services: Services, who: Who, area: In, thread_id: str) -> None:
        """Remove all its messages for good."""
        inbox, _ = await one(services, who, area, thread_id)
        now = int(services.clock())

        def unit(tx: Tx) -> None:
            taken = threads.thread_taken(tx, who, inbox.address, thread_id)
            changing.delete(tx, taken.seen, taken.found, now=now)

        await services.db.write(unit)


for _path in EVERYWHERE:
    _listed(_path)
