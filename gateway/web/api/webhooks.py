"""Webhooks within the key's scope: whom to tell of events, what came of it, and telling again."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, cast

from fastapi import APIRouter
from pydantic import Field

from gateway.access.caller import Caller, inbox_of, pod_of
from gateway.access.events import Event, Wanted, event_of, start_at
from gateway.model.errors import InvalidRequest, NoPermission, NotFound
from gateway.model.ids import InboxId
from gateway.model.permissions import BUNDLES, ScopeKind
from gateway.outbound.http import usable_url
from gateway.store import inboxes, pods, webhook_cursors, webhooks
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.store.sealing import Sealer
from gateway.store.webhooks import Tried, Webhook, WebhookNew
from gateway.web.listening import need_to_read
from gateway.web.webhooks import signing
from gateway.web.webhooks.dialects import KNOWN, dialects
from gateway.web.webhooks.runner import TEST, position_of
from gateway.web.webhooks.settings import WebhookSettings

from .events import EventOut, cursors_in
from .parts import Cursor, Limit, Page, Services, Strict, Who, from_cursor, page_of, to_cursor

router = APIRouter(prefix="/api/v1", tags=["webhooks"])

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,998}[\x21-\x7e])?")
_OURS: Final = re.compile(
    r"webhook-.*|svix-.*|host|content-.*|transfer-encoding|connection|upgrade|te|trailer|expect|keep-alive|proxy-.*"
)
Name = Annotated[str, Field(max_length=200)]
Url = Annotated[str, Field(max_length=2000, examples=["https://example.org/hook"])]
Types = Annotated[tuple[str, ...], Field(max_length=50, examples=[["message.received"]])]
MOST_HEADERS: Final = 20
Headers = Annotated[dict[str, str], Field(max_length=MOST_HEADERS)]
Secret = Annotated[str, Field(max_length=200)]
Dialect = Literal["native", "agentmail"]


class WebhookOut(Strict):
    """Told of events in `inbox`, or in all inboxes of `pod`, or in all there are, in the words of `dialect`, of which
    `types` are too. No `types`: all.

    `reason`: what goes wrong since `failing_since`, or why it was switched off. `header_names`: of fields sent besides.
    """

    id: str
    name: str
    url: str
    scope: ScopeKind
    inbox: str | None
    pod: str | None
    dialect: Dialect
    types: list[str]
    header_names: list[str]
    enabled: bool
    reason: str | None
    failing_since: int | None
    created_at: int
    updated_at: int


class WebhookMade(WebhookOut):
    """`secret` is shown this once."""

    secret: str


class WebhookNewIn(Strict):
    """Of an inbox, a pod or, where both are missing, what the key opens. `headers`: sent with each event."""

    url: Url
    name: Name = ""
    inbox: str | None = None
    pod: str | None = None
    dialect: Dialect = "native"
    types: Types = ()
    headers: Headers = Field(default_factory=dict)
    secret: Secret | None = None


class WebhookChange(Strict):
    """What is named is changed. `enabled` true: goes on where it stood, at once."""

    url: Url | None = None
    name: Name | None = None
    types: Types | None = None
    headers: Headers | None = None
    enabled: bool | None = None


class SecretOut(Strict):
    """The former one signs as well until `former_until`."""

    secret: str
    former_until: int


class SecretNew(Strict):
    secret: Secret | None = None


class AttemptOut(Strict):
    """`number`: how often the event was tried. `answer`: the first of what the receiver said."""

    inbox: str | None
    event: str
    type: str
    at: int
    number: int
    ok: bool
    status: int | None
    failure: str | None
    duration_ms: int
    answer: str | None


class Replay(Strict):
    """One `event` goes again by itself; or all behind `cursor` do, in order. A cursor of later passes over."""

    inbox: str
    event: Annotated[str, Field(max_length=200)] | None = None
    cursor: Annotated[str, Field(max_length=200)] | None = None


def covers(who: Caller, hook: Webhook) -> bool:
    if who.scope == ScopeKind.INBOX:
        return hook.scope == ScopeKind.INBOX and hook.inbox_id == who.inbox_id
    return who.may_all or (hook.scope != ScopeKind.ALL and hook.pod_id == who.pod_id)


def webhook_of(rx: Rx, who: Caller, name: str) -> Webhook:
    found = webhooks.by_uuid(rx, name)
    if found is None or not covers(who, found):
        raise NotFound("No such webhook")
    return found


def _shown(rx: Rx, hook: Webhook, names: list[str]) -> WebhookOut:
    inbox = inboxes.inbox_by_id(rx, hook.inbox_id) if hook.inbox_id is not None else None
    pod = pods.pod_by_id(rx, hook.pod_id) if hook.pod_id is not None else None
    return WebhookOut(
        id=hook.uuid, name=hook.name, url=hook.url, scope=ScopeKind(hook.scope), inbox=inbox.address if inbox else None,
        pod=pod.name if pod else None, dialect=cast(Dialect, hook.dialect), types=list(hook.types),
        header_names=names, enabled=hook.enabled,
        reason=hook.reason, failing_since=hook.failing_since, created_at=hook.created_at, updated_at=hook.updated_at,
    )  # fmt: skip


def _checked(url: str | None, headers: dict[str, str] | None) -> None:
    """InvalidRequest names the field."""
    if url is not None:
        try:
            usable_url(url)
        except InvalidRequest as error:
            raise InvalidRequest(f"url: {error}") from None
    for name, value in (headers or {}).items():
        if not _NAME.fullmatch(name) or _OURS.fullmatch(name.lower()):
            raise InvalidRequest(f"headers: {name[:100]} is no name that may be sent")
        if not _VALUE.fullmatch(value):
            raise InvalidRequest(f"headers: the value of {name} is not one line of printable ASCII")


def _typed(dialect: str, types: tuple[str, ...]) -> list[str]:
    """InvalidRequest: one is none of the dialect."""
    for kind in types:
        if kind not in KNOWN[dialect]:
            raise InvalidRequest(f"types: there is no {kind}; there are {', '.join(KNOWN[dialect])}")
    return sorted(set(types))


async def _header_names(services: Services, hook: Webhook) -> list[str]:
    if hook.headers_sealed is None:
        return []
    return sorted(json.loads(await services.vault.open(hook.headers_sealed, webhooks.headers_place(hook.uuid))))


async def _out(services: Services, hook: Webhook) -> WebhookOut:
    names = await _header_names(services, hook)
    return await services.db.read(lambda rx: _shown(rx, hook, names))


def _sealed_headers(sealer: Sealer, row: str, headers: dict[str, str]) -> bytes | None:
    return sealer.seal(json.dumps(headers), webhooks.headers_place(row)) if headers else None


@router.get("/webhooks")
async def list_webhooks(services: Services, who: Who, limit: Limit = 50, cursor: Cursor = None) -> Page[WebhookOut]:
    """Webhooks within the scope of the key."""
    who.need("webhook_read")
    found = await services.db.read(lambda rx: [hook for hook in webhooks.webhooks(rx) if covers(who, hook)])
    page = page_of(sorted(found, key=lambda hook: hook.uuid), limit, lambda hook: hook.uuid, cursor)
    return Page(items=[await _out(services, hook) for hook in page.items], next=page.next)


@router.post("/webhooks", status_code=201)
async def create_webhook(services: Services, who: Who, body: WebhookNewIn) -> WebhookMade:
    """Be told of what happens from now on. Needs the permission to read mail, too."""
    return await make(services, who, body)


async def make(
    services: Services, who: Caller, body: WebhookNewIn, then: Callable[[Tx, Webhook], None] = lambda tx, made: None
) -> WebhookMade:
    """`then`: done in the unit that makes it."""
    who.need("webhook_create")
    need_to_read(who)
    if body.inbox is not None and body.pod is not None:
        raise InvalidRequest("inbox, pod: name at most one")
    _checked(body.url, body.headers)
    types = _typed(body.dialect, body.types)
    secret = body.secret or signing.draw()
    signing.octets_of(secret)
    now, row = int(services.clock()), str(uuid.uuid4())

    def unit(tx: Tx, sealer: Sealer) -> Webhook:
        scope, pod_id, inbox_id = who.scope, who.pod_id, who.inbox_id
        if body.inbox is not None:
            found = inbox_of(tx, who, body.inbox)
            scope, pod_id, inbox_id = ScopeKind.INBOX, found.pod_id, found.id
        elif body.pod is not None:
            scope, pod_id, inbox_id = ScopeKind.POD, pod_of(tx, who, body.pod).id, None
        elif inbox_id is not None:
            own = inboxes.inbox_by_id(tx, inbox_id)
            pod_id = None if own is None else own.pod_id
        new = WebhookNew(
            scope, pod_id, inbox_id, body.name, body.url, types, who.permissions & BUNDLES["read"], row, body.dialect,
        )
        sealed = sealer.seal(secret, webhooks.secret_place(row))
        created = webhooks.create(tx, new, sealed, _sealed_headers(sealer, row, body.headers), now)
        then(tx, created)
        return created

    made = await _out(services, await services.vault.write(unit))
    return WebhookMade(secret=secret, **made.model_dump())


@router.get("/webhooks/{webhook}")
async def get_webhook(services: Services, who: Who, webhook: str) -> WebhookOut:
    """One webhook, and what goes wrong with it."""
    who.need("webhook_read")
    return await _out(services, await services.db.read(lambda rx: webhook_of(rx, who, webhook)))


@router.patch("/webhooks/{webhook}")
async def change_webhook(services: Services, who: Who, webhook: str, body: WebhookChange) -> WebhookOut:
    """Change what is named; switch it off or on. Another `url` needs the permissions to read that its maker had."""
    return await change(services, who, webhook, body)


async def change(
    services: Services, who: Caller, webhook: str, body: WebhookChange, *,
    merged: Callable[[dict[str, str]], dict[str, str]] | None = None,
) -> WebhookOut:  # fmt: skip
    """`merged`: what the fields that are sent besides become of those that there are."""
    who.need("webhook_update")
    _checked(body.url, body.headers)
    now = int(services.clock())

    def unit(tx: Tx, sealer: Sealer) -> Webhook:
        before = webhook_of(tx, who, webhook)
        if body.url not in (None, before.url) and not before.reads <= who.permissions:
            raise NoPermission("The key may not read all that this webhook is told of")
        headers = before.headers_sealed
        if body.headers is not None:
            headers = _sealed_headers(sealer, before.uuid, body.headers)
        elif merged is not None:
            place = webhooks.headers_place(before.uuid)
            wanted = merged({} if headers is None else json.loads(sealer.open(headers, place)))
            _checked(None, wanted)
            headers = _sealed_headers(sealer, before.uuid, wanted)
        webhooks.change(
            tx, before, name=before.name if body.name is None else body.name, url=body.url or before.url,
            types=before.types if body.types is None else _typed(before.dialect, body.types), headers=headers,
            enabled=before.enabled if body.enabled is None else body.enabled, now=now,
        )  # fmt: skip
        return webhook_of(tx, who, webhook)

    return await _out(services, await services.vault.write(unit))


@router.delete("/webhooks/{webhook}", status_code=204)
async def delete_webhook(services: Services, who: Who, webhook: str) -> None:
    """Tells it nothing more."""
    who.need("webhook_delete")
    await services.db.write(lambda tx: webhooks.delete(tx, webhook_of(tx, who, webhook).id))


@router.post("/webhooks/{webhook}/secret")
async def rotate_secret(services: Services, who: Who, webhook: str, body: SecretNew) -> SecretOut:
    """A new secret; for a day the former one signs as well."""
    who.need("webhook_update")
    secret = body.secret or signing.draw()
    signing.octets_of(secret)
    now = int(services.clock())
    until = now + WebhookSettings().former_secret
    known = await services.db.read(lambda rx: webhook_of(rx, who, webhook))
    former = None
    if known.signing_secret is not None:
        former = await services.vault.open(known.signing_secret, webhooks.secret_place(known.uuid))

    def unit(tx: Tx, sealer: Sealer) -> None:
        hook = webhook_of(tx, who, webhook)
        sealed = None if former is None else sealer.seal(former, webhooks.former_place(hook.uuid))
        webhooks.rotate(tx, hook.id, sealer.seal(secret, webhooks.secret_place(hook.uuid)), sealed, until, now)

    await services.vault.write(unit)
    return SecretOut(secret=secret, former_until=until)


@router.get("/webhooks/{webhook}/attempts")
async def list_attempts(
    services: Services, who: Who, webhook: str, limit: Limit = 50, cursor: Cursor = None
) -> Page[AttemptOut]:
    """What was tried within a week, the latest first."""
    who.need("webhook_read")
    before = from_cursor(cursor, int)
    top = min(before[0], 2**62) if before else 2**62

    def query(rx: Rx) -> Page[AttemptOut]:
        hook = webhook_of(rx, who, webhook)
        rows = webhooks.attempts(rx, hook.id, top, limit + 1)
        more = len(rows) > limit
        items = [_attempt(rx, tried) for tried in rows[:limit]]
        return Page(items=items, next=to_cursor(rows[limit - 1].id) if more else None)

    return await services.db.read(query)


def _attempt(rx: Rx, tried: Tried) -> AttemptOut:
    inbox = inboxes.inbox_by_id(rx, InboxId(tried.inbox_id)) if tried.inbox_id else None
    return AttemptOut(
        inbox=inbox.address if inbox else None, event=tried.event_id, type=tried.type, at=tried.at, number=tried.number,
        ok=tried.ok, status=tried.status, failure=tried.failure, duration_ms=tried.duration_ms,
        answer=None if tried.answer is None else tried.answer.decode("utf-8", "replace"),
    )  # fmt: skip


@router.post("/webhooks/{webhook}/replay", status_code=202)
async def replay(services: Services, who: Who, webhook: str, body: Replay) -> None:
    """Tell again: one event, or all that happened in an inbox behind a cursor."""
    who.need("webhook_update")
    if (body.event is None) == (body.cursor is None):
        raise InvalidRequest("event, cursor: name one of the two")
    now = int(services.clock())

    def named(rx: Rx) -> tuple[Webhook, Inbox]:
        hook, inbox = webhook_of(rx, who, webhook), inbox_of(rx, who, body.inbox)
        if not hook.covers(inbox.id, inbox.pod_id):
            raise NotFound("The webhook is not told of that inbox")
        return hook, inbox

    def found(rx: Rx) -> tuple[Webhook, Event]:
        hook, inbox = named(rx)
        event = event_of(rx, inbox.id, body.event or "")
        if not Wanted(hook.reads).takes(event):
            raise NotFound("No such event")
        return hook, event

    told: tuple[Event, str] | None = None
    if body.event is not None:
        known, event = await services.db.read(found)
        text = await dialects(services.db)[known.dialect].body(known, event, now)
        if text is None:
            raise NotFound("The webhook's dialect has no such event")
        told = event, text

    def unit(tx: Tx) -> None:
        hook, inbox = named(tx)
        if told is not None:
            webhooks.once(tx, hook.id, inbox.id, told[0].id, told[0].type, told[1], now)
            return
        start = start_at(tx, inbox.id, cursors_in(body.cursor))
        if start.place > start.now:
            raise InvalidRequest("cursor is none of this inbox, or of before a restore")
        modseq, position = position_of(start.place)
        webhook_cursors.set_cursor(tx, hook.id, inbox.id, modseq, position)

    await services.db.write(unit)


@router.post("/webhooks/{webhook}/test", status_code=202)
async def send_test(services: Services, who: Who, webhook: str) -> EventOut:
    """Send an event of type webhook.test; what came of it is among the attempts."""
    who.need("webhook_update")
    now = int(services.clock())
    told: dict[str, Any] = {
        "id": f"test-{uuid.uuid4()}", "type": TEST, "at": now, "inbox": {"id": "", "address": ""},
        "data": {"text": "This is a test"},
    }  # fmt: skip

    def unit(tx: Tx) -> None:
        hook = webhook_of(tx, who, webhook)
        webhooks.once(tx, hook.id, 0, told["id"], TEST, json.dumps(told), now)

    await services.db.write(unit)
    return EventOut.model_validate(told)
