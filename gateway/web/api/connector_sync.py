"""Syncing a connector now, with its progress, and what connectors did: their events."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from gateway.access.caller import Caller
from gateway.access.connectors import connector_of, connectors_of
from gateway.model.errors import NotFound
from gateway.model.moments import rfc3339
from gateway.store.connectors import event_pages, events
from gateway.store.connectors.event_pages import EventFilter
from gateway.store.connectors.events import Event, EventKind
from gateway.store.db import Rx, Tx
from gateway.web import connecting, telling
from gateway.web.waiting import held

from .parts import Cursor, Limit, Page, Services, Strict, Who, from_cursor, to_cursor

router = APIRouter(prefix="/api/v1", tags=["connectors"])
MOST_SEEN: Final = 1_000


class SyncNow(Strict):
    """`folder`: only this one, by its name there, role or pattern. `since`: older mail comes later, by date or age in
    days (30d). `confirm`: what is gone from the account in large numbers is really gone. `logs`: the dialogue.
    """

    folder: Annotated[str, Field(max_length=1000)] = ""
    since: Annotated[str, Field(max_length=40)] = ""
    confirm: bool = False
    logs: bool = False


class SyncDone(BaseModel):
    """`waited` false: another process of the store has the connector, and was asked; nothing else is told then."""

    waited: bool
    success: bool | None = None
    failure: str | None = None
    message: str | None = None
    run: str | None = None
    folder: str | None = None
    folders: int | None = None
    imported: int | None = None
    expected: int | None = None
    octets: int | None = None
    flags: int | None = None
    vanished: int | None = None
    remapped: int | None = None
    poisoned: int | None = None
    pushed: int | None = None
    email_ids: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    logs: list[str] = Field(default_factory=list)


class EventOut(BaseModel):
    """`connector`: its id. `size`: octets sent or fetched. `log`: only of a single event."""

    id: int
    connector: str
    kind: Literal["SEND", "SYNC"]
    status: Literal["SUCCESS", "FAILED"]
    at: str
    failure: str | None
    size: int | None
    message: str | None
    detail: dict[str, Any]
    run: str | None
    seen: bool
    log: list[str] | None = None


class Seen(Strict):
    ids: Annotated[list[Annotated[int, Field(ge=0, lt=2**62)]], Field(min_length=1, max_length=MOST_SEEN)]


class SeenDone(BaseModel):
    events: int


@router.post(
    "/connectors/{connector}/sync", response_model=SyncDone,
    responses={200: {"content": {telling.SSE: {}, telling.NDJSON: {}}}},
)  # fmt: skip
async def sync_connector(services: Services, who: Who, connector: str, body: SyncNow, request: Request) -> Any:
    """Sync now and wait for the end.

    With `Accept: text/event-stream` or `application/x-ndjson` progress is sent while it runs: `progress` events, then
    one `result` or `error`. Whoever goes away ends only the waiting.
    """
    who.need("connector_update")
    one = await connecting.known(services, who, connector)
    params = body.model_dump()
    kind = telling.asked_for(request.headers.get("accept", ""))
    if kind is None:
        work = connecting.ask(services, one, "connector.sync", params)
        return SyncDone(**await held(request, services, who, None, work))
    return await telling.progress(
        services, who, lambda stream: connecting.ask(services, one, "connector.sync", params, stream), kind
    )


def shown(event: Event, names: dict[int, str]) -> EventOut:
    return EventOut(
        id=event.id, connector=names[event.connector_id], kind=event.kind.value, status=event.status.value,
        at=rfc3339(event.at), failure=event.failure, size=event.size, message=event.message,
        detail=dict(event.detail), run=event.run, seen=event.seen,
    )  # fmt: skip


@router.get("/connectors/events")
async def list_events(
    services: Services, who: Who, limit: Limit = 50, cursor: Cursor = None, connector: str | None = None,
    kind: Literal["send", "sync"] | None = None, failed: bool = False, unseen: bool = False,
    since: Annotated[int, Query(ge=0, lt=2**62, description="Unix seconds")] = 0,
) -> Page[EventOut]:  # fmt: skip
    """What connectors did, the newest first: each sync that changed something, each mail sent through an account."""
    who.need("connector_read")
    before = from_cursor(cursor, int)

    def query(rx: Rx) -> Page[EventOut]:
        rows = connectors_of(rx, who) if connector is None else [connector_of(rx, who, connector)]
        wanted = EventFilter(
            [row.id for row in rows], None if kind is None else EventKind(kind.upper()), failed, unseen, since,
            before=2**62 if before is None else before[0],
        )  # fmt: skip
        found = event_pages.page(rx, wanted, limit=limit + 1)
        names = {int(row.id): row.uuid for row in rows}
        items = [shown(event, names) for event in found[:limit]]
        return Page(items=items, next=to_cursor(items[-1].id) if len(found) > limit else None)

    return await services.db.read(query)


def own_event(rx: Rx, who: Caller, number: int) -> tuple[Event, str]:
    """An event of a connector of the caller's, and that one's id. NotFound."""
    found = events.get(rx, number)
    uuid = next((row.uuid for row in connectors_of(rx, who) if row.id == found.connector_id), None)
    if uuid is None:
        raise NotFound("No such event")
    return found, uuid


@router.get("/connectors/events/{event}")
async def get_event(services: Services, who: Who, event: Annotated[int, Path(ge=0, lt=2**62)]) -> EventOut:
    """One event with its log: the dialogue without secrets."""
    who.need("connector_read")

    def query(rx: Rx) -> EventOut:
        found, uuid = own_event(rx, who, event)
        lines = (events.log_of(rx, found.id) or "").splitlines()
        return shown(found, {found.connector_id: uuid}).model_copy(update={"log": lines})

    return await services.db.read(query)


@router.post("/connectors/events/seen")
async def seen_events(services: Services, who: Who, body: Seen) -> SeenDone:
    """Somebody has seen these; those of others are left alone."""
    who.need("connector_update")

    def unit(tx: Tx) -> int:
        mine = {row.id for row in connectors_of(tx, who)}
        wanted = [one.id for number in set(body.ids) if (one := _event(tx, number)) and one.connector_id in mine]
        return events.mark_seen(tx, wanted)

    return SeenDone(events=await services.db.write(unit))


def _event(tx: Tx, number: int) -> Event | None:
    try:
        return events.get(tx, number)
    except NotFound:
        return None


