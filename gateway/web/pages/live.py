"""What happens right now: mail that comes and goes, and what accounts elsewhere do, told to an open page."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from gateway.access.events import Wanted
from gateway.model.errors import InvalidRequest
from gateway.web.api.events import LastEventId, Since, cursors_in
from gateway.web.listening import need_to_read

from .live_stream import MARK, LiveStream
from .shell import Person

router = APIRouter(include_in_schema=False)


@router.get("/live")
async def live_page(person: Person) -> Response:
    _require(person)
    return person.page("live.html", title="Live")


@router.get("/live/events")
async def listen(person: Person, cursor: Since = None, last_event_id: LastEventId = None) -> Response:
    """`cursor`, or the browser's own note of it: what the stream before told last."""
    _require(person)
    services, who = person.services, person.who
    mail, after = _places(last_event_id or cursor)
    return LiveStream(services, who, Wanted(who.permissions), cursors_in(mail), after, person.is_logged_in)


_DIGITS: Final = 18


def _places(cursor: str | None) -> tuple[str, int | None]:
    """Of mail and of accounts elsewhere. InvalidRequest."""
    mail, mark, after = (cursor or "").partition(MARK)
    if after and not (after.isascii() and after.isdigit() and len(after) <= _DIGITS):
        raise InvalidRequest("cursor is none of this stream's")
    return mail, int(after) if mark and after else None


def _require(person: Person) -> None:
    """NoPermission for a key that sees neither mail nor accounts elsewhere."""
    if not person.who.may("connector_read"):
        need_to_read(person.who)
