"""ConnectorController: connectors with their IMAP and SMTP sides and their schedule, and tests of either side."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from gateway.access.caller import Caller, inbox_of
from gateway.access.connectors import connector_of, connectors_of
from gateway.model.errors import CannotChange, InvalidRequest, NotFound
from gateway.store import inboxes, pods
from gateway.store.connectors.rows import ConnectorRow
from gateway.store.db import Rx
from gateway.web import connecting
from gateway.web.api.parts import Services, Who
from gateway.web.connecting import Known
from gateway.web.services import Json, WebServices

from .models import (
    ConnectorDto,
    ConnectorProviderSettingsDto,
    CreateConnectorImapConnectionOptions,
    CreateConnectorOptions,
    CreateConnectorSmtpConnectionOptions,
    CreateConnectorSyncSettingsOptions,
    CreateConnectorWithOptions,
    OptionalConnectorDto,
    PageConnector,
    ProviderSettings,
)
from .options import NOWHERE, Leg, leg_of
from .parts import Index, Moment, Size, Sort, at, cut, unix

router = APIRouter(tags=["mailslurp connectors"])

PROVIDERS: Final = ConnectorProviderSettingsDto(
    google_settings=ProviderSettings(
        mail_provider="GOOGLE", imap_host="imap.gmail.com", imap_port=993, imap_ssl=True, imap_start_tls=False,
        smtp_host="smtp.gmail.com", smtp_port=465, smtp_ssl=True, smtp_start_tls=True,
    ),
    microsoft_settings=ProviderSettings(
        mail_provider="MICROSOFT", imap_host="outlook.office365.com", imap_port=993, imap_ssl=True,
        imap_start_tls=False, smtp_host="smtp-mail.outlook.com", smtp_port=587, smtp_ssl=False, smtp_start_tls=True,
    ),
)  # fmt: skip
"""As their own page has them, contradiction and all; what a connector makes of it is `options.security`."""
OFF: Final[dict[str, Any]] = {"enabled": False}
NO_SIDE: Final[dict[str, Any]] = {"host": NOWHERE, **OFF}


def dto(rx: Rx, row: ConnectorRow) -> ConnectorDto:
    inbox, pod = inboxes.inbox_by_id(rx, row.inbox_id), pods.pod_by_id(rx, row.pod_id)
    if inbox is None or pod is None:
        raise NotFound("No such connector")
    return ConnectorDto(
        id=row.uuid, name=row.name, enabled=row.enabled, email_address=row.address, user_id=pod.uuid,
        inbox_id=inbox.uuid, created_at=at(row.created_at),
    )  # fmt: skip


async def _one(services: WebServices, who: Caller, reference: str) -> ConnectorDto:
    return await services.db.read(lambda rx: dto(rx, connector_of(rx, who, reference)))


def private(services: WebServices, who: Caller) -> bool:
    """Whether a connector may lead into a private network: their clients cannot ask for it."""
    return services.settings.private_accounts and who.may_all


def schedule(given: CreateConnectorSyncSettingsOptions | None) -> dict[str, Any]:
    """Without settings nothing is synced but on request. By interval no connection is held meanwhile."""
    if given is None or given.sync_enabled is False:
        return {"enabled": False}
    interval = {} if given.sync_interval is None else {"interval": given.sync_interval}
    return {"enabled": True, "push": False, **interval}


@router.post("/connectors", status_code=201)
async def create_connector(
    services: Services, who: Who, body: CreateConnectorOptions, inboxId: str | None = None
) -> ConnectorDto:
    """Create an inbox connector."""
    return await _create(services, who, CreateConnectorWithOptions(create_connector_options=body), inboxId)


@router.post("/connectors/withOptions", status_code=201)
async def create_connector_with_options(
    services: Services, who: Who, body: CreateConnectorWithOptions, inboxId: str | None = None
) -> ConnectorDto:
    """Create an inbox connector with options."""
    return await _create(services, who, body, inboxId)


async def _create(
    services: WebServices, who: Caller, body: CreateConnectorWithOptions, inbox: str | None
) -> ConnectorDto:
    who.need("connector_update")
    wanted = body.create_connector_options
    if not wanted.email_address:
        raise InvalidRequest("createConnectorOptions.emailAddress is needed")
    imap, smtp = body.create_connector_imap_connection_options, body.create_connector_smtp_connection_options
    inside = private(services, who)
    absent = NO_SIDE if smtp is None else OFF
    options = {
        "imap": absent if imap is None else leg_options("imap", imap, inside),
        "smtp": OFF if smtp is None else leg_options("smtp", smtp, inside),
        "sync": schedule(body.create_connector_sync_settings_options),
    }  # fmt: skip
    made = await connecting.add(
        services, who, name=wanted.name or wanted.email_address, address=wanted.email_address, options=options,
        provider=None, inbox=inbox, enabled=wanted.enabled is not False,
    )  # fmt: skip
    return await _one(services, who, made["id"])


def leg_options(
    leg: Leg, body: CreateConnectorImapConnectionOptions | CreateConnectorSmtpConnectionOptions, inside: bool,
    *, whole: bool = True, port: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    given = body.model_dump(by_alias=True, exclude_none=True)
    if port is not None:
        given.setdefault(f"{leg}Port", port)
    return leg_of(leg, given, private=inside, whole=whole)


@router.get("/connectors")
async def get_connectors(
    services: Services, who: Who, page: Index = 0, size: Size = 20, sort: Sort = "ASC", since: Moment = None,
    before: Moment = None,
) -> PageConnector:  # fmt: skip
    """Get inbox connectors, by the time of their creation."""
    who.need("connector_read")
    low, high = unix(since), unix(before)

    def query(rx: Rx) -> PageConnector:
        rows = [
            row for row in connectors_of(rx, who)
            if (low is None or row.created_at >= low) and (high is None or row.created_at < high)
        ]  # fmt: skip
        found = cut(rows[::-1] if sort == "DESC" else rows, page, size)
        content = [dto(rx, row) for row in found.content]
        return PageConnector(**{**dict(found), "content": content})

    return await services.db.read(query)


@router.delete("/connectors", status_code=204)
async def delete_all_connector(services: Services, who: Who) -> None:
    """Delete all inbox connectors of the key."""
    who.need("connector_update")
    for row in await services.db.read(lambda rx: connectors_of(rx, who)):
        await connecting.ask(services, await connecting.known(services, who, row.uuid), "connector.remove")


@router.get("/connectors/provider-settings")
async def get_connector_provider_settings(who: Who) -> ConnectorProviderSettingsDto:
    """Get SMTP and IMAP settings of the providers whose accounts their guide connects."""
    who.need("connector_read")
    return PROVIDERS


async def _optional(services: WebServices, who: Caller, fits: Any) -> OptionalConnectorDto:
    who.need("connector_read")

    def query(rx: Rx) -> OptionalConnectorDto:
        row = next((row for row in connectors_of(rx, who) if fits(rx, row)), None)
        return OptionalConnectorDto(present=row is not None, result=None if row is None else dto(rx, row))

    return await services.db.read(query)


@router.get("/connectors/by-email-address")
async def get_connector_by_email_address(
    services: Services, who: Who, emailAddress: str
) -> OptionalConnectorDto:
    """Get connector by the account's address."""
    return await _optional(services, who, lambda rx, row: row.address == emailAddress.strip().lower())


