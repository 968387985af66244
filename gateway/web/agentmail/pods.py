"""Pods: tenants. Only a key that opens everything makes and removes them."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from gateway.access.caller import Caller, pod_of
from gateway.model.errors import NoPermission
from gateway.model.permissions import ScopeKind
from gateway.store import pods, resource_notes
from gateway.store.db import Rx, Tx
from gateway.store.pods import Pod
from gateway.store.resource_notes import Note
from gateway.web.api.parts import Services, Who

from .parts import USUAL, ClientId, Flag, Given, Limit, PageToken, Theirs, moment, new_router, paged

router: APIRouter = new_router()


class PodOut(Theirs):
    pod_id: str
    name: str
    client_id: str | None = None
    updated_at: datetime
    created_at: datetime


class ListPods(Theirs):
    count: int
    limit: int
    next_page_token: str | None = None
    pods: list[PodOut]


class CreatePod(Given):
    name: Annotated[str, Field(min_length=1, max_length=pods.MAX_POD_NAME)] | None = None
    client_id: ClientId | None = None


def _shown(rx: Rx, pod: Pod) -> PodOut:
    note = resource_notes.notes(rx, "pod", [pod.uuid]).get(pod.uuid)
    return PodOut(
        pod_id=pod.uuid, name=pod.name, client_id=note.client_id if note else None, updated_at=moment(pod.created_at),
        created_at=moment(pod.created_at),
    )  # fmt: skip


def _all(rx: Rx, who: Caller) -> list[PodOut]:
    if who.scope == ScopeKind.INBOX:
        return []
    return [_shown(rx, pod) for pod in pods.pods(rx) if who.may_all or pod.id == who.pod_id]


@router.get("/pods")
async def list_pods(
    services: Services, who: Who, limit: Limit = USUAL, page_token: PageToken = None, ascending: Flag = False
) -> ListPods:
    """Pods, the youngest first."""
    who.need("pod_read")
    found = await services.db.read(lambda rx: _all(rx, who))
    page, said = paged(
        found, limit, page_token, lambda pod: (int(pod.created_at.timestamp()), pod.pod_id), rising=ascending
    )
    return ListPods(**said, pods=page)


@router.post("/pods")
async def create_pod(services: Services, who: Who, body: CreatePod | None = None) -> PodOut:
    """A new pod; with a `client_id` that is known, that pod is answered."""
    who.need("pod_create")
    if not who.may_all:
        raise NoPermission("A new pod needs a key that opens everything")
    given = body or CreatePod()
    name, now = given.name or f"pod-{secrets.token_hex(4)}", int(services.clock())

    def unit(tx: Tx) -> PodOut:
        if given.client_id is not None:
            known = resource_notes.by_client(tx, "pod", 0, given.client_id)
            there = None if known is None else pods.pod_by_uuid(tx, known.ref)
            if there is not None:
                return _shown(tx, there)
        made = pods.create_pod(tx, name, now=now)
        if given.client_id is not None:
            resource_notes.put(tx, "pod", 0, Note(made.uuid, given.client_id))
        return _shown(tx, made)

    return await services.db.write(unit)


@router.get("/pods/{pod_id}")
async def get_pod(services: Services, who: Who, pod_id: str) -> PodOut:
    who.need("pod_read")
    return await services.db.read(lambda rx: _shown(rx, pod_of(rx, who, pod_id)))


@router.delete("/pods/{pod_id}", status_code=204)
async def delete_pod(services: Services, who: Who, pod_id: str) -> None:
    """Only one without inboxes and domains."""
    who.need("pod_delete")
    await services.db.write(lambda tx: pods.delete_pod(tx, pod_of(tx, who, pod_id).id))
