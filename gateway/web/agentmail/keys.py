"""API keys of everything, of a pod, of an inbox; a child never exceeds the key that makes it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.access.caller import Caller
from gateway.auth import issue
from gateway.auth.issue import KeySpec
from gateway.auth.keys import PREFIX
from gateway.model.errors import CannotChange, InvalidRequest, NotFound
from gateway.model.permissions import ALL_PERMISSIONS, ScopeKind
from gateway.store import inboxes, keys, pods
from gateway.store.db import Rx, Tx
from gateway.store.keys import KeyRow
from gateway.web.api.parts import Services, Who

from .parts import USUAL, Area, Flag, Given, In, Limit, PageToken, Theirs, moment, new_router, paged, unix

router: APIRouter = new_router()
EVERYWHERE: Final = ("/api-keys", "/pods/{pod_id}/api-keys", "/inboxes/{inbox_id}/api-keys")
OURS: Final = frozenset({"message_create", "connector_read", "connector_update", "queue_read", "queue_update"})
"""Permissions that AgentMail has no name for. Who changes labels moves mail, which in IMAP is `message_create`."""
THEIRS: Final = tuple(sorted(ALL_PERMISSIONS - OURS))
_SAME: Final = {"api_key_update": "api_key_create"}
"""Their name -> ours, for what is one permission here."""


class KeyOut(Theirs):
    type: Literal["bearer"] = "bearer"
    api_key_id: str
    prefix: str
    name: str
    pod_id: str | None = None
    inbox_id: str | None = None
    used_at: datetime | None = None
    permissions: dict[str, bool]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None


class KeyMade(KeyOut):
    """`api_key` is shown this once."""

    api_key: str


class ListKeys(Theirs):
    count: int
    limit: int
    next_page_token: str | None = None
    api_keys: list[KeyOut]


class CreateKey(Given):
    """Without `permissions` the key may what the asking key may; else what is true there, and nothing else."""

    name: Annotated[str, Field(max_length=200)] | None = None
    permissions: dict[str, bool | None] | None = None
    expires_at: datetime | None = None
    public_key: Any = None


class UpdateKey(Given):
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    permissions: dict[str, bool | None] | None = None


def permissions_of(given: dict[str, bool | None] | None, who: Caller) -> frozenset[str]:
    """Names that nobody here knows (calendars, files, sign-in …) grant nothing."""
    if given is None:
        return who.permissions
    named = {_SAME.get(name, name) for name, value in given.items() if value}
    found = named & frozenset(THEIRS)
    if "message_update" in found and "message_create" in who.permissions:
        found = found | {"message_create"}
    return frozenset(found)


def _shown(rx: Rx, row: KeyRow) -> KeyOut:
    inbox = None if row.inbox_id is None else inboxes.inbox_by_id(rx, row.inbox_id)
    pod = None if row.pod_id is None else pods.pod_by_id(rx, row.pod_id)
    granted = {name: name in row.permissions for name in THEIRS}
    granted |= {name: ours in row.permissions for name, ours in _SAME.items()}
    return KeyOut(
        api_key_id=row.key_id, prefix=f"{PREFIX}{row.key_id}", name=row.name, pod_id=pod.uuid if pod else None,
        inbox_id=inbox.address if inbox else None, permissions=granted, created_at=moment(row.created_at),
        used_at=None if row.last_used_at is None else moment(row.last_used_at), updated_at=moment(row.created_at),
        expires_at=None if row.expires_at is None else moment(row.expires_at),
    )  # fmt: skip


def _found(rx: Rx, who: Caller, area: Area) -> list[KeyRow]:
    inner = area.of(rx, who)
    inbox = inner.inbox_id if inner.scope == ScopeKind.INBOX else None
    return keys.keys(rx, pod_id=inner.pod_id, inbox_id=inbox, include_revoked=False)


def _one(rx: Rx, who: Caller, area: Area, key_id: str) -> KeyRow:
    """NotFound."""
    row = next((row for row in _found(rx, who, area) if row.key_id == key_id), None)
    if row is None:
        raise NotFound("No such key")
    return row


def _paths(path: str) -> None:
    @router.get(path)
    async def list_api_keys(
        services: Services, who: Who, area: In, limit: Limit = USUAL, page_token: PageToken = None,
        ascending: Flag = False, type_: Annotated[str | None, Query(alias="type")] = None,
    ) -> ListKeys:  # fmt: skip
        """Keys, the youngest first."""
        who.need("api_key_read")

        def query(rx: Rx) -> list[KeyOut]:
            return [_shown(rx, row) for row in _found(rx, who, area)]

        found = [] if type_ == "public_key" else await services.db.read(query)
        page, said = paged(
            found, limit, page_token, lambda key: (int(key.created_at.timestamp()), key.api_key_id), rising=ascending
        )
        return ListKeys(**said, api_keys=page)

    @router.post(path)
    async def create_api_key(services: Services, who: Who, area: In, body: CreateKey | None = None) -> KeyMade:
        """A new key, a child of the one that asks: revoking that one revokes it too."""
        who.need("api_key_create")
        given = body or CreateKey()
        if given.public_key is not None:
            raise InvalidRequest("public_key: keys that sign requests do not exist here")
        now = int(services.clock())
        drawn = await issue.draw(services.db)

        def unit(tx: Tx) -> KeyOut:
            inner = area.of(tx, who)
            expires = who.expires_at if given.expires_at is None else unix(given.expires_at)
            spec = KeySpec(
                (given.name or "").strip() or "unnamed", inner.scope, permissions_of(given.permissions, who),
                pod_id=inner.pod_id if inner.scope == ScopeKind.POD else None,
                inbox_id=inner.inbox_id if inner.scope == ScopeKind.INBOX else None, expires_at=expires,
                parent=who.key_id,
            )  # fmt: skip
            return _shown(tx, issue.insert(tx, spec, drawn, now).row)

        made = await services.db.write(unit)
        return KeyMade(api_key=drawn.key.text, **made.model_dump())

    @router.get(f"{path}/{{api_key_id}}")
    async def get_api_key(services: Services, who: Who, area: In, api_key_id: str) -> KeyOut:
        who.need("api_key_read")
        return await services.db.read(lambda rx: _shown(rx, _one(rx, who, area, api_key_id)))

    @router.patch(f"{path}/{{api_key_id}}")
    async def update_api_key(
        services: Services, who: Who, area: In, api_key_id: str, body: UpdateKey
    ) -> KeyOut:
        """Give it another name."""
        who.need("api_key_create")

        def unit(tx: Tx) -> KeyOut:
            row = _one(tx, who, area, api_key_id)
            if body.permissions is not None and permissions_of(body.permissions, who) != row.permissions:
                raise CannotChange("What a key may never changes here: create another, and delete this one")
            if body.name is not None:
                keys.rename(tx, row.id, body.name.strip())
            return _shown(tx, _one(tx, who, area, api_key_id))

        return await services.db.write(unit)

    @router.delete(f"{path}/{{api_key_id}}", status_code=204)
    async def delete_api_key(services: Services, who: Who, area: In, api_key_id: str) -> None:
        """Ends the key and its children; their sessions end within a second."""
        who.need("api_key_delete")
        now = int(services.clock())

        def unit(tx: Tx) -> None:
            keys.revoke(tx, _one(tx, who, area, api_key_id).id, now)

        await services.db.write(unit)


for _path in EVERYWHERE:
    _paths(_path)
