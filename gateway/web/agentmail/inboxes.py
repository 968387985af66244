"""Inboxes: of a pod, or of all that the key opens. Their id is their address."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from gateway.access.caller import Caller, inbox_of, inboxes_of
from gateway.model.errors import AlreadyExists, InvalidRequest, NoPermission, NotFound
from gateway.model.permissions import ScopeKind
from gateway.store import inboxes, pods, resource_notes
from gateway.store.addresses import canonical_domain
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.store.resource_notes import Note, Value
from gateway.web.api.parts import Services, Who

from .parts import STORABLE, USUAL, ClientId, Flag, Given, In, Limit, PageToken, Theirs, moment, new_router, paged

router: APIRouter = new_router()
MANY: Final = 50
"""Metadata of an inbox."""
_Whole = Annotated[StrictInt, Field(ge=-(2**53), le=2**53)]
_Number = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Values = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=100)], StrictStr | StrictBool | _Whole | _Number | None],
    Field(max_length=MANY),
]
Name = Annotated[str, Field(max_length=200, pattern=STORABLE)]


class InboxOut(Theirs):
    pod_id: str
    inbox_id: str
    email: str
    display_name: str | None = None
    client_id: str | None = None
    metadata: dict[str, Value] | None = None
    updated_at: datetime
    created_at: datetime


class ListInboxes(Theirs):
    count: int
    limit: int
    next_page_token: str | None = None
    inboxes: list[InboxOut]


class CreateInbox(Given):
    """Without a user name one is drawn, without a domain it is the pod's first local one."""

    username: Annotated[str, Field(max_length=64)] | None = None
    domain: Annotated[str, Field(max_length=255)] | None = None
    display_name: Name | None = None
    client_id: ClientId | None = None
    status: str | None = None
    metadata: Values | None = None


class UpdateInbox(Given):
    """`metadata` are merged; null takes one, or all, away."""

    display_name: Name | None = None
    status: str | None = None
    metadata: Values | None = None


def shown(rx: Rx, inbox: Inbox, pod: str | None = None, note: Note | None = None) -> InboxOut:
    if pod is None:
        found = pods.pod_by_id(rx, inbox.pod_id)
        pod = found.uuid if found is not None else ""
    if note is None:
        note = resource_notes.notes(rx, "inbox", [inbox.uuid]).get(inbox.uuid, Note(inbox.uuid))
    return InboxOut(
        pod_id=pod, inbox_id=inbox.address, email=inbox.address, display_name=inbox.name, client_id=note.client_id,
        metadata=dict(note.metadata) or None, updated_at=moment(inbox.created_at), created_at=moment(inbox.created_at),
    )  # fmt: skip


def _page(
    rx: Rx, who: Caller, limit: int, token: str | None, words: Sequence[str] = (), *, rising: bool = False
) -> ListInboxes:
    """InvalidRequest (the token)."""
    found = [
        each for each in inboxes_of(rx, who)
        if all(word in f"{each.address} {each.name or ''}".casefold() for word in words)
    ]  # fmt: skip
    page, said = paged(found, limit, token, lambda each: (each.created_at, each.address), rising=rising)
    names = {pod.id: pod.uuid for pod in pods.pods(rx)}
    notes = resource_notes.notes(rx, "inbox", [each.uuid for each in page])
    told = [shown(rx, each, names.get(each.pod_id, ""), notes.get(each.uuid, Note(each.uuid))) for each in page]
    return ListInboxes(**said, inboxes=told)


@router.get("/inboxes")
@router.get("/pods/{pod_id}/inboxes")
async def list_inboxes(
    services: Services, who: Who, area: In, limit: Limit = USUAL, page_token: PageToken = None, ascending: Flag = False
) -> ListInboxes:
    """Inboxes, the youngest first."""
    who.need("inbox_read")
    return await services.db.read(lambda rx: _page(rx, area.of(rx, who), limit, page_token, rising=ascending))


@router.get("/inboxes/search")
@router.get("/pods/{pod_id}/inboxes/search")
async def search_inboxes(
    services: Services, who: Who, area: In, q: Annotated[str, Query(min_length=1, max_length=320)],
    limit: Limit = USUAL, page_token: PageToken = None,
) -> ListInboxes:  # fmt: skip
    """Inboxes whose address or name holds the words."""
    who.need("inbox_read")
    words = q.casefold().split()
    return await services.db.read(lambda rx: _page(rx, area.of(rx, who), limit, page_token, words))


