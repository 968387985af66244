"""Clients that OAuth providers know us as. Their secrets are sealed octets here, bound to the row's uuid.

Whether a client is accepted stands in its own row, not in its grants': one that the provider refuses makes all its
grants wait, and none of them has to be mended afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.model.errors import AlreadyExists, CannotChange, InvalidRequest, NotFound
from gateway.store.db import Rx, Tx
from gateway.store.sealing import Place
from gateway.store.statements import Stmt
from gateway.store.texts import storable

MAX_NAME: Final = 100
OK: Final = "ok"
MISCONFIGURED: Final = "misconfigured"

_COLUMNS: Final = (
    "id, uuid, name, provider, tenant, client_id, secret_sealed, key_sealed, key_name, endpoints, redirect, status,"
    " last_error, retry_at, failures, created_at, updated_at"
)
_INSERT = Stmt(
    "INSERT INTO oauth_app (uuid, name, provider, tenant, client_id, secret_sealed, key_sealed, key_name, endpoints,"
    " redirect, created_at, updated_at) VALUES (:uuid, :name, :provider, :tenant, :client_id, :secret_sealed,"
    " :key_sealed, :key_name, :endpoints, :redirect, :now, :now) ON CONFLICT (name) DO NOTHING RETURNING id"
)
_BY_ID = Stmt(f"SELECT {_COLUMNS} FROM oauth_app WHERE id = :app")
_BY_NAME = Stmt(f"SELECT {_COLUMNS} FROM oauth_app WHERE name = :name")
_ALL = Stmt(f"SELECT {_COLUMNS} FROM oauth_app ORDER BY name")
_CHANGE = Stmt(
    "UPDATE oauth_app SET tenant = :tenant, client_id = :client_id, secret_sealed = :secret_sealed,"
    " key_sealed = :key_sealed, key_name = :key_name, endpoints = :endpoints, redirect = :redirect, status = 'ok',"
    " last_error = NULL, retry_at = NULL, failures = 0, updated_at = :now WHERE id = :app"
)
_REFUSED = Stmt(
    "UPDATE oauth_app SET status = 'misconfigured', last_error = :error, retry_at = :retry, failures = failures + 1,"
    " updated_at = :now WHERE id = :app AND updated_at = :seen"
)
_PROBE = Stmt(
    "UPDATE oauth_app SET retry_at = :later WHERE id = :app AND status = 'misconfigured' AND retry_at = :seen"
    " AND retry_at <= :now"
)
_ACCEPTED = Stmt(
    "UPDATE oauth_app SET status = 'ok', last_error = NULL, retry_at = NULL, failures = 0, updated_at = :now"
    " WHERE id = :app AND status <> 'ok'"
)
_USED = Stmt("SELECT 1 FROM oauth_grant WHERE app_id = :app")
_FORGET_LOGINS = Stmt("DELETE FROM oauth_login WHERE app_id = :app")
_REMOVE = Stmt("DELETE FROM oauth_app WHERE id = :app")


@dataclass(frozen=True, slots=True)
class AppRow:
    """`endpoints`: for a provider that is not known, its URLs and scopes. Times: Unix seconds."""

    id: int
    uuid: str
    name: str
    provider: str
    tenant: str
    client_id: str
    secret_sealed: bytes | None = field(repr=False)
    key_sealed: bytes | None = field(repr=False)
    key_name: str
    endpoints: Mapping[str, str]
    redirect: str | None
    status: str
    last_error: str | None
    retry_at: int | None
    failures: int
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class AppValues:
    """What people set of one; the secrets sealed for the row's uuid."""

    client_id: str
    tenant: str = ""
    secret_sealed: bytes | None = field(default=None, repr=False)
    key_sealed: bytes | None = field(default=None, repr=False)
    key_name: str = ""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    redirect: str | None = None


def secret_place(uuid: str) -> Place:
    return Place("oauth_app", uuid, "secret_sealed")


def key_place(uuid: str) -> Place:
    return Place("oauth_app", uuid, "key_sealed")


def create(tx: Tx, uuid: str, name: str, provider: str, values: AppValues, now: int) -> AppRow:
    """AlreadyExists for a name that is taken, InvalidRequest for one that cannot be."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip() or not storable(name):
        raise InvalidRequest(f"An application's name has 1 to {MAX_NAME} printable characters")
    row = tx.one(_INSERT, uuid=uuid, name=name, provider=provider, now=now, **_params(values))
    if row is None:
        raise AlreadyExists(f"There is an OAuth application {name} already")
    return get(tx, row[0])


def get(rx: Rx, app: int) -> AppRow:
    """NotFound."""
    row = rx.one(_BY_ID, app=app)
    if row is None:
        raise NotFound("No such OAuth application")
    return _app(row)


def named(rx: Rx, name: str) -> AppRow:
    """NotFound."""
    row = rx.one(_BY_NAME, name=name) if storable(name) else None
    if row is None:
        raise NotFound(f"No OAuth application {name}")
    return _app(row)


def everything(rx: Rx) -> list[AppRow]:
    """In order of names."""
    return [_app(row) for row in rx.all(_ALL)]


def change(tx: Tx, app: int, values: AppValues, now: int) -> AppRow:
    """Set all of its values. One that was refused is asked for again at once. NotFound."""
    before = get(tx, app)
    # Who was refused with the old values must not say so of the new ones: `updated_at` tells them apart.
    tx.run(_CHANGE, app=app, now=max(now, before.updated_at + 1), **_params(values))
    return get(tx, app)


def refused(tx: Tx, app: AppRow, error: str, retry_at: int, now: int) -> bool:
    """The provider does not accept it. False when it was changed since `app` was read: that was another one."""
    return tx.run(_REFUSED, app=app.id, error=error, retry=retry_at, now=now, seen=app.updated_at) == 1


def probe(tx: Tx, app: AppRow, now: int, later: int) -> bool:
    """Be the one of its grants that asks again whether it is accepted now; the others wait until `later`."""
    return tx.run(_PROBE, app=app.id, seen=app.retry_at, now=now, later=later) == 1


def accepted(tx: Tx, app: int, now: int) -> bool:
    """The provider accepts it. True when it had been refused."""
    return tx.run(_ACCEPTED, app=app, now=now) == 1


def remove(tx: Tx, app: int) -> None:
    """CannotChange while an account has granted it something, NotFound."""
    if tx.one(_USED, app=app) is not None:
        raise CannotChange("The application has grants: remove the connectors that use them first")
    tx.run(_FORGET_LOGINS, app=app)
    if not tx.run(_REMOVE, app=app):
        raise NotFound("No such OAuth application")


def _params(values: AppValues) -> dict[str, Any]:
    return {
        "tenant": values.tenant,
        "client_id": values.client_id,
        "secret_sealed": values.secret_sealed,
        "key_sealed": values.key_sealed,
        "key_name": values.key_name,
        "endpoints": json.dumps(dict(values.endpoints), sort_keys=True),
        "redirect": values.redirect,
    }


def _app(row: tuple[Any, ...]) -> AppRow:
    sealed = [None if value is None else bytes(value) for value in row[6:8]]
    values = [*row[:6], *sealed, row[8], json.loads(row[9]), *row[10:]]
    return AppRow(*values)
