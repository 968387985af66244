"""Mail that is on its way out, of the inboxes of the key: why it waits, and what can be done."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway.access.caller import Caller, inbox_of
from gateway.access.connectors import own_inbox
from gateway.model.errors import InvalidRequest, NoPermission, NotFound
from gateway.model.permissions import ScopeKind
from gateway.store import inboxes, pods, queue_admin
from gateway.store.db import Rx
from gateway.web.services import Json, WebServices

from .parts import Cursor, Limit, Page, Services, Strict, Who, from_cursor, to_cursor

router = APIRouter(prefix="/api/v1", tags=["queue"])

State = Literal["queued", "sending", "deferred", "held", "sent", "bounced", "cancelled"]
Verb = Literal["retry", "hold", "release", "cancel"]
Text = Annotated[str, Field(max_length=320)]
Words = Annotated[str | None, Query(max_length=320)]
NO_MAIL = "No such message in the queue"


class Waiting(BaseModel):
    """One recipient. `id` is the message's. `why`: why it is in its state. Times: RFC 3339."""

    id: str
    inbox: str | None
    sender: str
    recipient: str
    state: str
    attempts: int
    next_attempt_at: str | None
    hold_reason: str | None
    code: int | None
    enhanced: str | None
    text: str | None
    why: str
    created_at: str | None


class RecipientOut(BaseModel):
    recipient: str
    state: str
    attempts: int
    next_attempt_at: str | None
    hold_reason: str | None
    code: int | None
    enhanced: str | None
    text: str | None


class Happened(BaseModel):
    """`text`: our words, or with `remote` those of that server."""

    at: str
    event: str
    recipient: str | None = None
    code: int | None = None
    enhanced: str | None = None
    text: str | None = None
    remote: str | None = None


class Submission(BaseModel):
    """One message with all of its recipients, and what happened to it in the order of time."""

    id: str
    inbox: str | None
    sender: str
    message_id: str | None
    envelope_id: str | None
    size: int
    created_at: str | None
    release_at: str | None
    finished_at: str | None
    recipients: list[RecipientOut]
    history: list[Happened]


class Changed(BaseModel):
    """How many recipients."""

    recipients: int


class Some(Strict):
    """Which recipients. A key that does not open everything names one of its inboxes."""

    inbox: Text | None = None
    state: State | None = None
    to: Text | None = None
    sender: Text | None = None
    reason: Annotated[str, Field(max_length=40)] | None = None


class Stats(BaseModel):
    """`destinations`: domains with most recipients; `next_hops`: how each stands in this process."""

    recipients: int
    states: dict[str, int]
    due: int
    oldest_at: str | None
    destinations: list[dict[str, Any]]
    next_hops: list[dict[str, Any]] | None


class Route(BaseModel):
    """The way from one address to another. `way`: inbox, relay, connector, hold, discard or refused."""

    model_config = {"extra": "allow"}

    way: str


@router.get("/queue")
async def list_queue(
    services: Services, who: Who, limit: Limit = 50, cursor: Cursor = None, inbox: Words = None,
    state: State | None = None, to: Words = None, sender: Words = None, reason: Words = None,
) -> Page[Waiting]:  # fmt: skip
    """A row a recipient, in order of acceptance. Without `state`: all that is not done. `to`, `sender`: an address or
    a domain; `reason`: why it is held, such as `approval`.
    """
    who.need("queue_read")
    after = from_cursor(cursor, int)
    params = await _scope(services, who, inbox)
    if params is None:
        return Page(items=[])
    params |= {"state": state, "to": to, "sender": sender, "reason": reason, "limit": limit + 1}
    params["after"] = 0 if after is None else after[0]
    rows = await services.operate("queue.list", params)
    items = [Waiting(**{key: value for key, value in row.items() if key != "number"}) for row in rows[:limit]]
    return Page(items=items, next=to_cursor(rows[limit - 1]["number"]) if len(rows) > limit else None)


