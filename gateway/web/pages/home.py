"""The first page: how things are; and as long as there is no mail, what a person does first."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from gateway.access.caller import inboxes_of
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox

from .shell import Person

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(person: Person) -> Response:
    who = person.who

    def query(rx: Rx) -> list[Inbox]:
        return inboxes_of(rx, who) if who.may("inbox_read") else []

    found = await person.services.db.read(query)
    sees_queue = who.may_all and who.may("queue_read")
    queue = await person.services.operate("queue.stats", {}) if sees_queue else None
    return person.page(
        "home.html", title="Overview", inboxes=found, messages=sum(inbox.messages for inbox in found),
        octets=sum(inbox.octets for inbox in found), queue=queue,
        client=person.services.client_settings(found[0].address) if found else None, own=found[0] if found else None,
    )  # fmt: skip
