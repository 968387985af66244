"""Wait until an inbox holds mail of some kind: a long poll."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from gateway.access.caller import inbox_of
from gateway.access.events_wait import wait_for
from gateway.access.query import Query
from gateway.web.waiting import held

from .events import cursors_in
from .message_values import MessageOut, shown
from .parts import Services, Strict, Who

router = APIRouter(prefix="/api/v1", tags=["events"])

LONGEST_S = 300
Words = Annotated[str, Field(min_length=1, max_length=1000)]


class WaitFor(Strict):
    """All that is given must hold; see the filters of the list of messages.

    Without `mailbox` mail in Sent, Drafts, Trash and Spam does not count. With `cursor` (`cursor` of the inbox, or of
    an answer before) only what came behind it does; without one what is there counts too. `timeout`: seconds.
    """

    mailbox: Annotated[str, Field(max_length=1000)] | None = None
    from_: Words | None = Field(None, alias="from")
    to: Words | None = None
    subject: Words | None = None
    text: Words | None = None
    unread: bool | None = None
    cursor: Annotated[str, Field(max_length=200)] | None = None
    count: Annotated[int, Field(ge=1, le=100)] = 1
    timeout: Annotated[float, Field(ge=0, le=LONGEST_S)] = 60


class WaitedOut(Strict):
    """`complete`: as many as were wanted are there; else the time was over. `items`: newest first."""

    items: list[MessageOut]
    complete: bool
    cursor: str


@router.post("/inboxes/{inbox}/wait-for")
async def wait(request: Request, services: Services, who: Who, inbox: str, body: WaitFor) -> WaitedOut:
    """Wait until the inbox holds mail that fits, or the time is over.

    Where the inbox's mail comes from an account with `sync.on_access`, it is looked at meanwhile.
    """
    query = Query(
        mailbox=body.mailbox, unread=body.unread, from_=body.from_, to=body.to, subject=body.subject, text=body.text
    )
    found = await services.db.tiny(lambda rx: inbox_of(rx, who, inbox))
    work = wait_for(
        services.db, services.digests, services.listening.followers, who, inbox, query, body.count, body.timeout,
        cursors_in(body.cursor), services.trigrams, services.freshness,
    )  # fmt: skip
    waited = await held(request, services, who, found.id, work)
    return WaitedOut(
        items=[shown(message) for message in waited.messages], complete=waited.complete, cursor=waited.cursor
    )
