"""What happens in inboxes, as it happens: Server-Sent Events, and the log of an inbox a page at a time."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, WebSocket
from fastapi.responses import Response

from gateway.access.caller import inbox_of
from gateway.access.events import TYPES, Wanted, events_after, start_at
from gateway.access.events_place import place_of, shown
from gateway.access.events_told import JOINED
from gateway.model.errors import InvalidRequest
from gateway.store.db import Rx
from gateway.web.event_stream import EventStream
from gateway.web.listening import need_to_read

from .parts import Limit, Services, Strict, Who

router = APIRouter(prefix="/api/v1", tags=["events"])

_CONTENT: Final = {"text/event-stream": {"schema": {"type": "string"}}}
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Events until one side closes", "content": _CONTENT}
}
Since = Annotated[
    str | None, Query(max_length=16_384, description="Tell what happened behind this cursor, or this event's id, too")
]
Types = Annotated[str | None, Query(max_length=1000, description="Types apart by commas; none: all")]
LastEventId = Annotated[str | None, Header(max_length=16_384, description="As browsers send it; goes before cursor")]


class InboxNamed(Strict):
    id: str
    address: str


class EventOut(Strict):
    """`at`: Unix seconds, where it is known. `data`: as docs/api.md says for each type."""

    id: str
    type: str
    at: int | None
    inbox: InboxNamed
    data: dict[str, Any]


class EventPage(Strict):
    """`next`: the cursor behind these; `more`: there are further ones already."""

    items: list[EventOut]
    next: str
    more: bool


def types_in(text: str | None) -> frozenset[str]:
    """InvalidRequest names the first that is none."""
    found = frozenset(word.strip() for word in text.split(",") if word.strip()) if text else frozenset()
    for word in sorted(found):
        if word not in TYPES:
            raise InvalidRequest(f"types: there is no {word}; there are {', '.join(TYPES)}")
    return found


def cursors_in(text: str | None) -> list[str]:
    """Those of each inbox in a joined one. InvalidRequest."""
    found = text.split(JOINED) if text else []
    for cursor in found:
        place_of(cursor)
    return found


@router.get("/inboxes/{inbox}/events", response_class=Response, responses=_STREAM)
async def listen(
    services: Services, who: Who, inbox: str, cursor: Since = None, types: Types = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Listen to an inbox (Server-Sent Events)."""
    need_to_read(who)
    wanted = Wanted(who.permissions, types_in(types))
    cursors = cursors_in(last_event_id or cursor)
    found = await services.db.read(lambda rx: inbox_of(rx, who, inbox))
    return EventStream(services, who, found.id, wanted, cursors)


@router.get("/events", response_class=Response, responses=_STREAM)
async def listen_to_all(
    services: Services, who: Who, cursor: Since = None, types: Types = None, last_event_id: LastEventId = None
) -> Response:
    """Listen to all inboxes of the key (Server-Sent Events)."""
    need_to_read(who)
    wanted = Wanted(who.permissions, types_in(types))
    return EventStream(services, who, None, wanted, cursors_in(last_event_id or cursor))


@router.websocket("/ws")
async def listen_by_socket(socket: WebSocket) -> None:
    """The same events over a WebSocket."""
    from gateway.web.event_socket import EventSocket  # which reads types and cursors as this module does

    await EventSocket(socket, socket.app.state.services).run()


@router.get("/inboxes/{inbox}/events/log")
async def list_events(
    services: Services, who: Who, inbox: str, cursor: Since = None, types: Types = None, limit: Limit = 50
) -> EventPage:
    """What happened in an inbox behind a cursor; without one the page is empty and names the cursor of now."""
    need_to_read(who)
    wanted = Wanted(who.permissions, types_in(types))
    cursors = cursors_in(cursor)

    def query(rx: Rx) -> EventPage:
        found = inbox_of(rx, who, inbox)
        start = start_at(rx, found.id, cursors)
        page = events_after(rx, found.id, start.place, limit)
        items = [EventOut.model_validate(event.document) for event in wanted.among(page.events)]
        return EventPage(items=items, next=shown(start.epoch, page.end), more=page.more)

    return await services.db.read(query)
