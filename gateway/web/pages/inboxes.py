"""Inboxes and their keys."""

from __future__ import annotations

import segno
from fastapi import APIRouter
from starlette.responses import Response

from gateway.access.caller import inbox_of, inboxes_of
from gateway.access.sight import READS, sight
from gateway.model.errors import GatewayError
from gateway.model.permissions import DEFAULT_BUNDLES
from gateway.store import keys
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.store.keys import KeyRow
from gateway.store.listing import Listed
from gateway.web.api import inboxes as inbox_api
from gateway.web.api import keys as key_api
from gateway.web.setup import api as setup_api

from .shell import Person, Shell, back

router = APIRouter(include_in_schema=False)


@router.get("/inboxes")
async def inboxes_page(person: Person) -> Response:
    return await _list(person)


async def _list(person: Shell, *, error: str = "", given: str = "") -> Response:
    person.who.need("inbox_read")
    found = await person.services.db.read(lambda rx: inboxes_of(rx, person.who))
    status = 422 if error else 200
    return person.page("inboxes.html", title="Inboxes", inboxes=found, error=error, given=given, status=status)


@router.post("/inboxes")
async def add_inbox(person: Person) -> Response:
    fields = await person.form()
    address = fields.get("address", "").strip()
    try:
        body = inbox_api.InboxNew(address=address, name=fields.get("name", "").strip() or None)
        now = int(person.services.clock())
        made = await person.services.db.write(lambda tx: inbox_api.make(tx, person.who, body, now))
    except (GatewayError, ValueError) as error:
        said = str(error) if isinstance(error, GatewayError) else "That is no address"
        return await _list(person, error=said, given=address)
    return back(f"/inboxes/{made.address}")


@router.get("/inboxes/{inbox}")
async def inbox_page(person: Person, inbox: str) -> Response:
    return await _show(person, inbox)


async def _show(person: Shell, inbox: str, *, key: str = "", error: str = "") -> Response:
    who = person.who
    who.need("inbox_read")

    def query(rx: Rx) -> tuple[Inbox, list[Listed], list[KeyRow]]:
        found = inbox_of(rx, who, inbox)
        boxes = sight(rx, who, inbox).boxes.values() if READS & who.permissions else ()
        known = keys.keys(rx, inbox_id=found.id, include_revoked=False) if who.may("api_key_read") else []
        return found, list(boxes), [row for row in known if row.inbox_id == found.id]

    found, boxes, known = await person.services.db.read(query)
    return person.page(
        "inbox.html", title=found.address, inbox=found, mailboxes=boxes, keys=known, new_key=key, error=error,
        client=person.services.client_settings(found.address),
    )  # fmt: skip


@router.post("/inboxes/{inbox}/keys")
async def add_key(person: Person, inbox: str) -> Response:
    """Shown in the answer itself and nowhere again."""
    fields = await person.form()
    bundles = tuple(name for name in (*DEFAULT_BUNDLES, "admin") if fields.get(name))
    try:
        body = key_api.KeyNew(name=fields.get("name", "")[:200], inbox=inbox, permissions=bundles)
        made = await key_api.create_key(person.services, person.who, body)
    except GatewayError as error:
        return await _show(person, inbox, error=str(error))
    return await _show(person, inbox, key=made.key)


@router.post("/inboxes/{inbox}/keys/{key}/revoke")
async def revoke_key(person: Person, inbox: str, key: str) -> Response:
    await person.form()
    await key_api.revoke_key(person.services, person.who, key)
    return back(f"/inboxes/{inbox}")


@router.post("/inboxes/{inbox}/phone")
async def phone_link(person: Person, inbox: str) -> Response:
    """A link that sets an Apple device up, once, and as a picture that its camera reads."""
    fields = await person.form()
    with_key = person.who.may("api_key_create") and bool(fields.get("with_key"))
    body = setup_api.LinkNew(inbox=inbox, with_key=with_key)
    made = await setup_api.create_link(person.services, person.who, body)
    picture = segno.make(made.url).svg_data_uri(scale=5, border=3, light="#ffffff")
    return person.page("phone.html", title="Set up a phone", inbox_address=inbox, link=made, picture=picture)


@router.get("/inboxes/{inbox}/apple.mobileconfig")
async def profile(person: Person, inbox: str) -> Response:
    """What sets this Apple device up; it asks for the key."""
    return await setup_api.apple_profile(person.services, person.who, inbox)


@router.post("/inboxes/{inbox}/delete")
async def delete_inbox(person: Person, inbox: str) -> Response:
    fields = await person.form()
    if fields.get("address", "").strip() != inbox:
        return await _show(person, inbox, error="Type the address to delete its inbox.")
    await inbox_api.delete_inbox(person.services, person.who, inbox)
    return back("/inboxes")
