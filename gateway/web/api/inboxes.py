"""Inboxes within the key's scope."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from gateway.access.caller import Caller, inbox_of, inboxes_of
from gateway.model.errors import NoPermission, NotFound
from gateway.model.ids import PodId
from gateway.model.permissions import ScopeKind, SentCopy
from gateway.store import addresses, inboxes, pods
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.web.idempotency import Keep, Once

from .parts import Cursor, Limit, Page, Services, Strict, Who, page_of

router = APIRouter(prefix="/api/v1", tags=["inboxes"])

Name = Annotated[str, Field(max_length=200)]
Address = Annotated[str, Field(min_length=3, max_length=320, examples=["support@example.org"])]


class InboxOut(Strict):
    """`address` and `id` both name the inbox in paths. Times: Unix seconds, sizes: octets."""

    id: str
    address: str
    name: str | None
    pod: str | None
    messages: int
    octets: int
    mailboxes: int
    sent_copy: SentCopy
    quota_octets: int | None
    quota_messages: int | None
    cursor: str
    created_at: int


class InboxNew(Strict):
    address: Address
    name: Name | None = None


class InboxChange(Strict):
    name: Name | None = None
    sent_copy: SentCopy | None = None


def shown(inbox: Inbox, names: dict[PodId, str]) -> InboxOut:
    return InboxOut(
        id=inbox.uuid, address=inbox.address, name=inbox.name, pod=names.get(inbox.pod_id), messages=inbox.messages,
        octets=inbox.octets, mailboxes=inbox.mailboxes, sent_copy=inbox.settings.sent_copy,
        quota_octets=inbox.limits.octets, quota_messages=inbox.limits.messages,
        cursor=f"{inbox.epoch}.{inbox.modseq}", created_at=inbox.created_at,
    )  # fmt: skip


def _pods(rx: Rx) -> dict[PodId, str]:
    return {pod.id: pod.name for pod in pods.pods(rx)}


@router.get("/inboxes")
async def list_inboxes(services: Services, who: Who, limit: Limit = 50, cursor: Cursor = None) -> Page[InboxOut]:
    """All inboxes of the key, by address."""
    who.need("inbox_read")

    def query(rx: Rx) -> list[InboxOut]:
        names = _pods(rx)
        return [shown(inbox, names) for inbox in inboxes_of(rx, who)]

    found = sorted(await services.db.read(query), key=lambda inbox: inbox.address)
    return page_of(found, limit, lambda inbox: inbox.address, cursor)


@router.post("/inboxes", status_code=201, response_model=InboxOut)
async def create_inbox(services: Services, who: Who, body: InboxNew, once: Once) -> Any:
    """A new inbox with the five standard mailboxes, in a domain of the key's pod."""
    who.need("inbox_create")
    now = int(services.clock())

    async def work(keep: Keep) -> InboxOut:
        def unit(tx: Tx) -> InboxOut:
            answer = make(tx, who, body, now)
            keep(tx, answer)
            return answer

        return await services.db.write(unit)

    return await once.run(work, 201)


def make(tx: Tx, who: Caller, body: InboxNew, now: int) -> InboxOut:
    """NoPermission, NotFound, AlreadyExists, InvalidName."""
    who.need("inbox_create")
    made = inboxes.create_inbox(tx, _pod_for(tx, who, body.address), body.address, now=now, name=body.name)
    return shown(made, _pods(tx))


def _pod_for(rx: Rx, who: Caller, address: str) -> PodId:
    """The pod of the address's domain; one of another pod is none."""
    if who.scope == ScopeKind.INBOX:
        raise NoPermission("A key of one inbox makes no others")
    name = addresses.canonical_address(address).rpartition("@")[2]
    domain = pods.domain_by_name(rx, name)
    if domain is None or not (who.may_all or domain.pod_id == who.pod_id):
        raise NotFound(f"There is no domain {name}")
    return domain.pod_id


@router.get("/inboxes/{inbox}")
async def get_inbox(services: Services, who: Who, inbox: str) -> InboxOut:
    who.need("inbox_read")
    return await services.db.read(lambda rx: shown(inbox_of(rx, who, inbox), _pods(rx)))


@router.patch("/inboxes/{inbox}")
async def change_inbox(services: Services, who: Who, inbox: str, body: InboxChange) -> InboxOut:
    """Change what is named; `name` null takes it away."""
    who.need("inbox_update")

    def unit(tx: Tx) -> InboxOut:
        found = inbox_of(tx, who, inbox)
        name = body.name if "name" in body.model_fields_set else found.name
        settings = found.settings if body.sent_copy is None else replace(found.settings, sent_copy=body.sent_copy)
        inboxes.change_settings(tx, found.id, settings=settings, name=name)
        return shown(replace(found, settings=settings, name=name), _pods(tx))

    return await services.db.write(unit)


@router.delete("/inboxes/{inbox}", status_code=204)
async def delete_inbox(services: Services, who: Who, inbox: str) -> None:
    """Ends its sessions and keys now; its mail goes after the grace period."""
    who.need("inbox_delete")
    now = int(services.clock())
    await services.db.write(lambda tx: inboxes.delete_inbox(tx, inbox_of(tx, who, inbox).id, now))
