"""Accounts elsewhere that inboxes of the key are kept in sync with, and send through."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from gateway.access.caller import inbox_of
from gateway.access.connectors import connectors_of
from gateway.store.connectors.rows import ConnectorRow
from gateway.store.db import Rx
from gateway.web import connecting, telling
from gateway.web.services import Json, Stream

from .parts import Cursor, Limit, Page, Services, Strict, Who, from_cursor, to_cursor

router = APIRouter(prefix="/api/v1", tags=["connectors"])

Name = Annotated[str, Field(min_length=1, max_length=200)]
Address = Annotated[str, Field(min_length=3, max_length=320, examples=["me@corp.example"])]
Side = Literal["imap", "smtp"]
Sections = Annotated[
    dict[Literal["imap", "smtp", "sync"], dict[str, Any]],
    Field(description="Options by section and key, as GET /api/v1/connectors/options lists them", examples=[
        {"imap": {"host": "imap.corp.example", "secret": "app password"}, "smtp": {"host": "smtp.corp.example"}}
    ]),
]  # fmt: skip


class ConnectorOut(BaseModel):
    """`id` and `name` both name the connector in paths. `given`: what somebody said; `options`: what holds, only in
    single connectors. Of secrets it says `set`, and nothing else. Times: RFC 3339.
    """

    id: str
    name: str
    address: str
    inbox: str | None
    pod: str | None
    provider: str | None
    mode: str
    enabled: bool
    state: str
    reason: str | None
    failure: str | None
    advice: str | None
    failures: int
    state_since: str | None
    next_try: str | None
    last_sync_at: str | None
    last_success_at: str | None
    created_at: str | None
    updated_at: str | None
    oauth: bool
    given: dict[str, Any] | None = None
    options: dict[str, Any] | None = None


class ConnectorNew(Strict):
    """Without `inbox` one is made, of a name like the account's. `provider`: a preset; that of the address."""

    name: Name
    address: Address
    inbox: str | None = None
    pod: str | None = None
    provider: Annotated[str, Field(max_length=100)] | None = None
    options: Sections = Field(default_factory=dict)
    enabled: bool = True


class ConnectorChange(Strict):
    """`unset`: `section.key` each, the provider's again."""

    name: Name | None = None
    provider: Annotated[str, Field(max_length=100)] | None = None
    options: Sections = Field(default_factory=dict)
    unset: Annotated[list[str], Field(max_length=100, default_factory=list)]


class ConnectorRemoved(BaseModel):
    """`waiting`: recipients of mail that it was still to send; with `fallback` these go by the default relay."""

    waiting: int
    fallback: bool


class Folders(BaseModel):
    folders: int


class TestNew(Strict):
    """What is tried without being kept. Without `side` both."""

    address: Address
    provider: Annotated[str, Field(max_length=100)] | None = None
    options: Sections = Field(default_factory=dict)
    side: Side | None = None


class TestSaved(Strict):
    """`options` stand in the place of what the connector has."""

    side: Side | None = None
    options: Sections = Field(default_factory=dict)


class Step(BaseModel):
    """`ms`: what it took."""

    name: str
    ok: bool
    ms: int
    text: str


class Probe(BaseModel):
    """A test of one side, step by step. `said`: the server's words; `advice`: what helps; `logs`: no secrets."""

    side: Side
    success: bool
    message: str
    failure: str | None
    advice: str
    said: str
    steps: list[Step]
    logs: list[str]


class Provider(BaseModel):
    """A preset. `passwords` false: only OAuth is taken, by `oauth`."""

    name: str
    title: str
    domains: list[str]
    oauth: str | None
    passwords: bool
    help: str | None
    imap: dict[str, Any]
    smtp: dict[str, Any]


class Option(BaseModel):
    section: str
    key: str
    help: str
    default: Any
    choices: list[str] | None
    secret: bool
    unit: str | None


def shown(row: Json) -> ConnectorOut:
    return ConnectorOut(**{key: value for key, value in row.items() if key != "grant"}, oauth=row["grant"] is not None)


@router.get("/connectors")
async def list_connectors(
    services: Services, who: Who, limit: Limit = 50, cursor: Cursor = None,
    inbox: Annotated[str | None, Query(max_length=320, description="Only those of this inbox")] = None,
) -> Page[ConnectorOut]:
    """All connectors of the key's inboxes, the oldest first."""
    who.need("connector_read")
    after = from_cursor(cursor, int)

    def query(rx: Rx) -> list[ConnectorRow]:
        box = None if inbox is None else inbox_of(rx, who, inbox)
        return [row for row in connectors_of(rx, who, box) if after is None or row.id > after[0]][: limit + 1]

    found = await services.db.read(query)
    more, found = len(found) > limit, found[:limit]
    rows = await services.operate("connector.some", {"numbers": [row.id for row in found]})
    return Page(items=[shown(row) for row in rows], next=to_cursor(found[-1].id) if more else None)


