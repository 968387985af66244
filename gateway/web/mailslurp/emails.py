"""EmailController, and the lists of InboxController: emails of inboxes."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from gateway.access import changing, octets
from gateway.access import messages as reads
from gateway.access import query as queries
from gateway.access.caller import Caller, inbox_of
from gateway.access.changing import Marks
from gateway.access.messages import Message
from gateway.access.octets import Stream
from gateway.model.errors import NotFound
from gateway.store.db import Tx
from gateway.store.inboxes import Inbox
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices

from . import reading
from .mail_models import (
    AttachmentMetaData,
    DownloadAttachment,
    Email,
    EmailHtml,
    EmailPreview,
    PageEmails,
    RawEmailJson,
    attachments,
    email,
    preview,
)
from .parts import Count, Index, Milliseconds, Moment, Size, Sort, page_of, unix
from .reading import NO_EMAIL

router = APIRouter(tags=["mailslurp emails"])
Ids = Annotated[list[str] | None, Query(max_length=reading.MOST_INBOXES)]


def asked(
    *, sort: Sort = "ASC", unread: bool = False, since: Moment = None, before: Moment = None, text: str | None = None
) -> queries.Query:
    return queries.Query(
        unread=True if unread else None, since=unix(since), before=unix(before), text=text or None,
        rising=sort == "ASC",
    )


@router.get("/inboxes/{inboxId}/emails")
async def get_emails(
    request: Request, services: Services, who: Who, inboxId: str, size: int | None = None, limit: int | None = None,
    sort: Sort = "ASC", retryTimeout: Milliseconds = None, delayTimeout: Milliseconds = None,
    minCount: Annotated[int | None, Query(ge=0, le=100)] = None, unreadOnly: bool = False, before: Moment = None,
    since: Moment = None,
) -> list[EmailPreview]:  # fmt: skip
    """Get emails in an inbox; with `minCount` it waits for so many, as long as `retryTimeout` says."""
    most = max(1, min(size or limit or 100, 100))
    inbox = await services.db.read(lambda rx: inbox_of(rx, who, inboxId))
    query = asked(sort=sort, unread=unreadOnly, since=since, before=before)

    async def look() -> list[Message] | None:
        found, _ = await reading.emails(services, who, inbox, query, max(most, minCount or 0))
        return found if len(found) >= (minCount or 0) else None

    if minCount:
        found = await reading.until(request, services, who, inbox, (retryTimeout or 0) / 1000, look)
    else:
        await reading.synced(services, who, inbox)
        found = await look() or []
    return [preview(inbox, message) for message in found[:most]]


@router.get("/inboxes/{inboxId}/emails/paginated")
async def get_inbox_emails_paginated(
    services: Services, who: Who, inboxId: str, page: Index = 0, size: Size = 20, sort: Sort = "ASC",
    since: Moment = None, before: Moment = None, syncConnectors: bool = False,
) -> PageEmails:  # fmt: skip
    """Get inbox emails in pages."""
    inbox = await services.db.read(lambda rx: inbox_of(rx, who, inboxId))
    query = asked(sort=sort, since=since, before=before)
    return await _page(services, who, [inbox], query, page, size, sync=syncConnectors)


@router.get("/inboxes/{inboxId}/emails/count")
async def get_inbox_email_count(services: Services, who: Who, inboxId: str) -> Count:
    """How many emails an inbox has received."""
    inbox = await services.db.read(lambda rx: inbox_of(rx, who, inboxId))
    return Count(total_elements=await reading.count(services, who, inbox, queries.EVERYTHING))


@router.get("/emails")
async def get_emails_paginated(
    services: Services, who: Who, inboxId: Ids = None, page: Index = 0, size: Size = 20, sort: Sort = "ASC",
    unreadOnly: bool = False, searchFilter: str | None = None, since: Moment = None, before: Moment = None,
    syncConnectors: bool = False,
) -> PageEmails:  # fmt: skip
    """Get emails of all inboxes, or of some, in pages."""
    found = await services.db.read(lambda rx: reading.some_inboxes(rx, who, inboxId))
    query = asked(sort=sort, unread=unreadOnly, since=since, before=before, text=searchFilter)
    return await _page(services, who, found, query, page, size, sync=syncConnectors)


@router.get("/emails/offset-paginated")
async def get_emails_offset_paginated(
    services: Services, who: Who, inboxId: Ids = None, page: Index = 0, size: Size = 20, sort: Sort = "ASC",
    unreadOnly: bool = False, searchFilter: str | None = None, since: Moment = None, before: Moment = None,
    syncConnectors: bool = False,
) -> PageEmails:  # fmt: skip
    """The same."""
    return await get_emails_paginated(
        services, who, inboxId, page, size, sort, unreadOnly, searchFilter, since, before, syncConnectors
    )


async def _page(
    services: WebServices, who: Caller, boxes: list[Inbox], query: queries.Query, index: int, size: int, *, sync: bool
) -> PageEmails:
    """Of several inboxes the first pages are merged: a page further on costs all those before it."""
    merged: list[tuple[Inbox, Message]] = []
    total = 0
    for box in boxes:
        if sync:
            await reading.synced(services, who, box)
        found, more = await reading.emails(services, who, box, query, (index + 1) * size)
        merged += [(box, message) for message in found]
        total += await reading.count(services, who, box, query) if more else len(found)
    merged.sort(key=lambda pair: pair[1].placed.cursor.point, reverse=not query.rising)
    shown = [preview(box, message) for box, message in merged[index * size : (index + 1) * size]]
    return page_of(shown, index, size, total)


async def newest(services: WebServices, who: Caller, boxes: list[Inbox]) -> Email:
    """NotFound: they are empty."""
    best: tuple[Inbox, Message] | None = None
    for box in boxes:
        found, _ = await reading.emails(services, who, box, queries.EVERYTHING, 1)
        if found and (best is None or found[0].placed.cursor.point > best[1].placed.cursor.point):
            best = box, found[0]
    if best is None:
        raise NotFound(NO_EMAIL)
    return await whole(services, who, *best)


async def whole(services: WebServices, who: Caller, inbox: Inbox, message: Message) -> Email:
    """An email with what it says."""
    full = await reads.full_message(services.db, services.digests, who, inbox.uuid, message.id)
    user = await services.db.read(lambda rx: reading.user_of(rx, inbox))
    return email(inbox, user, full)


@router.get("/emails/latest")
async def get_latest_email(services: Services, who: Who, inboxIds: Ids = None) -> Email:
    """Get the newest email of all inboxes, or of some."""
    return await newest(services, who, await services.db.read(lambda rx: reading.some_inboxes(rx, who, inboxIds)))


@router.get("/emails/latestIn")
async def get_latest_email_in_inbox1(services: Services, who: Who, inboxId: str) -> Email:
    """Get the newest email of an inbox."""
    return await newest(services, who, [await services.db.read(lambda rx: inbox_of(rx, who, inboxId))])


@router.get("/emails/{emailId}")
async def get_email(services: Services, who: Who, emailId: str) -> Email:
    """Get an email with its body."""
    found, full = await reading.full(services, who, emailId)
    return email(found.inbox, found.user, full)


@router.delete("/emails/{emailId}", status_code=204)
async def delete_email(services: Services, who: Who, emailId: str) -> None:
    """Delete an email for good."""
    now = int(services.clock())

    def unit(tx: Tx) -> None:
        found = reading.locate(tx, who, emailId)
        taken = changing.taken(tx, who, found.inbox.uuid, [found.email_id], every=True)
        changing.delete(tx, taken.seen, taken.found, now=now)

    await services.db.write(unit)


@router.patch("/emails/{emailId}/read")
async def mark_as_read(services: Services, who: Who, emailId: str, read: bool = True) -> EmailPreview:
    """Mark an email as read, or as unread."""
    marks = Marks(add=("\\Seen",)) if read else Marks(remove=("\\Seen",))

    def unit(tx: Tx) -> None:
        found = reading.locate(tx, who, emailId)
        taken = changing.taken(tx, who, found.inbox.uuid, [found.email_id], every=True)
        changing.mark(tx, taken.seen, taken.found, marks)

    await services.db.write(unit)
    found, message = await reading.one(services, who, emailId)
    return preview(found.inbox, message)


@router.get("/emails/{emailId}/summary")
async def get_email_summary(services: Services, who: Who, emailId: str) -> EmailPreview:
    """Get what a list shows of an email."""
    found, message = await reading.one(services, who, emailId)
    return preview(found.inbox, message)


@router.get("/emails/{emailId}/raw", response_class=Response)
async def get_raw_email_contents(services: Services, who: Who, emailId: str) -> Response:
    """Get the octets of an email."""
    return Response(await raw_octets(services, who, emailId), media_type="text/plain")


@router.get("/emails/{emailId}/raw/json")
async def get_raw_email_json(services: Services, who: Who, emailId: str) -> RawEmailJson:
    """Get the octets of an email as a text."""
    return RawEmailJson(content=(await raw_octets(services, who, emailId)).decode("utf-8", "replace"))


async def raw_octets(services: WebServices, who: Caller, reference: str) -> bytes:
    """Held in memory: a message is not larger than any may be."""
    found = await services.db.read(lambda rx: reading.locate(rx, who, reference))
    return await _octets(services, await octets.raw(services.db, who, found.inbox.uuid, found.email_id))


async def _octets(services: WebServices, stream: Stream) -> bytes:
    return b"".join([piece async for piece in stream.pieces(services.db)])


@router.get("/emails/{emailId}/html", response_class=HTMLResponse)
async def get_email_html(services: Services, who: Who, emailId: str) -> Response:
    """Get the HTML of an email, or its text. A browser runs and loads nothing of it."""
    _, full = await reading.full(services, who, emailId)
    text = full.body.html if full.body.html is not None else full.body.text
    kind = "text/html" if full.body.html is not None else "text/plain"
    return Response(text, media_type=kind, headers={"content-security-policy": "sandbox; default-src 'none'"})


@router.get("/emails/{emailId}/html/json")
async def get_email_html_json(services: Services, who: Who, emailId: str) -> EmailHtml:
    """Get the HTML of an email."""
    _, full = await reading.full(services, who, emailId)
    return EmailHtml(
        subject=full.message.digest.subject or None,
        body=full.body.html if full.body.html is not None else full.body.text,
    )


@router.get("/emails/{emailId}/attachments")
async def get_email_attachments(services: Services, who: Who, emailId: str) -> list[AttachmentMetaData]:
    """List the attachments of an email."""
    _, message = await reading.one(services, who, emailId)
    return attachments(emailId.lower(), message.digest)


async def _attachment(
    services: WebServices, who: Caller, reference: str, wanted: str
) -> tuple[AttachmentMetaData, Stream]:
    found, message = await reading.one(services, who, reference)
    known = attachments(reference.lower(), message.digest)
    for meta, one in zip(known, message.digest.attachments, strict=True):
        if meta.id == wanted.lower():
            return meta, await octets.part(services.db, who, found.inbox.uuid, found.email_id, one.part)
    raise NotFound("No such attachment")


@router.get("/emails/{emailId}/attachments/{attachmentId}", response_class=Response)
async def download_attachment(services: Services, who: Who, emailId: str, attachmentId: str) -> Response:
    """Download an attachment."""
    _, stream = await _attachment(services, who, emailId, attachmentId)
    return Response(
        await _octets(services, stream), media_type="application/octet-stream",
        headers={"content-disposition": "attachment"},
    )  # fmt: skip


@router.get("/emails/{emailId}/attachments/{attachmentId}/base64")
async def download_attachment_base64(
    services: Services, who: Who, emailId: str, attachmentId: str
) -> DownloadAttachment:
    """Download an attachment as base64."""
    meta, stream = await _attachment(services, who, emailId, attachmentId)
    found = await _octets(services, stream)
    return DownloadAttachment(
        base64_file_contents=base64.b64encode(found).decode("ascii"), content_type=meta.content_type,
        size_bytes=len(found),
    )


@router.get("/emails/{emailId}/attachments/{attachmentId}/metadata")
async def get_attachment_metadata(
    services: Services, who: Who, emailId: str, attachmentId: str
) -> AttachmentMetaData:
    """What an attachment is."""
    return (await _attachment(services, who, emailId, attachmentId))[0]
