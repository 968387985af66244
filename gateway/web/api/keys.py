"""API keys within the key's scope; a child never exceeds the key that makes it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.access.caller import Caller, inbox_of, pod_of
from gateway.auth import issue
from gateway.auth.issue import KeySpec
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.permissions import DEFAULT_BUNDLES, ScopeKind, bundles_in, expand
from gateway.store import inboxes, keys, pods
from gateway.store.db import Rx, Tx
from gateway.store.keys import KeyRow

from .parts import Cursor, Limit, Page, Services, Strict, Who, page_of

router = APIRouter(prefix="/api/v1", tags=["keys"])
_UNIX = Field(ge=0, lt=2**62, description="Unix seconds")


class KeyOut(Strict):
    """`id` is the part of the key that is no secret. Times: Unix seconds."""

    id: str
    name: str
    scope: ScopeKind
    inbox: str | None
    pod: str | None
    permissions: list[str]
    bundles: list[str]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None


class KeyMade(KeyOut):
    """`key` is shown this once."""

    key: str


class KeyNew(Strict):
    """Opens an inbox, a pod, or, where both are missing, what the asking key opens.

    `permissions`: single names or bundles (read, write, draft, send, admin).
    """

    name: Annotated[str, Field(max_length=200)] = ""
    inbox: str | None = None
    pod: str | None = None
    permissions: Annotated[tuple[str, ...], Field(max_length=100)] = DEFAULT_BUNDLES
    expires_at: Annotated[int, _UNIX] | None = None


def _shown(rx: Rx, row: KeyRow) -> KeyOut:
    inbox = None if row.inbox_id is None else inboxes.inbox_by_id(rx, row.inbox_id)
    pod = None if row.pod_id is None else pods.pod_by_id(rx, row.pod_id)
    return KeyOut(
        id=row.key_id, name=row.name, scope=ScopeKind(row.scope), inbox=inbox.address if inbox else None,
        pod=pod.name if pod else None, permissions=sorted(row.permissions), bundles=bundles_in(row.permissions),
        created_at=row.created_at, expires_at=row.expires_at, revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )  # fmt: skip


def _covers(who: Caller, row: KeyRow) -> bool:
    if who.scope == ScopeKind.INBOX:
        return row.inbox_id == who.inbox_id
    return who.may_all or row.pod_id == who.pod_id


@router.get("/keys")
async def list_keys(
    services: Services, who: Who, revoked: bool = False, limit: Limit = 50, cursor: Cursor = None,
    scope: Annotated[list[ScopeKind] | None, Query(description="Only keys that open this; may be repeated")] = None,
) -> Page[KeyOut]:  # fmt: skip
    """All keys within the scope of this one; with `revoked` those too that are revoked."""
    who.need("api_key_read")

    def query(rx: Rx) -> list[KeyOut]:
        found = keys.keys(rx, pod_id=who.pod_id, inbox_id=who.inbox_id, include_revoked=revoked)
        return [_shown(rx, row) for row in found if _covers(who, row) and (not scope or row.scope in scope)]

    found = sorted(await services.db.read(query), key=lambda key: key.id)
    return page_of(found, limit, lambda key: key.id, cursor)


@router.post("/keys", status_code=201)
async def create_key(services: Services, who: Who, body: KeyNew) -> KeyMade:
    """A new key, a child of the one that asks: revoking that one revokes it too."""
    who.need("api_key_create")
    if body.inbox is not None and body.pod is not None:
        raise InvalidRequest("A key opens an inbox or a pod: name at most one")
    try:
        allowed = expand(body.permissions)
    except ValueError as error:
        raise InvalidRequest(f"permissions: {error}") from None
    now = int(services.clock())
    drawn = await issue.draw(services.db)

    def unit(tx: Tx) -> KeyOut:
        scope, pod_id, inbox_id = who.scope, who.pod_id, who.inbox_id
        if body.inbox is not None:
            scope, pod_id, inbox_id = ScopeKind.INBOX, None, inbox_of(tx, who, body.inbox).id
        elif body.pod is not None:
            scope, pod_id, inbox_id = ScopeKind.POD, pod_of(tx, who, body.pod).id, None
        elif scope == ScopeKind.INBOX:
            pod_id = None
        spec = KeySpec(
            body.name.strip() or "unnamed", scope, allowed, pod_id=pod_id, inbox_id=inbox_id,
            expires_at=body.expires_at, parent=who.key_id,
        )
        return _shown(tx, issue.insert(tx, spec, drawn, now).row)

    made = await services.db.write(unit)
    return KeyMade(key=drawn.key.text, **made.model_dump())


@router.delete("/keys/{key}", status_code=204)
async def revoke_key(services: Services, who: Who, key: str) -> None:
    """Ends the key and its children; their sessions end within a second."""
    who.need("api_key_delete")
    now = int(services.clock())

    def unit(tx: Tx) -> None:
        row = keys.key_by_key_id(tx, key)
        if row is None or not _covers(who, row):
            raise NotFound("No such key")
        keys.revoke(tx, row.id, now)

    await services.db.write(unit)
