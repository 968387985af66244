"""Where a provider sends a browser back after a login: ends the login for whoever is logged in here and began it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.access.caller import Caller
from gateway.model.errors import GatewayError
from gateway.web import logins, problems
from gateway.web.api.parts import Services
from gateway.web.logins import CALLBACK

from .shell import page

router = APIRouter(include_in_schema=False)


@router.get(CALLBACK)
async def come_back(services: Services, request: Request) -> Response:
    who: Caller | None = request.scope["state"].get("caller")
    address = f"{logins.callback(services)}?{request.url.query}"
    if who is None:
        # Cookies may stay away from a visit that begins at the provider: the link is one that begins here.
        again = f"{CALLBACK}?{request.url.query}"
        return page("provider_login.html", title="Nearly done", again=again, address=address, connector="", told="")
    try:
        who.need("connector_update")
        one = await logins.finish(services, who, address)
    except GatewayError as error:
        return page(
            "provider_login.html", title="The login was not finished", who=who, status=problems.kind_of(error).status,
            error=str(error), again="", address="", connector="", told="",
        )  # fmt: skip
    told = f"{one.row.address} is connected. This window can be closed."
    return page("provider_login.html", title="Logged in", who=who, told=told, connector=one.name, again="", address="")
