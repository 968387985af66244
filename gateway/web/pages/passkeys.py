"""Passkeys of the key that is logged in, and logging in by one."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.access.caller import caller
from gateway.model.errors import AuthenticationFailed, InvalidRequest, NoPermission
from gateway.store import keys, passkeys
from gateway.store.db import Rx
from gateway.store.keys import KeyRow
from gateway.store.passkeys import Passkey
from gateway.web import people
from gateway.web.services import WebServices

from .shell import Person, back

router = APIRouter(include_in_schema=False)

_REFUSED: Final = "The passkey was not accepted"


async def _said(request: Request) -> dict[str, Any]:
    """The JSON object of a script's request. InvalidRequest."""
    try:
        value = await request.json()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest("The request has no JSON object")
    return value


@router.get("/passkeys")
async def passkeys_page(person: Person) -> Response:
    found = await person.services.db.read(lambda rx: passkeys.of_key(rx, person.who.key_id))
    return person.page("passkeys.html", title="Passkeys", passkeys=found)


@router.post("/passkeys/options")
async def to_register(request: Request, person: Person) -> Response:
    person.check_form(str((await _said(request)).get("form_token", "")))
    services = person.services
    known = await services.db.read(lambda rx: passkeys.of_key(rx, person.who.key_id))
    made = await services.passkeys.to_register(person.who.name, [one.credential for one in known], services.clock())
    return Response(made, media_type="application/json")


@router.post("/passkeys")
async def register(request: Request, person: Person) -> Response:
    said = await _said(request)
    person.check_form(str(said.get("form_token", "")))
    services, now = person.services, int(person.services.clock())
    made = await services.passkeys.registered(said.get("answer"), now)
    name = str(said.get("name", "")).strip()[:100] or "Passkey"
    await services.db.write(
        lambda tx: passkeys.add(tx, person.who.key_id, made.credential, made.public_key, made.sign_count, name, now)
    )
    return JSONResponse({"made": name}, 201)


@router.post("/passkeys/{number}/delete")
async def delete(person: Person, number: int) -> Response:
    await person.form()
    await person.services.db.write(lambda tx: passkeys.delete(tx, number, person.who.key_id))
    return back("/passkeys")


@router.post("/login/passkey/options")
async def to_log_in(request: Request) -> Response:
    services: WebServices = request.app.state.services
    return Response(await services.passkeys.to_log_in(services.clock()), media_type="application/json")


@router.post("/login/passkey")
async def log_in(request: Request) -> Response:
    """As the key that the passkey belongs to, if that is still good."""
    services: WebServices = request.app.state.services
    if not people.same_site(request.headers, services.settings.base_url):
        raise NoPermission("The form was sent by another site")
    peer = request.client.host if request.client else ""
    services.authenticator.gate(peer)
    answer = (await _said(request)).get("answer")
    try:
        key = await _key_of(services, answer)
    except AuthenticationFailed:
        services.authenticator.failed(peer)
        raise
    response = Response(json.dumps({"next": "/"}), media_type="application/json")
    who = request.scope["state"]["caller"] = caller(key)  # for the record of who did what
    people.keep(response, await services.people.begin(who))
    return response


async def _key_of(services: WebServices, answer: Any) -> KeyRow:
    """AuthenticationFailed: no passkey of ours, of a key that is no longer good, or not the one that was made here."""
    credential, now = services.passkeys.credential_of(answer), int(services.clock())

    def query(rx: Rx) -> tuple[Passkey, KeyRow] | None:
        found = passkeys.by_credential(rx, credential)
        key = None if found is None else keys.key_by_id(rx, found.key_id)
        return None if found is None or key is None or not key.usable(now) else (found, key)

    found = await services.db.read(query)
    if found is None:
        raise AuthenticationFailed(_REFUSED)
    passkey, key = found
    count = await services.passkeys.logged_in(answer, passkey.public_key, passkey.sign_count, now)
    if not await services.db.write(lambda tx: passkeys.used(tx, passkey.id, count, now)):
        raise AuthenticationFailed(_REFUSED)
    return key
