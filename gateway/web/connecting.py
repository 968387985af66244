"""What may be done to connectors over HTTP, by whom: scope and permission first, then `control.operations`.

Keys of a pod or an inbox are not the server's owner. Their connectors lead into no private network, whatever a preset
allows, and what cannot go out through the account does not leave by the server's own relay under its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.access.caller import Caller, inbox_of, pod_of
from gateway.access.connectors import connector_of, own_inbox, pod_name, require_name
from gateway.model.errors import AlreadyExists, AuthenticationFailed, CannotChange, NoPermission
from gateway.model.permissions import ScopeKind
from gateway.store import pods
from gateway.store.connectors import accounts
from gateway.store.connectors.rows import ConnectorRow
from gateway.store.db import Rx

from .services import Json, Stream, WebServices

Options = Mapping[Any, Mapping[str, Any]]
LEGS: Final = ("imap", "smtp")
_LEADS: Final = frozenset({"host", "port", "proxy", "allow_private"})
"""Keys of a leg that decide where a connection goes."""


@dataclass(frozen=True, slots=True)
class Known:
    """A connector within the caller's scope, as operations are told of it."""

    row: ConnectorRow
    pod: str

    @property
    def name(self) -> str:
        return self.row.uuid


async def known(services: WebServices, who: Caller, reference: str) -> Known:
    """NotFound for what is not the caller's."""

    def query(rx: Rx) -> Known:
        row = connector_of(rx, who, reference)
        return Known(row, pod_name(rx, row))

    return await services.db.read(query)


async def ask(
    services: WebServices, one: Known, operation: str, params: Mapping[str, Json] | None = None,
    stream: Stream | None = None,
) -> Json:
    """An operation on a connector.

    CannotChange where the account refuses its login: that is no question of the request's key.
    """
    try:
        return await services.operate(operation, {"name": one.name, "pod": one.pod, **(params or {})}, stream)
    except AuthenticationFailed as error:
        raise CannotChange(str(error)) from None


async def add(
    services: WebServices, who: Caller, *, name: str, address: str, options: Options | None, provider: str | None,
    inbox: str | None, pod: str | None = None, enabled: bool = True,
) -> Json:
    """A new connector with an inbox of the caller's, or a new inbox where the caller may make one.

    NotFound (inbox, pod), NoPermission, AlreadyExists, InvalidName, InvalidRequest.
    """
    require_name(name)
    given = within(who, options or {}, everywhere=True)

    def where(rx: Rx) -> tuple[str | None, str | None]:
        if inbox is not None or who.scope == ScopeKind.INBOX:
            return (inbox_of(rx, who, inbox) if inbox is not None else own_inbox(rx, who)).address, None
        who.need("inbox_create")
        if pod is not None:
            return None, pod_of(rx, who, pod).name
        return None, None if who.pod_id is None else own_pod(rx, who)

    box, of = await services.db.read(where)
    params: dict[str, Json] = {
        "name": name, "address": address, "options": given, "enabled": enabled, "inbox": box, "pod": of,
    }  # fmt: skip
    if provider is not None:
        params["provider"] = provider
    try:
        return await services.operate("connector.add", params)
    except AlreadyExists:
        if who.may_all:
            raise
        # The operation names the inbox that has the address, which may be another pod's.
        raise AlreadyExists("The name is taken in the pod, or an inbox has the address") from None


def own_pod(rx: Rx, who: Caller) -> str:
    """The name of the pod that a key is of."""
    assert who.pod_id is not None
    found = pods.pod_by_id(rx, who.pod_id)
    assert found is not None
    return found.name


async def change(
    services: WebServices, who: Caller, one: Known, *, options: Options | None = None, unset: list[str] | None = None,
    name: str | None = None, provider: str | None = None,
) -> Json:
    """Other options; what is not given stays. InvalidName, InvalidRequest, NoPermission, AlreadyExists."""
    if name is not None:
        require_name(name)
    leads = provider is not None or any(path.partition(".")[2] in _LEADS for path in unset or ())
    params: dict[str, Json] = {"options": within(who, options or {}, everywhere=leads)}
    if not who.may_all and leads and unset:
        unset = [path for path in unset if path.partition(".")[2] != "allow_private"]
    params |= {key: value for key, value in (("unset", unset), ("rename", name), ("provider", provider)) if value}
    return await ask(services, one, "connector.set", params)


async def probe(
    services: WebServices, who: Caller, one: Known, *, side: str | None = None, options: Options | None = None,
    provider: str | None = None, stream: Stream | None = None,
) -> list[Json]:
    """Try a stored connector, with `options` in the place of its own; `stream` is told of each step."""
    params: dict[str, Json] = {"side": side, "options": within(who, options or {}, everywhere=provider is not None)}
    return await _probes(services, {"name": one.name, "pod": one.pod, "provider": provider, **params}, stream)


async def probe_unsaved(
    services: WebServices, who: Caller, *, address: str, options: Options, provider: str | None = None,
    side: str | None = None,
) -> list[Json]:
    """Try options that no connector has."""
    given = within(who, options, everywhere=True)
    return await _probes(services, {"address": address, "options": given, "provider": provider, "side": side})


async def _probes(services: WebServices, params: Mapping[str, Json], stream: Stream | None = None) -> list[Json]:
    found: list[Json] = await services.operate("connector.test", params, stream)
    return found


def within(who: Caller, options: Options, *, everywhere: bool) -> dict[str, dict[str, Any]]:
    """`options` as the caller may give them. `everywhere`: nothing of before tells where either leg leads.

    NoPermission for what only the server's owner decides.
    """
    given = {str(section): dict(table) for section, table in options.items()}
    if who.may_all:
        return given
    for leg in LEGS:
        table = given.get(leg, {})
        if table.get("allow_private") not in (None, False):
            raise NoPermission(f"{leg}.allow_private needs a key that opens everything")
        if table.get("fallback") not in (None, False):
            raise NoPermission(f"{leg}.fallback needs a key that opens everything")
        if everywhere or _LEADS & table.keys():
            given[leg] = {**table, "allow_private": False}
    return given


async def row_of(services: WebServices, one: Known) -> ConnectorRow:
    """As it is now."""
    return await services.db.read(lambda rx: accounts.get(rx, one.row.id))
