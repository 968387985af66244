"""Bodies and answers about connectors, as MailSlurp's clients know them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from .parts import Given, PageOf, Theirs

Text = Annotated[str, Field(max_length=1000)]
Words = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=50)]
Port = Annotated[int, Field(ge=1, le=65535)]
Kind = Literal["SEND", "SYNC"]
Status = Literal["SUCCESS", "INTERNAL_ERROR", "SUBSCRIPTION_ERROR", "CONNECTION_ERROR", "NOT_FOUND"]


class CreateConnectorOptions(Given):
    name: Text | None = None
    email_address: Text | None = None
    enabled: bool | None = None


class _Side(Given):
    """What both sides say. Of contradictory booleans see `options.security`."""

    enabled: bool | None = None
    start_tls: bool | None = None
    proxy_enabled: bool | None = None
    proxy_host: Text | None = None
    proxy_port: Port | None = None
    local_host_name: Text | None = None
    ssl_trust: Annotated[str, Field(max_length=200_000)] | None = None
    ssl_protocols: Words | None = None


class CreateConnectorImapConnectionOptions(_Side):
    imap_host: Text
    imap_port: Port | None = None
    imap_username: Text | None = None
    imap_password: Text | None = None
    imap_ssl: bool | None = None
    select_folder: Text | None = None
    search_terms: Text | None = None
    mechanisms: Words | None = None


class CreateConnectorSmtpConnectionOptions(_Side):
    smtp_host: Text
    smtp_port: Port | None = None
    smtp_username: Text | None = None
    smtp_password: Text | None = None
    smtp_ssl: bool | None = None
    smtp_mechanisms: Words | None = None


class CreateConnectorSyncSettingsOptions(Given):
    """`sync_interval`: minutes."""

    sync_enabled: bool | None = None
    sync_schedule_type: Literal["INTERVAL"] | None = None
    sync_interval: Annotated[int, Field(ge=1, le=44_640)] | None = None


class CreateConnectorWithOptions(Given):
    create_connector_options: CreateConnectorOptions
    create_connector_imap_connection_options: CreateConnectorImapConnectionOptions | None = None
    create_connector_smtp_connection_options: CreateConnectorSmtpConnectionOptions | None = None
    create_connector_sync_settings_options: CreateConnectorSyncSettingsOptions | None = None


class ConnectorDto(Theirs):
    id: str
    name: str
    enabled: bool
    email_address: str
    user_id: str
    inbox_id: str
    created_at: datetime


class OptionalConnectorDto(Theirs):
    present: bool
    result: ConnectorDto | None = None


class _SideDto(Theirs):
    """`…_password` is never told."""

    id: str
    connector_id: str
    enabled: bool
    start_tls: bool
    local_host_name: str | None = None
    proxy_enabled: bool = False
    proxy_host: str | None = None
    proxy_port: int | None = None
    ssl_trust: str | None = None
    ssl_protocols: list[str] = Field(default_factory=list)
    created_at: datetime


class ConnectorImapConnectionDto(_SideDto):
    imap_host: str
    imap_port: int
    imap_username: str
    imap_password: str | None = None
    imap_ssl: bool
    select_folder: str | None = None
    search_terms: str | None = None
    mechanisms: list[str] = Field(default_factory=list)


class ConnectorSmtpConnectionDto(_SideDto):
    smtp_host: str
    smtp_port: int
    smtp_username: str
    smtp_password: str | None = None
    smtp_ssl: bool
    smtp_mechanisms: list[str] = Field(default_factory=list)


class OptionalConnectorImapConnectionDto(Theirs):
    present: bool
    result: ConnectorImapConnectionDto | None = None


class OptionalConnectorSmtpConnectionDto(Theirs):
    present: bool
    result: ConnectorSmtpConnectionDto | None = None


class ConnectorSyncSettingsDto(Theirs):
    id: str
    user_id: str
    connector_id: str
    sync_enabled: bool
    sync_schedule_type: Literal["INTERVAL"] = "INTERVAL"
    sync_interval: int


class OptionalConnectorSyncSettingsDto(Theirs):
    present: bool
    result: ConnectorSyncSettingsDto | None = None


class ConnectionTestResult(Theirs):
    """Of either side. `error`: what failed, and what helps; `logs`: the steps, and the dialogue without secrets."""

    success: bool
    error: str | None = None
    message: str | None = None
    logs: list[str] = Field(default_factory=list)


class ConnectorSyncResult(Theirs):
    """`email_ids`: a thousand at most; all are counted."""

    email_sync_count: int
    email_ids: list[str] = Field(default_factory=list)
    logs: list[str] = Field(default_factory=list)


class ConnectorSyncRequestResult(Theirs):
    sync_result: ConnectorSyncResult | None = None
    exception: str | None = None
    event_id: str | None = None


class ConnectorEventProjection(Theirs):
    id: str
    connector_id: str
    event_type: Kind
    status: Status
    size: int
    message: str | None = None
    seen: bool
    created_at: datetime


class ConnectorEventDto(ConnectorEventProjection):
    logs: str | None = None


class ProviderSettings(Theirs):
    mail_provider: Literal["GOOGLE", "MICROSOFT"]
    imap_host: str
    imap_port: int
    imap_ssl: bool
    imap_start_tls: bool
    smtp_host: str
    smtp_port: int
    smtp_ssl: bool
    smtp_start_tls: bool


class ConnectorProviderSettingsDto(Theirs):
    google_settings: ProviderSettings
    microsoft_settings: ProviderSettings


PageConnector = PageOf[ConnectorDto]
PageConnectorEvents = PageOf[ConnectorEventProjection]
