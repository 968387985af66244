"""Webhooks of everything, of a pod, of an inbox, which are told in AgentMail's words (`events`).

A webhook is told of one inbox, one pod or everything. Its secret is shown to whoever may read webhooks, as by theirs.
One that was made by /api/v1 is told in our words, and shown here under their names of events.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import BeforeValidator, Field

from gateway.access.caller import Caller
from gateway.model.errors import InvalidRequest, NotFound
from gateway.store import inboxes, pods, resource_notes, webhooks
from gateway.store.db import Rx, Tx
from gateway.store.resource_notes import Note
from gateway.web.api import webhooks as ours
from gateway.web.api.parts import Services, Who
from gateway.web.api.webhooks import WebhookChange, WebhookNewIn
from gateway.web.services import WebServices
from gateway.web.webhooks.dialects import AGENTMAIL, AGENTMAIL_TYPES
from gateway.web.webhooks.dialects import ours as ours_of

from .parts import USUAL, Area, ClientId, Flag, Given, In, Limit, PageToken, Theirs, moment, new_router, paged

router: APIRouter = new_router()
EVERYWHERE: Final = ("/webhooks", "/pods/{pod_id}/webhooks", "/inboxes/{inbox_id}/webhooks")
NEVER: Final = frozenset(
    {"message.received.unauthenticated", "message.complained", "message.rejected", "message.opened"}
)
"""Events that may be asked for, and never happen here."""
_BACK: Final = {own: theirs for theirs, own in reversed(list(AGENTMAIL_TYPES.items())) if own is not None}


def _listed(value: Any) -> Any:
    return () if value is None else value


Ids = Annotated[tuple[Annotated[str, Field(max_length=320)], ...], Field(max_length=10), BeforeValidator(_listed)]
Types = Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=50), BeforeValidator(_listed)]
Headers = Annotated[dict[str, str], Field(max_length=ours.MOST_HEADERS), BeforeValidator(lambda value: value or {})]


class WebhookOut(Theirs):
    webhook_id: str
    url: str
    event_types: list[str] | None = None
    pod_ids: list[str] | None = None
    inbox_ids: list[str] | None = None
    pod_id: str | None = None
    inbox_id: str | None = None
    secret: str
    enabled: bool
    client_id: str | None = None
    updated_at: datetime
    created_at: datetime


class ListWebhooks(Theirs):
    count: int
    limit: int
    next_page_token: str | None = None
    webhooks: list[WebhookOut]


class CreateWebhook(Given):
    """At most one of `pod_ids` and `inbox_ids`, with one id."""

    url: Annotated[str, Field(max_length=2000)]
    event_types: Types = ()
    pod_ids: Ids = ()
    inbox_ids: Ids = ()
    client_id: ClientId | None = None
    headers: Headers = Field(default_factory=dict)


class UpdateWebhook(Given):
    event_types: Types | None = None
    enabled: bool | None = None
    add_pod_ids: Ids = ()
    remove_pod_ids: Ids = ()
    add_inbox_ids: Ids = ()
    remove_inbox_ids: Ids = ()


class UpdateHeaders(Given):
    headers: Headers = Field(default_factory=dict)
    remove_headers: Ids = ()


class HeaderNames(Theirs):
    header_names: list[str]


def types_of(given: tuple[str, ...], dialect: str) -> tuple[str, ...]:
    """As a webhook of that dialect has them. InvalidRequest: none of theirs, or only such as never happen."""
    for name in given:
        if name not in AGENTMAIL_TYPES:
            raise InvalidRequest(f"event_types: there is no {name[:50]} here; there are {', '.join(AGENTMAIL_TYPES)}")
    found = given if dialect == AGENTMAIL else tuple(sorted(ours_of(given)))
    if given and (not found or NEVER.issuperset(given)):
        raise InvalidRequest("event_types: none of these ever happens here")
    return found


def _types_shown(hook: webhooks.Webhook) -> list[str]:
    return [each if hook.dialect == AGENTMAIL else _BACK.get(each, each) for each in hook.types]


async def _shown(services: WebServices, hook: webhooks.Webhook) -> WebhookOut:
    """With its secret, as theirs shows it to whoever may read webhooks."""
    secret = ""
    if hook.signing_secret is not None:
        secret = await services.vault.open(hook.signing_secret, webhooks.secret_place(hook.uuid))

    def query(rx: Rx) -> WebhookOut:
        inbox = None if hook.inbox_id is None else inboxes.inbox_by_id(rx, hook.inbox_id)
        pod = None if hook.pod_id is None else pods.pod_by_id(rx, hook.pod_id)
        note = resource_notes.notes(rx, "webhook", [hook.uuid]).get(hook.uuid)
        return WebhookOut(
            webhook_id=hook.uuid, url=hook.url, event_types=_types_shown(hook) or None,
            pod_ids=[pod.uuid] if pod and not inbox else None, inbox_ids=[inbox.address] if inbox else None,
            pod_id=pod.uuid if pod else None, inbox_id=inbox.address if inbox else None, secret=secret,
            enabled=hook.enabled, client_id=note.client_id if note else None, updated_at=moment(hook.updated_at),
            created_at=moment(hook.created_at),
        )  # fmt: skip

    return await services.db.read(query)


async def _inner(services: WebServices, who: Caller, area: Area) -> Caller:
    return await services.db.read(lambda rx: area.of(rx, who))


async def _one(services: WebServices, who: Caller, area: Area, webhook_id: str) -> tuple[Caller, webhooks.Webhook]:
    """NotFound."""

    def query(rx: Rx) -> tuple[Caller, webhooks.Webhook]:
        inner = area.of(rx, who)
        return inner, ours.webhook_of(rx, inner, webhook_id)

    return await services.db.read(query)


def _paths(path: str) -> None:
    @router.get(path)
    async def list_webhooks(
        services: Services, who: Who, area: In, limit: Limit = USUAL, page_token: PageToken = None,
        ascending: Flag = False,
    ) -> ListWebhooks:  # fmt: skip
        """Webhooks, the youngest first."""
        who.need("webhook_read")

        def query(rx: Rx) -> list[webhooks.Webhook]:
            inner = area.of(rx, who)
            return [hook for hook in webhooks.webhooks(rx) if ours.covers(inner, hook)]

        page, said = paged(
            await services.db.read(query), limit, page_token, lambda hook: (hook.created_at, hook.uuid),
            rising=ascending,
        )  # fmt: skip
        return ListWebhooks(**said, webhooks=[await _shown(services, hook) for hook in page])

    @router.post(path)
    async def create_webhook(services: Services, who: Who, area: In, body: CreateWebhook) -> WebhookOut:
        """Be told of what happens from now on; with a `client_id` that is known, that webhook is answered."""
        who.need("webhook_create")
        inner = await _inner(services, who, area)
        types = types_of(body.event_types, AGENTMAIL)
        if len(body.pod_ids) + len(body.inbox_ids) > 1:
            raise InvalidRequest("pod_ids, inbox_ids: a webhook is told of one; make one for each")
        owner = who.pod_id or 0
        if body.client_id is not None:
            there = await services.db.read(lambda rx: _known(rx, inner, owner, body.client_id or ""))
            if there is not None:
                return await _shown(services, there)
        new = WebhookNewIn(
            url=body.url, dialect=AGENTMAIL, types=types, headers=body.headers,
            inbox=body.inbox_ids[0] if body.inbox_ids else None, pod=body.pod_ids[0] if body.pod_ids else None,
        )  # fmt: skip

        def noted(tx: Tx, hook: webhooks.Webhook) -> None:
            """CannotChange: another request with this id was faster."""
            if body.client_id is not None:
                resource_notes.put(tx, "webhook", owner, Note(hook.uuid, body.client_id))

        made = await ours.make(services, inner, new, noted)
        _, hook = await _one(services, who, area, made.id)
        return await _shown(services, hook)

    @router.get(f"{path}/{{webhook_id}}")
    async def get_webhook(services: Services, who: Who, area: In, webhook_id: str) -> WebhookOut:
        who.need("webhook_read")
        return await _shown(services, (await _one(services, who, area, webhook_id))[1])

    @router.patch(f"{path}/{{webhook_id}}")
    async def update_webhook(
        services: Services, who: Who, area: In, webhook_id: str, body: UpdateWebhook
    ) -> WebhookOut:
        """Change its types, switch it off or on."""
        if body.add_pod_ids or body.remove_pod_ids or body.add_inbox_ids or body.remove_inbox_ids:
            raise InvalidRequest("add_inbox_ids and its like: what a webhook is told of never changes; make another")
        inner, hook = await _one(services, who, area, webhook_id)
        types = None if body.event_types is None else types_of(body.event_types, hook.dialect)
        await ours.change_webhook(services, inner, webhook_id, WebhookChange(types=types, enabled=body.enabled))
        return await _shown(services, (await _one(services, who, area, webhook_id))[1])

    @router.get(f"{path}/{{webhook_id}}/headers")
    async def get_headers(services: Services, who: Who, area: In, webhook_id: str) -> HeaderNames:
        """Names of the fields that are sent besides; their values are told to nobody."""
        inner, _ = await _one(services, who, area, webhook_id)
        return HeaderNames(header_names=(await ours.get_webhook(services, inner, webhook_id)).header_names)

    @router.patch(f"{path}/{{webhook_id}}/headers", status_code=204)
    async def update_headers(
        services: Services, who: Who, area: In, webhook_id: str, body: UpdateHeaders
    ) -> None:
        """Set, replace and remove fields that are sent besides."""
        who.need("webhook_update")
        removed, given = ({name.lower() for name in names} for names in (body.remove_headers, body.headers))
        if removed & given:
            raise InvalidRequest("headers, remove_headers: a field is set or removed")

        def merged(known: dict[str, str]) -> dict[str, str]:
            left = {name: value for name, value in known.items() if name.lower() not in removed | given} | body.headers
            if len(left) > ours.MOST_HEADERS:
                raise InvalidRequest(f"headers: {ours.MOST_HEADERS} at most")
            return left

        inner, _ = await _one(services, who, area, webhook_id)
        await ours.change(services, inner, webhook_id, WebhookChange(), merged=merged)

    @router.delete(f"{path}/{{webhook_id}}", status_code=204)
    async def delete_webhook(services: Services, who: Who, area: In, webhook_id: str) -> None:
        """Tells it nothing more."""
        inner, _ = await _one(services, who, area, webhook_id)
        await ours.delete_webhook(services, inner, webhook_id)


def _known(rx: Rx, who: Caller, owner: int, client_id: str) -> webhooks.Webhook | None:
    note = resource_notes.by_client(rx, "webhook", owner, client_id)
    try:
        return None if note is None else ours.webhook_of(rx, who, note.ref)
    except NotFound:
        return None


for _path in EVERYWHERE:
    _paths(_path)
