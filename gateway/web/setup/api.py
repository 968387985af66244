"""The keyed side of client set-up: settings to show, the profile, and links for a phone that has no key yet."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from gateway.access.caller import Caller, inbox_of
from gateway.model.errors import InvalidRequest
from gateway.store import setup_links
from gateway.store.db import Rx, Tx
from gateway.store.setup_links import SetupLink
from gateway.web.api.parts import Services, Strict, Who

from . import apple
from .ports import Protocol, Security, offered
from .routes import profile_response

router = APIRouter(prefix="/api/v1/setup", tags=["setup"])
Inbox = Annotated[str, Query(max_length=320, description="Address or id of the inbox")]


class PortOut(BaseModel):
    """`security`: tls from the first octet, or starttls."""

    protocol: Protocol
    host: str
    port: int
    security: Security


class SettingsOut(BaseModel):
    """The password is an API key of the inbox."""

    address: str
    user: str
    ports: list[PortOut]


class LinkNew(Strict):
    """`with_key`: the profile brings a key of its own, called `name`, so that nobody types it.

    That one is a child of the key that asks.
    """

    inbox: Annotated[str, Field(max_length=320)]
    with_key: bool = False
    name: Annotated[str, Field(max_length=200)] = "phone"
    seconds: Annotated[int, Field(ge=60, le=86_400, description="How long it works")] = 3_600


class LinkMade(BaseModel):
    """`expires_at`: Unix seconds."""

    url: str
    expires_at: int


def _address(rx: Rx, who: Caller, reference: str) -> str:
    return inbox_of(rx, who, reference).address


@router.get("/settings")
async def settings(services: Services, who: Who, inbox: Inbox) -> SettingsOut:
    """Host, ports and encryption for mail programs, the best of each protocol first."""
    who.need("inbox_read")
    address = await services.db.read(lambda rx: _address(rx, who, inbox))
    found = [port for protocol in ("IMAP", "SMTP") for port in offered(services.setup.ports, protocol)]
    ports = [PortOut(protocol=port.protocol, host=port.host, port=port.port, security=port.security) for port in found]
    return SettingsOut(address=address, user=address, ports=ports)


@router.get("/apple.mobileconfig", response_class=Response, responses={200: {"content": {apple.MEDIA_TYPE: {}}}})
async def apple_profile(services: Services, who: Who, inbox: Inbox) -> Response:
    """A profile for Apple's devices, without a key: the device asks for it."""
    who.need("inbox_read")
    address = await services.db.read(lambda rx: _address(rx, who, inbox))
    return await profile_response(services, address)


@router.post("/links", status_code=201)
async def create_link(services: Services, who: Who, body: LinkNew) -> LinkMade:
    """A link that gives Apple's devices their profile, once; for who has no key on the device."""
    who.need("inbox_read")
    if body.with_key:
        who.need("api_key_create")
    now = int(services.clock())
    if not body.name.isprintable():
        raise InvalidRequest("name has characters that nobody can read")
    token, expires_at = secrets.token_urlsafe(24), now + body.seconds

    def unit(tx: Tx) -> None:
        inbox = inbox_of(tx, who, body.inbox)
        link = SetupLink(inbox.id, who.key_id, body.with_key, body.name.strip() or "phone")
        setup_links.put(tx, token, link, now=now, expires_at=expires_at)

    await services.db.write(unit)
    return LinkMade(url=f"{services.settings.base_url}/setup/{token}.mobileconfig", expires_at=expires_at)
