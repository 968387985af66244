"""ConnectorController: the schedule of a connector, syncs on request, and events."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from gateway.access.caller import Caller
from gateway.access.connectors import connector_of, connectors_of
from gateway.model.errors import GatewayError, NotFound
from gateway.outbound.failure import Failure
from gateway.store.connectors import event_pages, events
from gateway.store.connectors.event_pages import EventFilter
from gateway.store.connectors.events import Event, EventKind, Filter
from gateway.store.connectors.rows import ConnectorRow
from gateway.store.db import Rx
from gateway.web import connecting
from gateway.web.api.connector_sync import own_event
from gateway.web.api.parts import Services, Who
from gateway.web.connecting import Known
from gateway.web.services import Json, WebServices

from .connectors import dto, schedule, shown_to
from .ids import event_number, event_uuid, message_uuid, part_uuid
from .models import (
    ConnectorEventDto,
    ConnectorEventProjection,
    ConnectorSyncRequestResult,
    ConnectorSyncResult,
    ConnectorSyncSettingsDto,
    CreateConnectorSyncSettingsOptions,
    Kind,
    OptionalConnectorSyncSettingsDto,
    PageConnectorEvents,
    Status,
)
from .parts import Index, Moment, Size, Sort, at, page_of, unix

router = APIRouter(tags=["mailslurp connectors"])

_SERVER: Final = frozenset(failure.value for failure in Failure) - {Failure.FOLDER_MISSING.value}
_EVER: Final = 2**62


@router.post("/connectors/{id}/sync-settings", status_code=201)
async def create_connector_sync_settings(
    services: Services, who: Who, id: str, body: CreateConnectorSyncSettingsOptions
) -> ConnectorSyncSettingsDto:
    """Create the schedule of a connector."""
    one, _ = await shown_to(services, who, id, "connector_update")
    changed = await connecting.change(services, who, one, options={"sync": schedule(body)})
    settings = await _settings(services, one, changed)
    return settings or ConnectorSyncSettingsDto(
        id=part_uuid(one.name, "sync"), user_id=await _user(services, one), connector_id=one.name,
        sync_enabled=False, sync_interval=changed["options"]["sync"]["interval"],
    )  # fmt: skip


@router.get("/connectors/{id}/sync-settings")
async def get_connector_sync_settings(services: Services, who: Who, id: str) -> OptionalConnectorSyncSettingsDto:
    """Get the schedule of a connector."""
    found = await _settings(services, *await shown_to(services, who, id, "connector_read"))
    return OptionalConnectorSyncSettingsDto(present=found is not None, result=found)


@router.delete("/connectors/{id}/sync-settings", status_code=204)
async def delete_connector_sync_settings(services: Services, who: Who, id: str) -> None:
    """Delete the schedule of a connector: it is synced on request alone."""
    one, _ = await shown_to(services, who, id, "connector_update")
    await connecting.change(
        services, who, one, options={"sync": schedule(None)}, unset=["sync.interval", "sync.push"]
    )


async def _settings(services: WebServices, one: Known, shown: Json) -> ConnectorSyncSettingsDto | None:
    """None where nothing is synced by itself."""
    sync = shown["options"]["sync"]
    if not sync["enabled"]:
        return None
    return ConnectorSyncSettingsDto(
        id=part_uuid(one.name, "sync"), user_id=await _user(services, one), connector_id=one.name,
        sync_enabled=True, sync_interval=sync["interval"],
    )  # fmt: skip


async def _user(services: WebServices, one: Known) -> str:
    return (await services.db.read(lambda rx: dto(rx, one.row))).user_id


@router.post("/connectors/{id}/sync")
async def sync_connector(
    services: Services, who: Who, id: str, since: Moment = None, folder: str | None = None, logging: bool = False
) -> ConnectorSyncRequestResult:
    """Sync an inbox connector now, and wait for the end. What goes wrong there is told as `exception`."""
    who.need("connector_update")
    one = await connecting.known(services, who, id)
    day = "" if since is None else since.date().isoformat()
    params: dict[str, Json] = {"logs": logging, "folder": folder or "", "since": day}
    done = await connecting.ask(services, one, "connector.sync", params)
    if not done["waited"]:
        return ConnectorSyncRequestResult(exception="Another process has this connector; it was asked to sync")
    number = await services.db.read(lambda rx: _event_of_run(rx, one.row, done["run"]))
    result = ConnectorSyncResult(
        email_sync_count=done["imported"],
        email_ids=[message_uuid(one.row.inbox_id, email_id) for email_id in done["email_ids"]],
        logs=done["logs"],
    )
    told = None if done["success"] else done["message"] or done["failure"]
    return ConnectorSyncRequestResult(
        sync_result=result, exception=told, event_id=None if number is None else event_uuid(number)
    )


def _event_of_run(rx: Rx, row: ConnectorRow, run: str) -> int | None:
    """The event that a sync has left, which is among the last ones."""
    found = events.newest(rx, Filter(row.id, EventKind.SYNC), limit=20)
    return next((event.id for event in found if event.run == run), None)


def _status(event: Event) -> Status:
    if event.failure is None:
        return "SUCCESS"
    if event.failure == Failure.FOLDER_MISSING.value:
        return "NOT_FOUND"
    return "CONNECTION_ERROR" if event.failure in _SERVER else "INTERNAL_ERROR"


def _projected(event: Event, connector: str) -> ConnectorEventProjection:
    kind: Kind = event.kind.value
    return ConnectorEventProjection(
        id=event_uuid(event.id), connector_id=connector, event_type=kind, status=_status(event), size=event.size or 0,
        message=event.message, seen=event.seen, created_at=at(event.at),
    )  # fmt: skip


@router.get("/connectors/events")
async def get_all_connector_events(
    services: Services, who: Who, id: str | None = None, page: Index = 0, size: Size = 20, sort: Sort = "DESC",
    since: Moment = None, before: Moment = None, eventType: Kind | None = None,
) -> PageConnectorEvents:  # fmt: skip
    """Get all inbox connector events of the key, or of one connector."""
    who.need("connector_read")
    low, high = unix(since) or 0, unix(before)

    def query(rx: Rx) -> PageConnectorEvents:
        rows = connectors_of(rx, who) if id is None else [connector_of(rx, who, id)]
        wanted = EventFilter(
            [row.id for row in rows], None if eventType is None else EventKind(eventType), since=low,
            before_at=_EVER if high is None else high,
        )  # fmt: skip
        names = {int(row.id): row.uuid for row in rows}
        found = event_pages.page(rx, wanted, limit=size, skipped=page * size, oldest_first=sort == "ASC")
        return page_of([_projected(event, names[event.connector_id]) for event in found], page, size,
                       event_pages.count(rx, wanted))

    return await services.db.read(query)


@router.get("/connectors/{id}/events")
async def get_connector_events(
    services: Services, who: Who, id: str, page: Index = 0, size: Size = 20, sort: Sort = "DESC",
    since: Moment = None, before: Moment = None, eventType: Kind | None = None,
) -> PageConnectorEvents:  # fmt: skip
    """Get the events of an inbox connector."""
    return await get_all_connector_events(services, who, id, page, size, sort, since, before, eventType)


@router.get("/connectors/events/{id}")
async def get_connector_event(services: Services, who: Who, id: str) -> ConnectorEventDto:
    """Get an inbox connector event with its log."""
    who.need("connector_read")
    number = event_number(id)

    def query(rx: Rx) -> ConnectorEventDto:
        if number is None:
            raise NotFound("No such event")
        event, connector = own_event(rx, who, number)
        return ConnectorEventDto(
            **_projected(event, connector).model_dump(), logs=events.log_of(rx, number)
        )

    return await services.db.read(query)


async def sync_all(services: WebServices, who: Caller, rows: list[ConnectorRow]) -> None:
    """Sync these now; what goes wrong there is an event of the connector, and nobody's answer here."""
    for row in rows:
        try:
            await connecting.ask(services, await connecting.known(services, who, row.uuid), "connector.sync")
        except GatewayError:
            continue