@router.get("/queue/approvals")
async def list_approvals(
    services: Services, who: Who, limit: Limit = 50, cursor: Cursor = None, inbox: Words = None
) -> Page[Waiting]:
    """Drafts that wait for somebody's consent: mail from keys that may propose and not send. `release` consents."""
    return await list_queue(services, who, limit, cursor, inbox, "held", None, None, "approval")


async def _scope(services: WebServices, who: Caller, inbox: str | None) -> dict[str, Json] | None:
    """How operations name the inboxes of a key; None: it has none. NotFound for an inbox that is not its own."""

    def query(rx: Rx) -> dict[str, Json] | None:
        if inbox is not None:
            return {"inbox": inbox_of(rx, who, inbox).address}
        if who.scope == ScopeKind.INBOX:
            return {"inbox": own_inbox(rx, who).address}
        pod = None if who.pod_id is None else pods.pod_by_id(rx, who.pod_id)
        return {} if who.may_all else None if pod is None else {"pod": pod.name}

    return await services.db.read(query)


@router.get("/queue/stats")
async def queue_stats(services: Services, who: Who) -> Stats:
    """How the whole queue stands; needs a key that opens everything."""
    who.need("queue_read")
    _whole(who)
    return Stats(**await services.operate("queue.stats", {}))


@router.get("/queue/route")
async def queue_route(
    services: Services, who: Who, recipient: Annotated[str, Query(min_length=3, max_length=320)],
    sender: Annotated[str, Query(max_length=320)] = "",
) -> Route:  # fmt: skip
    """Which way mail between two addresses goes, and why; needs a key that opens everything."""
    who.need("queue_read")
    _whole(who)
    return Route(**await services.operate("queue.route", {"sender": sender, "recipient": recipient}))


def _whole(who: Caller) -> None:
    if not who.may_all:
        raise NoPermission("This is told of the server as a whole: it needs a key that opens everything")


@router.get("/queue/{submission}")
async def get_submission(services: Services, who: Who, submission: str) -> Submission:
    """One message with its recipients and its history."""
    who.need("queue_read")
    await _own(services, who, submission)
    return Submission(**await services.operate("queue.show", {"submission": submission}))


async def _own(services: WebServices, who: Caller, submission: str) -> None:
    """NotFound unless it was sent by an inbox of the key."""

    def query(rx: Rx) -> None:
        found = queue_admin.submission_by_uuid(rx, submission)
        inbox = None if found is None else inboxes.inbox_by_id(rx, found.inbox_id)
        if inbox is None or not who.covers(inbox):
            raise NotFound(NO_MAIL)

    await services.db.read(query)


@router.post("/queue/{verb}")
async def change_queue(services: Services, who: Who, verb: Verb, body: Some) -> Changed:
    """`retry`, `hold`, `release` or `cancel` all recipients that fit. What waits for consent or its time only goes
    where that reason is named.
    """
    _may(who, verb)
    if body.inbox is None and who.scope == ScopeKind.POD:
        raise InvalidRequest("inbox is needed: one of the key's")
    params = await _scope(services, who, body.inbox)
    given = {**(params or {}), **body.model_dump(exclude={"inbox"}), "by": _by(who)}
    return Changed(recipients=await services.operate(f"queue.{verb}", given))


@router.post("/queue/{submission}/{verb}")
async def change_submission(services: Services, who: Who, submission: str, verb: Verb) -> Changed:
    """`retry` now, `hold`, `release` what is held (which consents to a draft), or `cancel` without a bounce."""
    _may(who, verb)
    await _own(services, who, submission)
    return Changed(recipients=await services.operate(f"queue.{verb}", {"submission": submission, "by": _by(who)}))


def _may(who: Caller, verb: str) -> None:
    """To release is to send."""
    who.need("queue_update", *(("message_send",) if verb == "release" else ()))


def _by(who: Caller) -> str:
    """As the history of a message names who did it."""
    return f"key {who.name or who.uuid}"
