"""The open paths of client set-up. Nothing here needs a key, and nothing tells which addresses exist: an answer depends
on the domain only, and which domains these are everybody can ask the DNS."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.access.audit import OK
from gateway.auth import issue
from gateway.auth.issue import KeySpec
from gateway.auth.lookup import key_refusal
from gateway.model.errors import InvalidName, NotFound
from gateway.model.permissions import DEFAULT_BUNDLES, ScopeKind, expand
from gateway.store import audit, inboxes, keys, pods, setup_links
from gateway.store.addresses import canonical_domain
from gateway.store.audit import NewEntry
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.store.keys import KeyRow
from gateway.web import problems
from gateway.web.services import WebServices

from . import apple, autoconfig, autodiscover

XML: Final = "application/xml"
_PREFIX: Final = "autoconfig."
NO_LINK: Final = "The link was used, or its time is over"

Endpoint = Callable[[Request], Awaitable[Response]]


class AnyCase(Route):
    """A path whose letters may be large or small: Outlook asks for /Autodiscover/Autodiscover.xml, and otherwise."""

    def __init__(self, path: str, endpoint: Endpoint, **more: Any) -> None:
        super().__init__(path, endpoint, include_in_schema=False, **more)
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)


def routes() -> list[BaseRoute]:
    return [
        *(Route(path, _autoconfig, include_in_schema=False) for path in autoconfig.PATHS),
        AnyCase("/autodiscover/autodiscover.xml", _autodiscover, methods=["GET", "POST"]),
        AnyCase("/autodiscover/autodiscover.json", _autodiscover_json),
        AnyCase("/autodiscover/autodiscover.json/v1.0/{address}", _autodiscover_json),
        Route("/setup/{token}.mobileconfig", _profile, include_in_schema=False),
    ]


def _services(request: Request) -> WebServices:
    services: WebServices = request.app.state.services
    return services


async def _domain(request: Request, *names: str) -> str | None:
    """The first of `names` that is a domain of ours, in its stored form."""
    wanted = []
    for name in names:
        try:
            wanted.append(canonical_domain(name))
        except InvalidName:
            continue
    if not wanted:
        return None

    def query(rx: Rx) -> str | None:
        return next((name for name in wanted if pods.domain_by_name(rx, name) is not None), None)

    return await _services(request).db.tiny(query)


async def _autoconfig(request: Request) -> Response:
    address = request.query_params.get("emailaddress", "")
    host = request.headers.get("host", "").lower().rsplit(":", 1)[0]
    names = (address.rpartition("@")[2],) if "@" in address else (host.removeprefix(_PREFIX), host)
    domain = await _domain(request, *names)
    if domain is None:
        return problems.response(problems.kind_of_status(404), "That is no domain of this server")
    return Response(autoconfig.document(domain, _services(request).setup.ports), media_type=XML)


async def _body(request: Request, most: int) -> bytes | None:
    """None: it is longer than `most`. What is too long is not kept."""
    taken = bytearray()
    async for piece in request.stream():
        taken += piece
        if len(taken) > most:
            return None
    return bytes(taken)


async def _autodiscover(request: Request) -> Response:
    """GET too: clients look by it whether anybody is there, and Exchange answers an invalid request as well."""
    clock = time.strftime("%H:%M:%S", time.gmtime(_services(request).clock()))
    if request.method != "POST":
        return Response(autodiscover.error(autodiscover.INVALID, clock), media_type=XML)
    octets = await _body(request, autodiscover.MAX_REQUEST)
    if octets is None:
        detail = f"A request may have {autodiscover.MAX_REQUEST} octets"
        return problems.response(problems.kind_of_status(413), detail, headers={"Connection": "close"})
    try:
        asked = autodiscover.read(octets)
    except autodiscover.NotUnderstood:
        return Response(autodiscover.error(autodiscover.INVALID, clock), media_type=XML)
    if not asked.for_mail:
        return Response(autodiscover.error(autodiscover.NO_PROVIDER, clock), media_type=XML)
    if await _domain(request, asked.address.rpartition("@")[2]) is None:
        return Response(autodiscover.error(autodiscover.NOT_FOUND, clock), media_type=XML)
    return Response(autodiscover.settings(asked.address, _services(request).setup.ports), media_type=XML)


async def _autodiscover_json(request: Request) -> Response:
    protocol = next((value for name, value in request.query_params.items() if name.lower() == "protocol"), None)
    status, body = autodiscover.json_answer(protocol, _services(request).settings.base_url)
    return JSONResponse(body, status)


async def _profile(request: Request) -> Response:
    """A link that works once; its key, where it brings one, is made now and is stored nowhere else."""
    services = _services(request)
    token, now = request.path_params["token"], int(services.clock())
    link = await services.db.read(lambda rx: setup_links.find(rx, token, now))
    if link is None:
        raise NotFound(NO_LINK)
    if request.method == "HEAD":  # who only looks has not used it
        return Response(media_type=apple.MEDIA_TYPE)
    drawn = await issue.draw(services.db) if link.with_key else None

    def unit(tx: Tx) -> str:
        taken = setup_links.take(tx, token, now)
        maker = None if taken is None else keys.key_by_id(tx, taken.key_id)
        inbox = None if taken is None else inboxes.inbox_by_id(tx, taken.inbox_id)
        if taken is None or inbox is None or inbox.deleted_at is not None or key_refusal(maker, now) is not None:
            raise NotFound(NO_LINK)
        assert maker is not None
        if drawn is not None:
            allowed = expand(DEFAULT_BUNDLES) & maker.permissions
            spec = KeySpec(
                taken.name, ScopeKind.INBOX, allowed, inbox_id=inbox.id, expires_at=maker.expires_at, parent=maker.id
            )
            issue.insert(tx, spec, drawn, now)
            audit.insert(tx, (_made(request, maker, inbox, now),))
        return inbox.address

    address = await services.db.write(unit)
    return await profile_response(services, address, None if drawn is None else drawn.key.text)


def _made(request: Request, maker: KeyRow, inbox: Inbox, now: int) -> NewEntry:
    """A key was made by who made the link."""
    client = request.client
    return NewEntry(
        now, f"key {maker.name}", "http", "GET /setup/{token}.mobileconfig", f"inbox={inbox.address}", OK,
        client.host if client else "", maker.id, maker.pod_id or 0,
    )  # fmt: skip


async def profile_response(services: WebServices, address: str, key: str | None = None) -> Response:
    """The profile, signed where it can be."""
    setup = services.setup

    def make() -> bytes:
        made = apple.profile(address, setup.ports, key=key, ca=setup.ca())
        return made if setup.sign is None else setup.sign(made)

    name = re.sub(r"[^A-Za-z0-9.@_-]", "_", address)
    sent = {"Content-Disposition": f'attachment; filename="{name}.mobileconfig"'}
    return Response(await asyncio.to_thread(make), headers=sent, media_type=apple.MEDIA_TYPE)
