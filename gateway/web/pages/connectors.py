"""Accounts elsewhere: what state each is in, a test of it, a sync, its events. For keys that open everything."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from gateway.model.errors import GatewayError, InvalidRequest, NotFound

from .shell import Person, Shell, back

router = APIRouter(include_in_schema=False)

_ACTIONS: Final = ("sync", "enable", "disable", "test")
_EVENTS: Final = 50


@router.get("/connectors")
async def connectors_page(person: Person) -> Response:
    _need_all(person)
    rows = await person.services.operate("connector.list", {})
    return person.page("connectors.html", title="Accounts elsewhere", rows=rows)


@router.get("/connectors/{name}")
async def connector_page(person: Person, name: str) -> Response:
    return await _show(person, name)


async def _show(person: Shell, name: str, *, tested: object = None, error: str = "") -> Response:
    _need_all(person)
    shown = await person.services.operate("connector.show", {"name": name})
    events = await person.services.operate("connector.events", {"name": name, "limit": _EVENTS})
    return person.page("connector.html", title=name, shown=shown, events=events, tested=tested, error=error)


@router.post("/connectors/{name}/{action}")
async def act(person: Person, name: str, action: str) -> Response:
    _need_all(person)
    await person.form()
    if action not in _ACTIONS:
        raise InvalidRequest("There is no such action")
    try:
        done = await person.services.operate(f"connector.{action}", {"name": name})
    except GatewayError as error:
        return await _show(person, name, error=str(error))
    return await _show(person, name, tested=done) if action == "test" else back(f"/connectors/{name}")


def _need_all(person: Shell) -> None:
    if not person.who.may_all:
        raise NotFound("No such page")
