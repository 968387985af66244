"""Logging in with a key, and out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.access.caller import caller
from gateway.model.errors import AuthenticationFailed, NoPermission, Throttled
from gateway.web import people
from gateway.web.services import WebServices

from .shell import Person, back, fields_of, page

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def login_page() -> Response:
    return page("login.html", title="Log in")


@router.post("/login")
async def log_in(request: Request) -> Response:
    """The key is in the form's body: never in an address, which histories and logs keep."""
    services: WebServices = request.app.state.services
    if not people.same_site(request.headers, services.settings.base_url):
        raise NoPermission("The form was sent by another site")
    key = (await fields_of(request)).get("key", "")
    client = request.client
    try:
        who = caller(await services.authenticator.open(key, client.host if client else ""))
    except AuthenticationFailed:
        return page("login.html", title="Log in", status=401, error="That key is not valid.")
    except Throttled as error:
        return page("login.html", title="Log in", status=429, error=str(error))
    request.scope["state"]["caller"] = who  # for the record of who did what
    response = back("/")
    people.keep(response, await services.people.begin(who))
    return response


@router.post("/logout")
async def log_out(person: Person) -> Response:
    await person.form()
    await person.log_out()
    response = back("/login")
    people.drop(response)
    return response
