"""WaitForController: what an inbox holds or, as mail comes, will; its accounts are synced meanwhile."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from gateway.access.caller import Caller
from gateway.access.query import Query as Asked
from gateway.store.inboxes import Inbox
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices

from . import reading
from .emails import asked, whole
from .mail_models import Email, EmailPreview, preview
from .matching import MatchOption, MatchOptions, fits
from .parts import Given, Milliseconds, Moment, Sort

router = APIRouter(tags=["mailslurp wait"])
DEFAULT_MS = 30_000
MOST_LOOKED = 1_000
"""Emails that conditions are tried on, from one end."""
Patience = Annotated[int | None, Query(alias="timeout", ge=0, le=86_400_000, description="Milliseconds")]
CountQuery = Annotated[int, Query(ge=0, le=100)]
InboxId = Annotated[str | None, Query(max_length=320)]


class WaitForConditions(Given):
    inbox_id: str
    count: Annotated[int, Field(ge=0, le=100)] | None = None
    timeout: Annotated[int, Field(ge=0, le=86_400_000)] = DEFAULT_MS
    unread_only: bool = False
    count_type: Literal["EXACTLY", "ATLEAST"] | None = None
    matches: Annotated[list[MatchOption], Field(max_length=20)] | None = None
    sort_direction: Sort | None = None
    since: Moment = None
    before: Moment = None


async def _box(services: WebServices, who: Caller, reference: str | None) -> Inbox:
    return await services.db.read(lambda rx: reading.inbox_or_own(rx, who, reference))


async def _previews(
    request: Request, services: WebServices, who: Caller, inbox: Inbox, query: Asked, count: int, patience: int | None,
    options: MatchOptions, *, exactly: bool = False,
) -> list[EmailPreview]:  # fmt: skip
    """`count` emails as soon as they fit; with `exactly` only while there are no more. NotFound when time is over."""
    plain = not options.matches and not options.conditions

    async def look() -> list[EmailPreview] | None:
        most = count + int(exactly) if plain else MOST_LOOKED
        found, _ = await reading.emails(services, who, inbox, query, max(most, 1))
        shown = [one for one in (preview(inbox, message) for message in found) if fits(one, options)]
        if len(shown) < count or (exactly and len(shown) != count):
            return None
        return shown[:count]

    return await reading.until(
        request, services, who, inbox, (DEFAULT_MS if patience is None else patience) / 1000, look
    )


async def _nth(
    request: Request, services: WebServices, who: Caller,
    reference: str | None, query: Asked, index: int, patience: int | None
) -> Email:
    inbox = await _box(services, who, reference)

    async def look() -> Email | None:
        found, _ = await reading.emails(services, who, inbox, query, index + 1)
        return await whole(services, who, inbox, found[index]) if len(found) > index else None

    return await reading.until(
        request, services, who, inbox, (DEFAULT_MS if patience is None else patience) / 1000, look
    )


@router.get("/waitForLatestEmail")
async def wait_for_latest_email(
    request: Request, services: Services, who: Who,
    inboxId: InboxId = None, patience: Patience = None, unreadOnly: bool = False,
    before: Moment = None, since: Moment = None, sort: Sort | None = None, delay: Milliseconds = None,
) -> Email:  # fmt: skip
    """The newest email of an inbox, or the first that comes."""
    query = asked(sort="DESC", unread=unreadOnly, since=since, before=before)
    return await _nth(request, services, who, inboxId, query, 0, patience)


@router.get("/inboxes/getLatestEmail")
async def get_latest_email_in_inbox(
    request: Request, services: Services, who: Who, inboxId: str, timeoutMillis: Milliseconds = None
) -> Email:
    """The newest email of an inbox, or the first that comes."""
    return await _nth(request, services, who, inboxId, asked(sort="DESC"), 0, timeoutMillis)


@router.get("/waitForNthEmail")
async def wait_for_nth_email(
    request: Request, services: Services, who: Who,
    inboxId: InboxId = None, index: CountQuery = 0, patience: Patience = None,
    unreadOnly: bool = False, since: Moment = None, before: Moment = None, sort: Sort = "ASC",
    delay: Milliseconds = None,
) -> Email:  # fmt: skip
    """The email at a place, counted from zero: 1 is the second that came."""
    query = asked(sort=sort, unread=unreadOnly, since=since, before=before)
    return await _nth(request, services, who, inboxId, query, index, patience)


@router.get("/waitForEmailCount")
async def wait_for_email_count(
    request: Request, services: Services, who: Who,
    count: CountQuery, inboxId: InboxId = None, patience: Patience = None,
    unreadOnly: bool = False, before: Moment = None, since: Moment = None, sort: Sort = "ASC",
    delay: Milliseconds = None,
) -> list[EmailPreview]:  # fmt: skip
    """So many emails, as soon as they are there."""
    query = asked(sort=sort, unread=unreadOnly, since=since, before=before)
    inbox = await _box(services, who, inboxId)
    return await _previews(request, services, who, inbox, query, count, patience, MatchOptions())


@router.post("/waitFor")
async def wait_for(request: Request, services: Services, who: Who, body: WaitForConditions) -> list[EmailPreview]:
    """Emails that fit conditions, as soon as they are there."""
    query = asked(sort=body.sort_direction or "ASC", unread=body.unread_only, since=body.since, before=body.before)
    return await _previews(
        request, services, who, await _box(services, who, body.inbox_id), query,
        1 if body.count is None else body.count,
        body.timeout, MatchOptions(matches=body.matches), exactly=body.count_type == "EXACTLY",
    )  # fmt: skip


@router.post("/waitForMatchingEmails")
async def wait_for_matching_emails(
    request: Request, services: Services, who: Who,
    body: MatchOptions, inboxId: str, count: CountQuery, before: Moment = None,
    since: Moment = None, sort: Sort = "ASC", delay: Milliseconds = None, patience: Patience = None,
    unreadOnly: bool = False,
) -> list[EmailPreview]:  # fmt: skip
    """So many emails that match, as soon as they are there."""
    query = asked(sort=sort, unread=unreadOnly, since=since, before=before)
    return await _previews(request, services, who, await _box(services, who, inboxId), query, count, patience, body)


@router.post("/waitForMatchingFirstEmail")
async def wait_for_matching_first_email(
    request: Request, services: Services, who: Who, body: MatchOptions, inboxId: str, patience: Patience = None,
    unreadOnly: bool = False, since: Moment = None, before: Moment = None, sort: Sort = "ASC",
    delay: Milliseconds = None,
) -> Email:  # fmt: skip
    """The first email that matches."""
    query = asked(sort=sort, unread=unreadOnly, since=since, before=before)
    inbox = await _box(services, who, inboxId)
    [first] = await _previews(request, services, who, inbox, query, 1, patience, body)
    found, message = await reading.one(services, who, first.id)
    return await whole(services, who, found.inbox, message)