@router.post("/inboxes")
@router.post("/pods/{pod_id}/inboxes")
async def create_inbox(services: Services, who: Who, area: In, body: CreateInbox | None = None) -> InboxOut:
    """A new inbox; with a `client_id` that is known, that inbox is answered and nothing is made."""
    who.need("inbox_create")
    given = body or CreateInbox()
    _active(given.status)
    metadata = _merged({}, given.metadata)
    now, drawn = int(services.clock()), secrets.token_hex(5)

    def unit(tx: Tx) -> InboxOut:
        inner = area.of(tx, who)
        if inner.scope == ScopeKind.INBOX:
            raise NoPermission("A key of one inbox makes no others")
        owner = who.pod_id or 0
        if given.client_id is not None:
            known = resource_notes.by_client(tx, "inbox", owner, given.client_id)
            there = None if known is None else inboxes.inbox_by_uuid(tx, known.ref)
            if there is not None and there.deleted_at is None:
                if not inner.covers(there):
                    raise AlreadyExists("This client_id is another pod's inbox's")
                return shown(tx, there, note=known)
            if known is not None:
                resource_notes.remove(tx, "inbox", known.ref)
        domain = _domain(tx, inner, given.domain)
        address = f"{given.username or drawn}@{domain.name}"
        made = inboxes.create_inbox(tx, domain.pod_id, address, now=now, name=given.display_name)
        note = Note(made.uuid, given.client_id, metadata)
        if note.client_id is not None or note.metadata:
            resource_notes.put(tx, "inbox", owner, note)
        return shown(tx, made, note=note)

    return await services.db.write(unit)


def _domain(rx: Rx, who: Caller, name: str | None) -> pods.Domain:
    """The domain of that name, or the first one where mail is delivered here. NotFound, InvalidName."""
    if name is not None:
        found = pods.domain_by_name(rx, canonical_domain(name))
        if found is None or not (who.may_all or found.pod_id == who.pod_id):
            raise NotFound(f"There is no domain {name[:255]}")
        return found
    mine = [one for one in pods.domains(rx) if one.local and (who.may_all or one.pod_id == who.pod_id)]
    if not mine:
        raise NotFound("The pod has no domain: create one, or name one")
    return min(mine, key=lambda one: one.id)


@router.get("/inboxes/{inbox_id}")
@router.get("/pods/{pod_id}/inboxes/{inbox_id}")
async def get_inbox(services: Services, who: Who, area: In) -> InboxOut:
    who.need("inbox_read")
    return await services.db.read(lambda rx: shown(rx, inbox_of(rx, area.of(rx, who), area.inbox or "")))


@router.patch("/inboxes/{inbox_id}")
@router.patch("/pods/{pod_id}/inboxes/{inbox_id}")
async def update_inbox(services: Services, who: Who, area: In, body: UpdateInbox) -> InboxOut:
    """Change its name, merge metadata."""
    who.need("inbox_update")
    _active(body.status)
    if not body.model_fields_set:
        raise InvalidRequest("display_name, metadata: name at least one")

    def unit(tx: Tx) -> InboxOut:
        found = inbox_of(tx, area.of(tx, who), area.inbox or "")
        if "display_name" in body.model_fields_set:
            inboxes.change_settings(tx, found.id, settings=found.settings, name=body.display_name)
        if "metadata" in body.model_fields_set:
            known = resource_notes.notes(tx, "inbox", [found.uuid]).get(found.uuid, Note(found.uuid))
            values = _merged(known.metadata, body.metadata) if body.metadata is not None else {}
            resource_notes.set_metadata(tx, "inbox", who.pod_id or 0, found.uuid, values)
        return shown(tx, inbox_of(tx, who, found.address))

    return await services.db.write(unit)


@router.delete("/inboxes/{inbox_id}", status_code=204)
@router.delete("/pods/{pod_id}/inboxes/{inbox_id}", status_code=204)
async def delete_inbox(services: Services, who: Who, area: In) -> None:
    """Ends its sessions and keys now; its mail goes after the grace period."""
    who.need("inbox_delete")
    now = int(services.clock())
    await services.db.write(
        lambda tx: inboxes.delete_inbox(tx, inbox_of(tx, area.of(tx, who), area.inbox or "").id, now)
    )


def _active(status: str | None) -> None:
    """InvalidRequest: an inbox here is never paused."""
    if status not in (None, "active"):
        raise InvalidRequest("status: an inbox cannot be paused here; a list of receive × block keeps mail from it")


def _merged(known: Mapping[str, Value], given: Mapping[str, Value | None] | None) -> dict[str, Value]:
    """InvalidRequest: too much of it."""
    made = {**known, **(given or {})}
    values = {name: value for name, value in made.items() if value is not None}
    if len(values) > MANY or any(isinstance(value, str) and len(value) > 1000 for value in values.values()):
        raise InvalidRequest(f"metadata: {MANY} values at most, of 1000 characters each")
    return values
