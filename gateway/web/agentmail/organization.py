"""Who asks, and what there is altogether."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from fastapi import APIRouter

from gateway.access.caller import inboxes_of
from gateway.model.permissions import ScopeKind
from gateway.store import inboxes, pods
from gateway.store.db import Rx
from gateway.web.api.domains import domains_of
from gateway.web.api.parts import Services, Who

from .parts import Theirs, moment, new_router

router: APIRouter = new_router()
_KINDS: Final = {ScopeKind.ALL: "organization", ScopeKind.POD: "pod", ScopeKind.INBOX: "inbox"}


class Identity(Theirs):
    scope_type: str
    scope_id: str
    organization_id: str
    pod_id: str | None = None
    inbox_id: str | None = None
    api_key_id: str


class Organization(Theirs):
    organization_id: str
    inbox_count: int
    domain_count: int
    updated_at: datetime
    created_at: datetime


class Labs(Theirs):
    enabled: bool = False
    available: bool = False


@router.get("/auth/me")
async def me(services: Services, who: Who) -> Identity:
    """What the key opens."""

    def query(rx: Rx) -> Identity:
        inbox = None if who.inbox_id is None else inboxes.inbox_by_id(rx, who.inbox_id)
        pod_id = inbox.pod_id if inbox is not None else who.pod_id
        pod = None if pod_id is None else pods.pod_by_id(rx, pod_id)
        whole = services.settings.hostname
        named = inbox.address if inbox is not None else pod.uuid if pod is not None else whole
        return Identity(
            scope_type=_KINDS[who.scope], scope_id=named, organization_id=whole, pod_id=pod.uuid if pod else None,
            inbox_id=inbox.address if inbox else None, api_key_id=who.public_id,
        )  # fmt: skip

    return await services.db.read(query)


@router.get("/organizations")
async def get_organization(services: Services, who: Who) -> Organization:
    """All that the key opens. Its id is this server's name."""

    def query(rx: Rx) -> Organization:
        found = inboxes_of(rx, who)
        own = {inbox.pod_id for inbox in found} | {who.pod_id}
        born = moment(min((pod.created_at for pod in pods.pods(rx) if who.may_all or pod.id in own), default=0))
        return Organization(
            organization_id=services.settings.hostname, inbox_count=len(found),
            domain_count=len(domains_of(rx, who)), updated_at=born, created_at=born,
        )  # fmt: skip

    return await services.db.read(query)


@router.get("/organizations/labs")
async def get_labs(who: Who) -> Labs:
    """There are none."""
    return Labs()