@router.post("/connectors", status_code=201)
async def create_connector(services: Services, who: Who, body: ConnectorNew) -> ConnectorOut:
    """A new connector; it syncs by itself from now on."""
    who.need("connector_update")
    return shown(await connecting.add(
        services, who, name=body.name, address=body.address, options=body.options, provider=body.provider,
        inbox=body.inbox, pod=body.pod, enabled=body.enabled,
    ))  # fmt: skip


@router.get("/connectors/providers")
async def list_providers(services: Services, who: Who) -> list[Provider]:
    """Providers whose servers are known."""
    who.need("connector_read")
    return [Provider(**one) for one in await services.operate("connector.providers", {})]


@router.get("/connectors/options")
async def list_options(services: Services, who: Who) -> list[Option]:
    """Everything that can be set of a connector."""
    who.need("connector_read")
    return [Option(**one) for one in await services.operate("connector.fields", {})]


@router.post("/connectors/test")
async def test_options(services: Services, who: Who, body: TestNew) -> list[Probe]:
    """Try servers and credentials without keeping them, step by step."""
    who.need("connector_update")
    found = await connecting.probe_unsaved(
        services, who, address=body.address, options=body.options, provider=body.provider, side=body.side
    )
    return [Probe(**one) for one in found]


@router.get("/connectors/{connector}")
async def get_connector(services: Services, who: Who, connector: str) -> ConnectorOut:
    """One connector with its options; secrets are not shown."""
    who.need("connector_read")
    return shown(await connecting.ask(services, await connecting.known(services, who, connector), "connector.show"))


@router.patch("/connectors/{connector}")
async def change_connector(services: Services, who: Who, connector: str, body: ConnectorChange) -> ConnectorOut:
    """Change what is named; whoever syncs it begins anew with that."""
    who.need("connector_update")
    one = await connecting.known(services, who, connector)
    return shown(await connecting.change(
        services, who, one, options=body.options, unset=body.unset or None, name=body.name, provider=body.provider
    ))  # fmt: skip


@router.delete("/connectors/{connector}")
async def delete_connector(services: Services, who: Who, connector: str) -> ConnectorRemoved:
    """Forget the account; its mail stays here, and nothing is changed there."""
    who.need("connector_update")
    one = await connecting.known(services, who, connector)
    done = await connecting.ask(services, one, "connector.remove")
    return ConnectorRemoved(waiting=done["waiting"], fallback=done["fallback"])


@router.post("/connectors/{connector}/enable")
async def enable_connector(services: Services, who: Who, connector: str) -> ConnectorOut:
    """Sync and send again."""
    who.need("connector_update")
    return shown(await connecting.ask(services, await connecting.known(services, who, connector), "connector.enable"))


@router.post("/connectors/{connector}/disable")
async def disable_connector(services: Services, who: Who, connector: str) -> ConnectorOut:
    """It stops at once: nothing is synced, and nothing sent through it."""
    who.need("connector_update")
    return shown(await connecting.ask(services, await connecting.known(services, who, connector), "connector.disable"))


@router.post("/connectors/{connector}/reset")
async def reset_connector(services: Services, who: Who, connector: str) -> Folders:
    """Compare all of each folder again with the next sync; nothing is fetched twice."""
    who.need("connector_update")
    one = await connecting.known(services, who, connector)
    return Folders(**await connecting.ask(services, one, "connector.reset"))


@router.post(
    "/connectors/{connector}/test", response_model=list[Probe],
    responses={200: {"content": {telling.SSE: {}, telling.NDJSON: {}}}},
)  # fmt: skip
async def test_connector(services: Services, who: Who, connector: str, body: TestSaved, request: Request) -> Any:
    """Try every step of both sides now, or of one.

    With `Accept: text/event-stream` or `application/x-ndjson` each step is told when it is done: `progress` events,
    then one `result` or `error`.
    """
    who.need("connector_update")
    one = await connecting.known(services, who, connector)

    async def run(stream: Stream | None) -> list[Json]:
        return await connecting.probe(services, who, one, side=body.side, options=body.options, stream=stream)

    kind = telling.asked_for(request.headers.get("accept", ""))
    if kind is None:
        return [Probe(**each) for each in await run(None)]
    return await telling.progress(services, who, run, kind)
