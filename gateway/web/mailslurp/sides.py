"""ConnectorController: the IMAP and the SMTP side of a connector, and tests of either."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from gateway.access.caller import Caller
from gateway.web import connecting
from gateway.web.api.parts import Services, Who
from gateway.web.connecting import Known
from gateway.web.services import Json, WebServices

from .connectors import NO_SIDE, OFF, leg_options, private, shown_to
from .ids import part_uuid
from .models import (
    ConnectionTestResult,
    ConnectorImapConnectionDto,
    ConnectorSmtpConnectionDto,
    CreateConnectorImapConnectionOptions,
    CreateConnectorSmtpConnectionOptions,
    OptionalConnectorImapConnectionDto,
    OptionalConnectorSmtpConnectionDto,
)
from .options import Leg, said_of

router = APIRouter(tags=["mailslurp connectors"])


def _said(leg: Leg, one: Known, shown: Json) -> dict[str, Any] | None:
    said = said_of(leg, shown["options"][leg], shown["given"].get(leg, {}))
    if said is None:
        return None
    made = datetime.fromtimestamp(one.row.created_at, UTC)
    return {**said, "id": part_uuid(one.name, leg), "connectorId": one.name, "createdAt": made}


async def _put(
    services: WebServices, who: Caller, id: str, leg: Leg, body: Any, *, whole: bool
) -> tuple[Known, dict[str, Any]]:
    """One side anew, or with what was given instead."""
    one, shown = await shown_to(services, who, id, "connector_update")
    port = None if whole else shown["options"][leg]["port"]
    options = {leg: {"enabled": True, **leg_options(leg, body, private(services, who), whole=whole, port=port)}}
    if not whole and body.enabled is None:
        options[leg].pop("enabled")
    unset = _keys(leg, shown) if whole else None
    changed = await connecting.change(services, who, one, options=options, unset=unset)
    said = _said(leg, one, changed)
    assert said is not None
    return one, said


def _keys(leg: Leg, shown: Json) -> list[str]:
    return [f"{leg}.{key}" for key in (*shown["given"].get(leg, {}), "secret")]


async def _drop(services: WebServices, who: Caller, id: str, leg: Leg) -> None:
    one, shown = await shown_to(services, who, id, "connector_update")
    other: Leg = "smtp" if leg == "imap" else "imap"
    options: dict[str, Any] = {leg: OFF}
    if _said(other, one, shown) is None:  # some host must be named
        options = {"imap": NO_SIDE, "smtp": OFF}
    await connecting.change(services, who, one, options=options, unset=_keys(leg, shown))


@router.post("/connectors/{id}/imap", status_code=201)
async def create_connector_imap_connection(
    services: Services, who: Who, id: str, body: CreateConnectorImapConnectionOptions
) -> ConnectorImapConnectionDto:
    """Create an inbox connector IMAP connection."""
    return ConnectorImapConnectionDto(**(await _put(services, who, id, "imap", body, whole=True))[1])


@router.patch("/connectors/{id}/imap")
async def update_connector_imap_connection(
    services: Services, who: Who, id: str, body: CreateConnectorImapConnectionOptions
) -> ConnectorImapConnectionDto:
    """Update IMAP connection; what is not given stays."""
    return ConnectorImapConnectionDto(**(await _put(services, who, id, "imap", body, whole=False))[1])


@router.get("/connectors/{id}/imap")
async def get_connector_imap_connection(
    services: Services, who: Who, id: str
) -> OptionalConnectorImapConnectionDto:
    """Get IMAP connection, without its password."""
    said = _said("imap", *await shown_to(services, who, id, "connector_read"))
    result = None if said is None else ConnectorImapConnectionDto(**said)
    return OptionalConnectorImapConnectionDto(present=result is not None, result=result)


@router.delete("/connectors/{id}/imap", status_code=204)
async def delete_connector_imap_connection(services: Services, who: Who, id: str) -> None:
    """Delete IMAP connection."""
    await _drop(services, who, id, "imap")


@router.post("/connectors/{id}/smtp", status_code=201)
async def create_connector_smtp_connection(
    services: Services, who: Who, id: str, body: CreateConnectorSmtpConnectionOptions
) -> ConnectorSmtpConnectionDto:
    """Create an inbox connector SMTP connection."""
    return ConnectorSmtpConnectionDto(**(await _put(services, who, id, "smtp", body, whole=True))[1])


@router.patch("/connectors/{id}/smtp")
async def update_connector_smtp_connection(
    services: Services, who: Who, id: str, body: CreateConnectorSmtpConnectionOptions
) -> ConnectorSmtpConnectionDto:
    """Update SMTP connection; what is not given stays."""
    return ConnectorSmtpConnectionDto(**(await _put(services, who, id, "smtp", body, whole=False))[1])


@router.get("/connectors/{id}/smtp")
async def get_connector_smtp_connection(
    services: Services, who: Who, id: str
) -> OptionalConnectorSmtpConnectionDto:
    """Get SMTP connection, without its password."""
    said = _said("smtp", *await shown_to(services, who, id, "connector_read"))
    result = None if said is None else ConnectorSmtpConnectionDto(**said)
    return OptionalConnectorSmtpConnectionDto(present=result is not None, result=result)


@router.delete("/connectors/{id}/smtp", status_code=204)
async def delete_connector_smtp_connection(services: Services, who: Who, id: str) -> None:
    """Delete SMTP connection."""
    await _drop(services, who, id, "smtp")


@router.post("/connectors/connections/imap/test")
async def try_connector_imap_connection_options(
    services: Services, who: Who, body: CreateConnectorImapConnectionOptions
) -> ConnectionTestResult:
    """Test IMAP options that no connector has."""
    return await _try(services, who, "imap", body)


@router.post("/connectors/connections/smtp/test")
async def try_connector_smtp_connection_options(
    services: Services, who: Who, body: CreateConnectorSmtpConnectionOptions
) -> ConnectionTestResult:
    """Test SMTP options that no connector has."""
    return await _try(services, who, "smtp", body)


async def _try(services: WebServices, who: Caller, leg: Leg, body: Any) -> ConnectionTestResult:
    who.need("connector_update")
    given = body.model_dump(by_alias=True, exclude_none=True)
    user, host = str(given.get(f"{leg}Username") or ""), str(given[f"{leg}Host"])
    options = {leg: {**leg_options(leg, body, private(services, who)), "enabled": True}}
    address = user if "@" in user else f"{user or 'postmaster'}@{host}"
    probes = await connecting.probe_unsaved(
        services, who, address=address, options=options, provider="custom", side=leg
    )
    return tested(probes)


@router.post("/connectors/{id}/imap/test")
async def try_connector_imap_connection(
    services: Services, who: Who, id: str, body: CreateConnectorImapConnectionOptions | None = None
) -> ConnectionTestResult:
    """Test the IMAP connection of a connector, with what is given in the place of its own."""
    return await _try_saved(services, who, id, "imap", body)


@router.post("/connectors/{id}/smtp/test")
async def try_connector_smtp_connection(
    services: Services, who: Who, id: str, body: CreateConnectorSmtpConnectionOptions | None = None
) -> ConnectionTestResult:
    """Test the SMTP connection of a connector, with what is given in the place of its own."""
    return await _try_saved(services, who, id, "smtp", body)


async def _try_saved(services: WebServices, who: Caller, id: str, leg: Leg, body: Any) -> ConnectionTestResult:
    one, shown = await shown_to(services, who, id, "connector_update")
    options = None
    if body is not None:
        port = shown["options"][leg]["port"]
        options = {leg: {**leg_options(leg, body, private(services, who), whole=False, port=port), "enabled": True}}
    elif _said(leg, one, shown) is None:
        return ConnectionTestResult(success=False, error=f"The connector has no {leg.upper()} connection")
    return tested(await connecting.probe(services, who, one, side=leg, options=options))


def tested(probes: list[Json]) -> ConnectionTestResult:
    """The one side that was asked about."""
    probe = probes[0]
    told = " ".join(text for text in (probe["message"], probe["advice"]) if text)
    return ConnectionTestResult(
        success=probe["success"], error=None if probe["success"] else told or "The connection failed",
        message=told or f"{probe['side'].upper()} connection works", logs=probe["logs"],
    )  # fmt: skip
