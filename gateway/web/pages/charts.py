"""Charts of the overview, as images."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from gateway.access.caller import inbox_of, inboxes_of
from gateway.model.errors import NotFound
from gateway.model.ids import InboxId
from gateway.store import mail_days
from gateway.store.db import Rx
from gateway.web import charts

from .shell import Person

router = APIRouter(include_in_schema=False)

DAYS: Final = 30
# The policy is the image's own: it styles itself, and can do nothing else.
_HEADERS: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}


def _image(octets: bytes) -> Response:
    return Response(octets, media_type="image/svg+xml", headers=_HEADERS)


@router.get("/charts/mail.svg")
async def mail(person: Person, inbox: str = "") -> Response:
    """Messages by the day they came, of one inbox or all."""
    person.who.need("inbox_read")
    services, who = person.services, person.who

    def mine(rx: Rx) -> list[InboxId]:
        return [inbox_of(rx, who, inbox).id] if inbox else [one.id for one in inboxes_of(rx, who)]

    today = int(services.clock()) // mail_days.DAY
    since, until = (today - DAYS + 1) * mail_days.DAY, (today + 1) * mail_days.DAY
    found = await services.db.offload(mail_days.counted, await services.db.read(mine), since, until)
    days = range(today - DAYS + 1, today + 1)
    labels = [time.strftime("%d %b", time.gmtime(day * mail_days.DAY)) for day in days]
    values = [found.get(day, 0) for day in days]
    return _image(await asyncio.to_thread(charts.bars, "Mail a day", labels, values))


_LINES: Final = {
    "queue": ("Recipients that wait in the queue", "waiting"), "connections": ("Connections", "connections"),
    "lag": ("Seconds since the last sync of the account that is furthest behind", "lag"),
}


@router.get("/charts/{name}.svg")
async def line(person: Person, name: str) -> Response:
    """The last day of what the whole server does. NotFound for others than administrators."""
    if name not in _LINES or not person.who.may_all:
        raise NotFound("No such chart")
    person.who.need("metrics_read")
    title, field = _LINES[name]
    kept = person.services.samples()
    labels = [time.strftime("%H:%M", time.gmtime(sample.at)) for sample in kept]
    values = [getattr(sample, field) for sample in kept]
    return _image(await asyncio.to_thread(charts.lines, title, labels, {title: values}))
