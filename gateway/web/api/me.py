"""Who asks, and whether anybody is there."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from gateway.model.permissions import bundles_in

from .parts import Services, Who

router = APIRouter(prefix="/api/v1", tags=["me"])


class Me(BaseModel):
    """The key of the request. `bundles`: its permissions in short."""

    id: str
    name: str
    scope: str
    permissions: list[str]
    bundles: list[str]
    expires_at: int | None


class Health(BaseModel):
    status: str


@router.get("/me")
async def me(who: Who) -> Me:
    """The key that asks: its scope and what it may."""
    return Me(
        id=who.public_id, name=who.name, scope=who.scope.value, permissions=sorted(who.permissions),
        bundles=bundles_in(who.permissions), expires_at=who.expires_at,
    )  # fmt: skip


@router.get("/health")
async def health(services: Services) -> Health:
    """Whether the store answers; needs no key."""
    await services.db.read(lambda rx: None)
    return Health(status="ok" if services.db.writable else "read-only")
