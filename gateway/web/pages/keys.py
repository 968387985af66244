"""Keys that open a pod or everything: who has them, what they may, new ones, and their end. An inbox shows its own."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import Response

from gateway.model.errors import GatewayError, InvalidRequest, NotFound
from gateway.model.permissions import BUNDLES, ScopeKind
from gateway.store import pods
from gateway.web.api import keys as key_api

from .shell import Person, Shell, back

router = APIRouter(include_in_schema=False)

_WIDE: Final = [ScopeKind.ALL, ScopeKind.POD]
_DAY: Final = 86_400
_MOST_DAYS: Final = 36_500


@router.get("/keys")
async def keys_page(person: Person, after: str = "") -> Response:
    return await _show(person, after=after)


async def _show(person: Shell, *, after: str = "", made: str = "", error: str = "") -> Response:
    services, who = person.services, person.who
    if who.scope == ScopeKind.INBOX:
        raise NotFound("No such page")
    found = await key_api.list_keys(services, who, cursor=after or None, scope=_WIDE)
    known = [pod.name for pod in await services.db.read(pods.pods)] if who.may_all else []
    return person.page(
        "keys.html", title="Keys", rows=found.items, following=found.next, made=made, pods=known, error=error,
        own=who.public_id, status=422 if error else 200,
        bundles={name: sorted(members & who.permissions) for name, members in BUNDLES.items()},
        whole={name for name, members in BUNDLES.items() if members <= who.permissions},
    )  # fmt: skip


@router.post("/keys")
async def add(person: Person) -> Response:
    """The new key is shown in the answer itself, and nowhere again."""
    fields = await person.form()
    try:
        body = _described(fields, int(person.services.clock()))
        made = await key_api.create_key(person.services, person.who, body)
    except ValidationError as error:
        return await _show(person, error=f"{error.errors()[0]['loc'][0]} is not valid")
    except GatewayError as error:
        return await _show(person, error=str(error))
    return await _show(person, made=made.key)


def _described(fields: dict[str, str], now: int) -> key_api.KeyNew:
    """A form's fields as the API is given them. ValidationError, InvalidRequest."""
    days = fields.get("days", "").strip()
    if days and not (days.isascii() and days.isdigit() and 0 < int(days[:9]) <= _MOST_DAYS):
        raise InvalidRequest(f"A key lasts from 1 to {_MOST_DAYS} days, or without an end")
    permissions = tuple(name.removeprefix("may-") for name in fields if name.startswith("may-"))
    if not permissions:
        raise InvalidRequest("Say what the key may: tick at least one")
    return key_api.KeyNew(
        name=fields.get("name", "").strip(), pod=fields.get("pod") or None, permissions=permissions,
        expires_at=now + int(days) * _DAY if days else None,
    )  # fmt: skip


@router.post("/keys/{key}/revoke")
async def revoke(person: Person, key: str) -> Response:
    await person.form()
    await key_api.revoke_key(person.services, person.who, key)
    return back("/keys")
