"""Messages of an inbox: lists, search, one, many, their octets as downloads, labels, removal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, Field

from gateway.access import changing, messages, octets
from gateway.access.caller import Caller
from gateway.access.messages import Message
from gateway.model.errors import InvalidRequest
from gateway.store.db import Tx
from gateway.store.inboxes import Inbox
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices

from . import finding
from .changes import relabel
from .downloads import AttachmentPlace, Download, attachment_download, raw_download
from .finding import Filters
from .labels import MANY, Change, change, labels_of
from .parts import MOST, USUAL, Flag, FromWords, Given, Limit, Moment, PageToken, Theirs, Words, new_router
from .values import MessageItem, MessageOut, item, own, whole

router: APIRouter = new_router()
BASE = "/inboxes/{inbox_id}/messages"

Id = Annotated[str, Field(max_length=300)]
Ids = Annotated[tuple[Id, ...], Field(min_length=1, max_length=MOST)]


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Labels = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=MANY),
    BeforeValidator(lambda value: () if value is None else _several(value)),
]  # fmt: skip
Sought = Annotated[str, Query(min_length=1, max_length=1000)]


class ListMessages(Theirs):
    count: int
    limit: int
    next_page_token: str | None = None
    messages: list[MessageItem]


class UpdateMessage(Given):
    add_labels: Labels = ()
    remove_labels: Labels = ()

    @property
    def change(self) -> Change:
        """InvalidRequest."""
        made = change(self.add_labels, self.remove_labels)
        if made.empty:
            raise InvalidRequest("add_labels, remove_labels: name a label")
        return made


class UpdatedMessage(Theirs):
    message_id: str
    labels: list[str]


class BatchGet(Given):
    message_ids: Ids


class BatchUpdate(UpdateMessage):
    message_ids: Ids


class BatchFound(Theirs):
    limit: int
    count: int
    messages: list[MessageOut]


class BatchUpdated(Theirs):
    limit: int
    count: int
    updates: list[UpdatedMessage]


class RawMessage(Download):
    message_id: str


@router.get(BASE)
async def list_messages(
    services: Services, who: Who, inbox_id: str, limit: Limit = USUAL, page_token: PageToken = None,
    labels: Words = None, before: Moment = None, after: Moment = None, ascending: Flag = False,
    include_spam: Flag = False, include_blocked: Flag = False, include_unauthenticated: Flag = False,
    include_trash: Flag = False, from_: FromWords = None,
    to: Words = None, subject: Words = None,
) -> ListMessages:  # fmt: skip
    """Messages, newest first; all labels and filters must hold."""
    filters = Filters(
        labels=labels or (), before=before, after=after, ascending=ascending, spam=include_spam or include_blocked,
        trash=include_trash, from_=from_ or (), to=to or (), subject=subject or (),
    )  # fmt: skip
    inbox, found, following = await finding.list_messages(services, who, inbox_id, filters, limit, page_token)
    return _page(inbox, found, limit, following)


@router.get(f"{BASE}/search")
async def search_messages(
    services: Services, who: Who, inbox_id: str, q: Sought, limit: Limit = USUAL, page_token: PageToken = None,
    before: Moment = None, after: Moment = None,
) -> ListMessages:  # fmt: skip
    """Messages whose header or text holds the words, newest first."""
    filters = Filters(before=before, after=after, text=q)
    inbox, found, following = await finding.list_messages(services, who, inbox_id, filters, limit, page_token)
    return _page(inbox, found, limit, following)


def _page(inbox: Inbox, found: Sequence[Message], limit: int, following: str | None) -> ListMessages:
    return ListMessages(
        count=len(found), limit=min(limit, MOST), next_page_token=following,
        messages=[item(inbox, message) for message in found],
    )  # fmt: skip


@router.post(f"{BASE}/batch-get")
async def batch_get(services: Services, who: Who, inbox_id: str, body: BatchGet) -> BatchFound:
    """Messages by their ids, in that order, without their texts."""
    inbox = await finding.the_inbox(services, who, inbox_id)
    found = await messages.messages(services.db, services.digests, who, inbox.address, body.message_ids)
    return BatchFound(
        limit=len(body.message_ids), count=len(found), messages=[whole(inbox, message, None) for message in found]
    )


@router.post(f"{BASE}/batch-update")
async def batch_update(services: Services, who: Who, inbox_id: str, body: BatchUpdate) -> BatchUpdated:
    """Add and remove labels of many messages; ids of which there is none are left out."""
    updates = await labelled(services, who, inbox_id, body.message_ids, body.change)
    return BatchUpdated(limit=len(body.message_ids), count=len(updates), updates=updates)


async def labelled(
    services: WebServices, who: Caller, reference: str, ids: Sequence[str], wanted: Change, *, every: bool = False
) -> list[UpdatedMessage]:
    """In one unit. NotFound: the inbox, with `every` one message of them."""
    inbox = await finding.the_inbox(services, who, reference)
    found = await messages.messages(services.db, services.digests, who, inbox.address, ids)
    mine = {message.id for message in found if own(inbox, message.digest)}
    now = int(services.clock())

    def unit(tx: Tx) -> None:
        relabel(tx, changing.taken(tx, who, inbox.address, ids, every=every), wanted, mine, now)

    await services.db.write(unit)
    after = await messages.messages(services.db, services.digests, who, inbox.address, ids)
    there = {message.id: labels_of(message.placed, message.id in mine) for message in after}
    return [
        UpdatedMessage(message_id=one, labels=there[one]) for one in dict.fromkeys(ids) if one in there
    ]


@router.get(f"{BASE}/{{message_id}}")
async def get_message(services: Services, who: Who, inbox_id: str, message_id: str) -> MessageOut:
    """A message with its text."""
    inbox, found = await finding.one(services, who, inbox_id, message_id)
    return whole(inbox, found, await services.db.offload(messages.body, found.placed.content_id))


@router.get(f"{BASE}/{{message_id}}/raw")
async def get_raw(services: Services, who: Who, inbox_id: str, message_id: str) -> RawMessage:
    """Where the message can be downloaded as it came."""
    inbox = await finding.the_inbox(services, who, inbox_id)
    stream = await octets.raw(services.db, who, inbox.address, message_id)
    place = await raw_download(services, who, inbox, message_id)
    return RawMessage(message_id=message_id, size=stream.size, **place)


@router.get(f"{BASE}/{{message_id}}/attachments/{{attachment_id}}")
async def get_attachment(
    services: Services, who: Who, inbox_id: str, message_id: str, attachment_id: str
) -> AttachmentPlace:
    """Where an attachment can be downloaded."""
    inbox, found = await finding.one(services, who, inbox_id, message_id)
    return await attachment_download(services, who, inbox, found.id, found.digest, attachment_id)


@router.patch(f"{BASE}/{{message_id}}")
async def update_message(
    services: Services, who: Who, inbox_id: str, message_id: str, body: UpdateMessage
) -> UpdatedMessage:
    """Add and remove labels."""
    (made,) = await labelled(services, who, inbox_id, [message_id], body.change, every=True) or [
        UpdatedMessage(message_id=message_id, labels=[])
    ]
    return made


@router.delete(f"{BASE}/{{message_id}}", status_code=204)
async def delete_message(services: Services, who: Who, inbox_id: str, message_id: str) -> None:
    """Remove a message for good."""
    inbox = await finding.the_inbox(services, who, inbox_id)
    now = int(services.clock())

    def unit(tx: Tx) -> None:
        taken = changing.taken(tx, who, inbox.address, [message_id], every=True)
        changing.delete(tx, taken.seen, taken.found, now=now)

    await services.db.write(unit)
