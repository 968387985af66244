"""Messages of an inbox: lists, one message, its octets, and messages that are stored as they come."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.access import arrival, freshness, messages, octets
from gateway.access import query as queries
from gateway.access.listing import Cursor as Point
from gateway.model.errors import InvalidRequest

from .downloads import download
from .message_values import MessageFull, MessageOut, full_values, shown, values
from .parts import Cursor, Limit, Page, Services, Who, from_cursor, to_cursor, told, told_page

router = APIRouter(prefix="/api/v1/inboxes/{inbox}", tags=["messages"])

_MOST: Final = 2**53
_CLOSE: Final = {"Connection": "close"}
"""The body was not read."""
Time = Annotated[int | None, Query(ge=-_MOST, le=_MOST, description="Unix seconds")]
Words = Annotated[str | None, Query(min_length=1, max_length=1000)]
Flag = Annotated[bool | None, Query()]


def point_of(cursor: str | None) -> Point | None:
    """InvalidRequest."""
    parts = from_cursor(cursor, int, int, str)
    if parts is None:
        return None
    if parts[1] < 0:
        raise InvalidRequest("cursor is not one that a page gave")
    return Point(*parts)


def cursor_of(point: Point | None) -> str | None:
    return None if point is None else to_cursor(point.date, point.content, point.name)


@router.get("/messages", response_model=Page[MessageOut])
async def list_messages(
    services: Services, who: Who, inbox: str,
    mailbox: Annotated[str | None, Query(max_length=1000, description="Id or name; all without it")] = None,
    since: Time = None, before: Time = None, unread: Flag = None, flagged: Flag = None, answered: Flag = None,
    draft: Flag = None, keyword: Words = None, no_keyword: Words = None,
    from_: Annotated[str | None, Query(alias="from", min_length=1, max_length=1000)] = None,
    to: Annotated[str | None, Query(min_length=1, max_length=1000, description="Cc and Bcc too")] = None,
    subject: Words = None,
    text: Annotated[str | None, Query(min_length=1, max_length=1000, description="Header or text hold it")] = None,
    thread: Annotated[str | None, Query(max_length=100)] = None, order: Literal["newest", "oldest"] = "newest",
    limit: Limit = 50, cursor: Cursor = None,
) -> Any:  # fmt: skip
    """Messages of all mailboxes or of one, newest first; all filters that are given must hold.

    A search may answer a short page, or an empty one, that still has a `next`: go on until it is null. The first page
    waits for a look at the account that the mail comes from, where that has `sync.on_access`, and as long as that says.
    """
    if cursor is None:
        await freshness.look(services.db, services.freshness, who, inbox, mailbox)
    asked = queries.Query(
        mailbox=mailbox, since=since, before=before, unread=unread, flagged=flagged, answered=answered, draft=draft,
        keyword=keyword, no_keyword=no_keyword, from_=from_, to=to, subject=subject, text=text, thread=thread,
        rising=order == "oldest",
    )  # fmt: skip
    found = await messages.list_messages(
        services.db, services.digests, who, inbox, asked, point_of(cursor), limit, services.trigrams
    )
    weight = sum(message.weight for message in found.messages)
    return await told_page(found.messages, values, cursor_of(found.next), weight)


_RFC822: Final = {"requestBody": {"required": True, "content": {
    "message/rfc822": {"schema": {"type": "string", "format": "binary"}},
}}}  # fmt: skip


@router.post("/messages", status_code=201, openapi_extra=_RFC822)
async def append_message(
    request: Request, response: Response, services: Services, who: Who, inbox: str,
    mailbox: Annotated[str, Query(max_length=1000, description="Id or name")] = "INBOX",
    flag: Annotated[list[str] | None, Query(max_length=60, description="\\Seen, a keyword …; may be repeated")] = None,
    date: Annotated[int | None, Query(ge=0, le=253402300799, description="Unix seconds; now without it")] = None,
) -> MessageOut:  # fmt: skip
    """Store a message as it is, without sending it: its octets are the body, as message/rfc822."""
    kind = request.headers.get("content-type", "message/rfc822").partition(";")[0].strip().lower()
    if kind != "message/rfc822":
        raise HTTPException(415, "The body is a message, of type message/rfc822", _CLOSE)
    now = int(services.clock())
    length = request.headers.get("content-length", "")
    wanted = arrival.Arrival(
        mailbox, tuple(flag or ()), now if date is None else date, int(length) if length.isdigit() else 0
    )
    try:
        made = await arrival.append(
            services.db, services.ingest, who, inbox, wanted, request.stream(),
            max_size=services.settings.max_message_size, now=now,
        )  # fmt: skip
    except ClientDisconnect:
        raise HTTPException(400, "The body was cut off") from None
    response.headers["Location"] = f"/api/v1/inboxes/{quote(inbox)}/messages/{made}"
    return shown(await messages.message(services.db, services.digests, who, inbox, made))


@router.get("/messages/{message}", response_model=MessageFull)
async def get_message(services: Services, who: Who, inbox: str, message: str) -> Any:
    """A message with its text and all fields of its header."""
    full = await messages.full_message(services.db, services.digests, who, inbox, message)
    return await told(lambda: full_values(full), full.weight)


@router.get("/messages/{message}/raw", response_class=Response, responses={
    200: {"content": {"message/rfc822": {}}, "description": "The octets as they are stored"},
    206: {"content": {"message/rfc822": {}}, "description": "The range that was asked for"},
})  # fmt: skip
async def get_raw(request: Request, services: Services, who: Who, inbox: str, message: str) -> Response:
    """A message as it came, or a range of it."""
    stream = await octets.raw(services.db, who, inbox, message)
    return download(request, services.db, stream, f"{message}.eml")


@router.get("/messages/{message}/parts/{part}", response_class=Response, responses={
    200: {"content": {"application/octet-stream": {}}, "description": "The part, decoded"},
    206: {"content": {"application/octet-stream": {}}, "description": "The range that was asked for"},
})  # fmt: skip
async def get_part(request: Request, services: Services, who: Who, inbox: str, message: str, part: str) -> Response:
    """A part without its transfer encoding, or a range of it; `part` as attachments name it."""
    stream = await octets.part(services.db, who, inbox, message, part)
    return download(request, services.db, stream, stream.file_name)
