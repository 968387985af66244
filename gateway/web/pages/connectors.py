"""Accounts elsewhere: made, tested, synced and switched; as the API has them, for whom they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from gateway.access.caller import Caller, inboxes_of
from gateway.model.errors import GatewayError, NoPermission, NotFound
from gateway.web import connecting, telling
from gateway.web.api import connector_sync, connectors, oauth
from gateway.web.api.connector_sync import SyncNow
from gateway.web.api.connectors import ConnectorNew, Probe, TestSaved
from gateway.web.api.oauth import LoginNew
from gateway.web.services import WebServices

from .shell import Person, Shell, back

router = APIRouter(include_in_schema=False)

SYNC_S: Final = 5.0
"""A browser without scripts waits so long for a sync, which goes on."""
_EVENTS: Final = 50
_LEG: Final = ("host", "port", "security")


async def _sync(services: WebServices, who: Caller, connector: str) -> None:
    who.need("connector_update")
    one = await connecting.known(services, who, connector)
    try:
        async with asyncio.timeout(SYNC_S):
            await connecting.ask(services, one, "connector.sync")
    except TimeoutError:
        return


_ACTIONS: Final[Mapping[str, Callable[[WebServices, Caller, str], Awaitable[Any]]]] = {
    "sync": _sync, "enable": connectors.enable_connector, "disable": connectors.disable_connector,
    "remove": connectors.delete_connector,
}


@router.get("/connectors")
async def connectors_page(person: Person, after: str = "") -> Response:
    found = await connectors.list_connectors(person.services, person.who, cursor=after or None)
    return person.page("connectors.html", title="Accounts elsewhere", rows=found.items, following=found.next)


@router.get("/connectors/new")
async def new_page(person: Person) -> Response:
    return await _new(person, {})


async def _new(person: Shell, given: Mapping[str, str], error: str = "") -> Response:
    services, who = person.services, person.who
    who.need("connector_update")
    return person.page(
        "connector_new.html", title="Connect an account", given=given, error=error, status=422 if error else 200,
        providers=await connectors.list_providers(services, who),
        inboxes=await services.db.read(lambda rx: inboxes_of(rx, who)), legs=connecting.LEGS,
    )  # fmt: skip


@router.post("/connectors/new")
async def add(person: Person) -> Response:
    """Nothing that was typed is lost when it cannot be, but for the password."""
    fields = await person.form()
    try:
        made = await connectors.create_connector(person.services, person.who, _described(fields))
    except ValidationError as error:
        return await _new(person, fields, f"{error.errors()[0]['loc'][0]} is not valid")
    except GatewayError as error:
        return await _new(person, fields, str(error))
    return back(f"/connectors/{made.id}")


def _described(fields: Mapping[str, str]) -> ConnectorNew:
    """A form's fields as the API is given them. ValidationError."""
    options: dict[Any, dict[str, Any]] = {}
    for leg in connecting.LEGS:
        table: dict[str, Any] = {key: text for key in _LEG if (text := fields.get(f"{leg}.{key}", "").strip())}
        if "port" in table:
            table["port"] = int(table["port"]) if table["port"].isdigit() else table["port"]
        if fields.get("secret"):
            table["secret"] = fields["secret"]
        if "host" in table:
            table |= {"ca": fields["ca"]} if fields.get("ca", "").strip() else {}
            table |= {"allow_private": True} if fields.get("allow_private") else {}
        if table:
            options[leg] = table
    if fields.get("mode"):
        options["sync"] = {"mode": fields["mode"]}
    address = fields.get("address", "").strip()
    return ConnectorNew(
        name=fields.get("name", "").strip() or address, address=address, inbox=fields.get("inbox") or None,
        provider=fields.get("provider") or None, options=options,
    )


@router.get("/connectors/{connector}")
async def connector_page(person: Person, connector: str) -> Response:
    return await _show(person, connector)


async def _show(person: Shell, connector: str, tested: list[Probe] | None = None, error: str = "") -> Response:
    services, who = person.services, person.who
    shown = await connectors.get_connector(services, who, connector)
    events = await connector_sync.list_events(services, who, _EVENTS, connector=connector)
    apps = await oauth.list_apps(services, who)
    refuses = {one.name for one in await connectors.list_providers(services, who) if not one.passwords}
    return person.page(
        "connector.html", title=shown.name, shown=shown, events=events.items, tested=tested, error=error,
        status=422 if error else 200, logs_in=any(app.provider == shown.provider for app in apps.items),
        refuses_passwords=shown.provider in refuses,
    )  # fmt: skip


@router.post("/connectors/{connector}/test")
async def test(person: Person, connector: str) -> Response:
    """A script is told of each step when it is done."""
    await person.form()
    services, who = person.services, person.who
    tested = await connectors.test_connector(services, who, connector, TestSaved(), person.request)
    return tested if isinstance(tested, Response) else await _show(person, connector, tested)


@router.post("/connectors/{connector}/login")
async def log_in(person: Person, connector: str) -> Response:
    """The way to the provider is a link: a form may lead nowhere but to ourselves."""
    await person.form()
    try:
        begun = await oauth.begin_login(person.services, person.who, connector, LoginNew())
    except (NotFound, NoPermission):
        raise
    except GatewayError as error:
        return await _show(person, connector, error=str(error))
    return person.page("connector_login.html", title="Log in at the provider", connector=connector, begun=begun)


@router.post("/connectors/{connector}/{action}")
async def act(person: Person, connector: str, action: str, request: Request) -> Response:
    """A script that asks for a sync is told of its progress."""
    await person.form()
    services, who = person.services, person.who
    if action not in _ACTIONS:
        raise NotFound("There is no such action")
    if action == "sync" and telling.asked_for(request.headers.get("accept", "")):
        return cast(Response, await connector_sync.sync_connector(services, who, connector, SyncNow(), request))
    try:
        await _ACTIONS[action](services, who, connector)
    except (NotFound, NoPermission):
        raise
    except GatewayError as error:
        return await _show(person, connector, error=str(error))
    return back("/connectors" if action == "remove" else f"/connectors/{connector}")