@router.get("/connectors/by-inbox-id")
async def get_connector_by_inbox_id(services: Services, who: Who, inboxId: str) -> OptionalConnectorDto:
    """Get connector by inbox."""
    inbox = await services.db.read(lambda rx: inbox_of(rx, who, inboxId))
    return await _optional(services, who, lambda rx, row: row.inbox_id == inbox.id)


@router.get("/connectors/by-name")
async def get_connector_by_name(services: Services, who: Who, name: str) -> OptionalConnectorDto:
    """Get connector by name."""
    return await _optional(services, who, lambda rx, row: row.name == name)


@router.get("/connectors/{id}")
async def get_connector(services: Services, who: Who, id: str) -> ConnectorDto:
    """Get an inbox connector."""
    who.need("connector_read")
    return await _one(services, who, id)


@router.put("/connectors/{id}")
async def update_connector(services: Services, who: Who, id: str, body: CreateConnectorOptions) -> ConnectorDto:
    """Update an inbox connector: its name, and whether it is switched on. Its account is another connector's."""
    who.need("connector_update")
    one = await connecting.known(services, who, id)
    if body.email_address is not None and body.email_address.strip().lower() != one.row.address:
        raise CannotChange("emailAddress cannot be changed: create another connector")
    if body.name is not None and body.name != one.row.name:
        await connecting.change(services, who, one, name=body.name)
    if body.enabled is not None and body.enabled != one.row.enabled:
        await connecting.ask(services, one, "connector.enable" if body.enabled else "connector.disable")
    return await _one(services, who, one.name)


@router.delete("/connectors/{id}", status_code=204)
async def delete_connector(services: Services, who: Who, id: str) -> None:
    """Delete an inbox connector; its mail stays."""
    who.need("connector_update")
    await connecting.ask(services, await connecting.known(services, who, id), "connector.remove")


async def shown_to(services: WebServices, who: Caller, id: str, permission: str) -> tuple[Known, Json]:
    who.need(permission)
    one = await connecting.known(services, who, id)
    return one, await connecting.ask(services, one, "connector.show")
