"""Domains of the key's pod. Only a key that opens everything adds one: nobody else may claim another's name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.access.caller import Caller
from gateway.model.errors import NoPermission, NotFound
from gateway.model.permissions import ScopeKind
from gateway.store import pods
from gateway.store.db import Rx, Tx
from gateway.store.pods import Domain

from .parts import Cursor, Limit, Page, Services, Strict, Who, page_of

router = APIRouter(prefix="/api/v1", tags=["domains"])
ONLY_OWNER = "A new domain needs a key that opens everything"


class DomainOut(BaseModel):
    """`local`: its mail is for inboxes here, and an address without one is refused."""

    name: str
    pod: str
    local: bool
    created_at: int


class DomainNew(Strict):
    name: Annotated[str, Field(min_length=1, max_length=255, examples=["example.org"])]
    pod: str = "default"
    local: bool = True


def domains_of(rx: Rx, who: Caller) -> list[Domain]:
    """All of the key's pod, or all; a key of one inbox has none."""
    if who.scope == ScopeKind.INBOX:
        return []
    return [one for one in pods.domains(rx) if who.may_all or one.pod_id == who.pod_id]


def shown(one: Domain) -> DomainOut:
    return DomainOut(name=one.name, pod=one.pod_name, local=one.local, created_at=one.created_at)


def _own(rx: Rx, who: Caller, name: str) -> Domain:
    found = next((one for one in domains_of(rx, who) if one.name == name.lower()), None)
    if found is None:
        raise NotFound("No such domain")
    return found


@router.get("/domains")
async def list_domains(services: Services, who: Who, limit: Limit = 50, cursor: Cursor = None) -> Page[DomainOut]:
    """Domains whose addresses inboxes of the key's pod may have, by name."""
    who.need("domain_read")
    found = await services.db.read(lambda rx: [shown(one) for one in domains_of(rx, who)])
    return page_of(sorted(found, key=lambda one: one.name), limit, lambda one: one.name, cursor)


@router.post("/domains", status_code=201)
async def create_domain(services: Services, who: Who, body: DomainNew) -> DomainOut:
    """A domain for a pod; needs a key that opens everything."""
    who.need("domain_create")
    if not who.may_all:
        raise NoPermission(ONLY_OWNER)
    now = int(services.clock())

    def unit(tx: Tx) -> DomainOut:
        pod = pods.pod_by_name(tx, body.pod)
        if pod is None:
            raise NotFound("No such pod")
        return shown(pods.create_domain(tx, pod.id, body.name, body.local, now=now))

    return await services.db.write(unit)


@router.get("/domains/{domain}")
async def get_domain(services: Services, who: Who, domain: str) -> DomainOut:
    who.need("domain_read")
    return await services.db.read(lambda rx: shown(_own(rx, who, domain)))


@router.delete("/domains/{domain}", status_code=204)
async def delete_domain(services: Services, who: Who, domain: str) -> None:
    """Only one that no address is left of."""
    who.need("domain_delete")
    await services.db.write(lambda tx: pods.delete_domain(tx, _own(tx, who, domain).name))
